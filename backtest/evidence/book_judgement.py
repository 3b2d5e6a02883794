"""A book beside what anybody could have had with the same symbols and shares, under dearer trading, other seeds and luck."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from backtest.engine.book import BookRun, Sleeve, simulate_book
from backtest.engine.ideal_book import IdealBook
from backtest.evidence.baselines import (
    Baseline,
    RandomEntryTest,
    Stress,
    break_even,
    cost_per_side,
    never_halting,
    random_entries,
    stressed,
    without_limits,
)
from backtest.evidence.judgement import Evidence, Seeds, TradedFigures, evidence_of
from backtest.evidence.ledger import Count
from backtest.evidence.overfitting import Overfitting
from trader.core.book import BookRules
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.params import Params
from trader.core.policy import LONG
from trader.core.types import HOUR_MS, Bools, Floats, Matrix

# Random orders of a book: each is as much work as all of its symbols.
DRAWS = 300


@dataclass(frozen=True, slots=True, eq=False)
class TradedBook:
    """A book as it was traded: its sleeves in alphabetical order, over rules.start <= T < stop (UTC ms)."""

    sleeves: Sequence[Sleeve]
    rules: BookRules
    stop: int
    run: BookRun

    @property
    def capital(self) -> float:
        """USDT."""
        return float(self.rules.params.capital_usdt)

    @property
    def strategies(self) -> list[Params]:
        """The parameters of each symbol."""
        return [it.rules.params for it in self.sleeves]

    @property
    def hours(self) -> int:
        """n."""
        return (self.stop - self.rules.start) // HOUR_MS


def assess_book(
    book: TradedBook,
    naive: Sequence[Matrix],
    seeds: Sequence[Sequence[Matrix]],
    trials: Count,
    effective: float | None = None,
    fitted: Overfitting | None = None,
) -> Evidence:
    """The evidence about a book. naive: P(up) of each symbol, (n,), by the family of that name. seeds: the same by the book's own
    families, for each random seed. trials: what was tried on any of its symbols' hours."""
    risk = book.run.hours[-1].risk
    traded = TradedFigures(
        strategy=_baseline("strategy", book.run, book.capital),
        baselines=list(_baselines(book, naive)),
        stress=_stress(book),
        random_entry_test=_random_entries(book),
        break_even_bps=_break_even_bps(book),
        seeds=Seeds([_traded(book, it).net_return for it in seeds]),
        returns=hourly_returns(equity_of(book.run), book.capital),
        halt_reason=None if risk.halted_at is None else str(risk.halt_reason),
    )
    return evidence_of(traded, trials, effective, fitted)


def equity_of(run: BookRun) -> Floats:
    """(n,) of the whole book, USDT."""
    return np.array([float(line.equity) for line in run.lines])


def _baseline(name: str, run: BookRun, capital: float) -> Baseline:
    orders = sum(it.run.state.ledger.orders for it in run.sleeves)
    return Baseline.of(name, equity_of(run), capital, orders)


def _traded(
    book: TradedBook, p_up: Sequence[Matrix], name: str = "", *, free: bool = False, plain: bool = False
) -> Baseline:
    """The same book on other predictions. free: nothing halts; plain: every symbol enters and leaves at a half besides."""
    sleeves = []
    for it, row in zip(book.sleeves, p_up, strict=True):
        params = it.rules.params
        params = without_limits(params) if plain else never_halting(params) if free else params
        sleeves.append(Sleeve(it.bars, Rules(params, it.rules.filters), row))
    rules = _never_halting(book.rules) if free or plain else book.rules
    return _baseline(name, simulate_book(sleeves, rules, book.stop), book.capital)


def _never_halting(rules: BookRules) -> BookRules:
    free = {"halt_cumulative_return": None, "halt_drawdown": None}
    return replace(rules, params=rules.params.model_copy(update=free))


def _baselines(book: TradedBook, naive: Sequence[Matrix]) -> Iterator[Baseline]:
    """Flat; each symbol held with its share, which is what the book's shares alone are worth; the book's own mean exposure held
    all along at no cost; yesterday's sign; the naive forecast by the book's own thresholds. Nothing halts."""
    ones = [np.ones(book.hours, np.float32) for _ in book.sleeves]
    yield Baseline("flat", 0.0, 0.0, 0.0, 0)
    yield _traded(book, ones, "buy and hold", plain=True)
    yield _mean_exposure(book, np.array(ones))
    yield _traded(book, [_yesterday(it, book) for it in book.sleeves], "yesterday's sign", plain=True)
    yield _traded(book, naive, "naive forecast", free=True)


def _mean_exposure(book: TradedBook, ones: Matrix) -> Baseline:
    free = {
        "fee_rate": Decimal(0),
        "fee_discount": None,
        "half_spread_bps": Decimal(0),
        "slippage_bps": Decimal(0),
    }
    strategies = [without_limits(it).model_copy(update=free) for it in book.strategies]
    bars = [it.bars for it in book.sleeves]
    market = IdealBook.of(bars, strategies, _never_halting(book.rules), book.hours).equity(strategies, ones)
    share = float(np.mean([float(line.exposure) for line in book.run.lines]))
    held = book.capital * np.cumprod(1 + share * hourly_returns(market, book.capital))
    return Baseline.of(f"exposure of {share:.0%} held, no cost", np.asarray(held), book.capital, None)


def _yesterday(sleeve: Sleeve, book: TradedBook) -> Matrix:
    """1 where the close is above that of a day before, NaN after the symbol's bars have ended."""
    bars, first = sleeve.bars, sleeve.bars.row(book.rules.start)
    close, before = bars.close[first : first + book.hours], bars.close[first - 24 : first - 24 + book.hours]
    said = np.where(np.isnan(sleeve.p_up), np.nan, close > before)
    result: Matrix = said.astype(np.float32)
    return result


def _stress(book: TradedBook) -> list[Baseline]:
    """`stressed` of the whole book."""

    def traded(case: Stress) -> Baseline:
        sleeves = [Sleeve(it.bars, case.rules(it.rules), case.signal(it.p_up)) for it in book.sleeves]
        return _baseline(case.name, simulate_book(sleeves, book.rules, book.stop), book.capital)

    return stressed(traded)


def _random_entries(book: TradedBook) -> RandomEntryTest | None:
    """Each symbol's spans of holding and waiting in random order, with costs; None for a book that never holds."""
    strategies = [without_limits(it) for it in book.strategies]
    bars = [it.bars for it in book.sleeves]
    ideal = IdealBook.of(bars, strategies, _never_halting(book.rules), book.hours)

    def net_return(held: Sequence[Bools]) -> float:
        equity = ideal.equity(strategies, np.array([it.astype(np.float32) for it in held]))
        return float(equity[-1]) / book.capital - 1

    return random_entries([it.run.track.target == LONG for it in book.run.sleeves], net_return, DRAWS)


def _break_even_bps(book: TradedBook) -> float | None:
    """`break_even` of the whole book, in ideal accounts."""
    free = [never_halting(it) for it in book.strategies]
    rules, bars = _never_halting(book.rules), [it.bars for it in book.sleeves]
    p_up = np.array([it.p_up for it in book.sleeves])

    def gain(bps: float) -> float:
        dear = [it.model_copy(update=cost_per_side(bps)) for it in free]
        return float(IdealBook.of(bars, dear, rules, book.hours).equity(dear, p_up)[-1]) - book.capital

    return break_even(gain) if any(it.run.state.ledger.orders for it in book.run.sleeves) else None
