"""What a book costs beside the single runs of its symbols: walked forward, traded, summed up and written, one worker.

Seconds are of the processor: one process, one thread, so that a busy machine changes the ratio little."""

from __future__ import annotations

import time
from collections.abc import Sequence

from backtest.engine.book import Sleeve, simulate_book
from backtest.engine.book_outcome import SymbolInBook, run_book
from backtest.engine.outcome import run_backtest
from backtest.engine.simulate import simulate
from backtest.engine.walkforward import SymbolToWalk
from benchmarks.figure import Figure
from benchmarks.scene import median, reference_params
from tests.support.bars_made import bars_made
from trader.core.book import BookRules
from trader.core.book_line import book_line_text
from trader.core.book_params import BookParams
from trader.core.hours import Rules
from trader.core.params import Params
from trader.core.types import DAY_MS, Filters, Matrix
from trader.forecasters.registry import forecaster_of

WARM_UP_DAYS = 90
Single = tuple[Matrix, list[str]]


def run() -> list[Figure]:
    """Six symbols, a year, three times."""
    return _figures(symbols=6, days=365, rounds=3)


def run_full() -> list[Figure]:
    """Twenty symbols, three years, once."""
    return _figures(symbols=20, days=3 * 365, rounds=1)


def run_small() -> list[Figure]:
    """Three symbols, two months, small trees, once."""
    return _figures(symbols=3, days=60, rounds=1, n_estimators=20)


def _figures(symbols: int, days: int, rounds: int, **trees: int) -> list[Figure]:
    named = [f"S{i:02d}USDT" for i in range(symbols)]
    params = reference_params(**trees)
    given = [_symbol(name, i, days, params) for i, name in enumerate(named)]
    start = given[0].walked.start
    stop = start + days * DAY_MS
    book = BookRules(
        BookParams.model_validate(
            {
                "symbols": named,
                "capital_usdt": 10_000 * symbols,
                "shares": "hrp",
                "halt_cumulative_return": None,
            }
        ),
        start,
    )
    alone, together, trading, apart = (list[float]() for _ in range(4))
    equal = 0
    for _ in range(rounds):
        began = time.process_time()
        single = [_alone(it, stop) for it in given]
        alone.append(time.process_time() - began)
        began = time.process_time()
        outcome = run_book(given, book, stop)
        for it in outcome.run.sleeves:
            it.run.track.texts()
        list(map(book_line_text, outcome.run.lines))
        together.append(time.process_time() - began)
        pairs = zip(single, outcome.run.sleeves, strict=True)
        equal = sum(p_up.tobytes() == it.run.track.predicted.tobytes() for (p_up, _), it in pairs)
        apart.append(_traded_alone(given, [p_up for p_up, _ in single], start, stop))
        trading.append(_traded_together(given, [p_up for p_up, _ in single], book, stop))
    title = f"a book of {symbols} symbols over {days * 24:,} hours"
    ratios = [b / a for a, b in zip(alone, together, strict=True)]
    return [
        Figure(f"{title}, beside the sum of its single runs", median(ratios), "at most", 1.1),
        Figure("its processor time", median(together), unit="s"),
        Figure("of it trading, without any fit", median(trading), unit="s"),
        Figure("the same of single runs", median(apart), unit="s"),
        Figure("symbols with the single run's P(up)", equal, "exactly", symbols, is_result=True),
    ]


def _symbol(name: str, i: int, days: int, params: Params) -> SymbolInBook:
    """A random walk of its own, as long as its first window needs and the days."""
    bars = bars_made((WARM_UP_DAYS + days) * 24 + 2, i + 1, symbol=name, price=10.0 * (i + 1), decimals=4)
    start = bars.first + WARM_UP_DAYS * DAY_MS
    free = params.model_copy(update={"halt_cumulative_return": None})
    rules = Rules(free, Filters.derived(float(bars.close[bars.row(start)])))
    forecaster = forecaster_of(params.model.family)
    return SymbolInBook(SymbolToWalk(forecaster, bars, free, start, start + days * DAY_MS, name), bars, rules)


def _alone(it: SymbolInBook, stop: int) -> Single:
    """What `backtest run` does once it has read its files, in-sample scores and all: P(up), and the lines."""
    asked = it.walked
    outcome = run_backtest(asked.forecaster, it.bars, it.rules, asked.start, stop, source=asked.source)
    return outcome.run.track.predicted, outcome.run.track.texts()


def _traded_alone(given: Sequence[SymbolInBook], walks: Sequence[Matrix], start: int, stop: int) -> float:
    """Seconds of trading every symbol on its own, lines included."""
    began = time.process_time()
    for it, p_up in zip(given, walks, strict=True):
        simulate(it.bars, p_up, it.rules, start, stop).track.texts()
    return time.process_time() - began


def _traded_together(
    given: Sequence[SymbolInBook], walks: Sequence[Matrix], book: BookRules, stop: int
) -> float:
    """Seconds of trading the book, lines included."""
    sleeves = [Sleeve(it.bars, it.rules, p_up) for it, p_up in zip(given, walks, strict=True)]
    began = time.process_time()
    run = simulate_book(sleeves, book, stop)
    for it in run.sleeves:
        it.run.track.texts()
    list(map(book_line_text, run.lines))
    return time.process_time() - began
