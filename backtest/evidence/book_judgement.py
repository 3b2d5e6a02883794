"""A book beside what anybody could have had with the same symbols and shares, under dearer trading, other seeds and luck."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.engine.book import BookRun, Sleeve, simulate_book
from backtest.engine.ideal_book import IdealBook
from backtest.evidence.baselines import (
    HIGHEST_BREAK_EVEN_BPS,
    Baseline,
    RandomEntryTest,
    cost_per_side,
    costs_times,
    delayed,
    never_halting,
    without_limits,
)
from backtest.evidence.judgement import Evidence, Seeds, objections
from backtest.evidence.ledger import Count
from backtest.evidence.overfitting import Overfitting
from backtest.evidence.significance import Moments, deflated_sharpe, probabilistic_sharpe
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
    strategy = _baseline("strategy", book.run, book.capital)
    returns = hourly_returns(equity_of(book.run), book.capital)
    moments, deviation = Moments.of(returns), trials.sharpe_deviation
    partial: dict[str, Any] = {
        "strategy": strategy,
        "baselines": list(_baselines(book, naive)),
        "stress": list(_stress(book)),
        "random_entry_test": _random_entries(book),
        "break_even_bps": _break_even_bps(book),
        "seeds": Seeds([_traded(book, it).net_return for it in seeds]),
        "psr": probabilistic_sharpe(moments),
        "dsr": deflated_sharpe(moments, max(trials.configurations, 1), deviation),
        "dsr_effective": None if effective is None else deflated_sharpe(moments, effective, deviation),
        "trials": trials,
        "effective": effective,
        "pbo": None if fitted is None else fitted.pbo,
    }
    risk = book.run.said[-1].risk
    halted = None if risk.halted_at is None else str(risk.halt_reason)
    return Evidence(**partial, objections=objections(partial, halted))


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


def _stress(book: TradedBook) -> Iterator[Baseline]:
    """The book at one, two and three times its costs, and with every signal one bar late."""
    for factor in (1, 2, 3):
        sleeves = [
            Sleeve(it.bars, replace(it.rules, params=costs_times(it.rules.params, Decimal(factor))), it.p_up)
            for it in book.sleeves
        ]
        yield _baseline(f"costs x {factor}", simulate_book(sleeves, book.rules, book.stop), book.capital)
    yield _traded(book, [delayed(it.p_up) for it in book.sleeves], "one bar late")


def _random_entries(book: TradedBook, seed: int = 0) -> RandomEntryTest | None:
    """Each symbol's spans of holding and waiting in random order, with costs; None for a book that never holds."""
    long = [it.run.track.target == LONG for it in book.run.sleeves]
    edges = [np.flatnonzero(np.diff(it.astype(np.int8))) + 1 for it in long]
    if not any(len(it) for it in edges):
        return None
    strategies = [without_limits(it) for it in book.strategies]
    bars = [it.bars for it in book.sleeves]
    ideal = IdealBook.of(bars, strategies, _never_halting(book.rules), book.hours)

    def ends(held: Sequence[Bools]) -> float:
        equity = ideal.equity(strategies, np.array([it.astype(np.float32) for it in held]))
        return float(equity[-1]) / book.capital - 1

    ours, rng = ends(long), np.random.default_rng(seed)
    others = np.array(
        [ends([_shuffled(*it, rng) for it in zip(long, edges, strict=True)]) for _ in range(DRAWS)]
    )
    below = float(np.mean(others < ours) + np.mean(others == ours) / 2)
    return RandomEntryTest(DRAWS, float(np.median(others)), float(others.max()), ours, below)


def _shuffled(long: Bools, edges: Any, rng: np.random.Generator) -> Bools:
    """The same spans in another order."""
    if not len(edges):
        return long
    lengths = np.diff(np.concatenate(([0], edges, [len(long)])))
    lengths[0::2], lengths[1::2] = rng.permutation(lengths[0::2]), rng.permutation(lengths[1::2])
    side = (np.arange(len(lengths)) % 2 == 0) == bool(long[0])
    result: Bools = np.repeat(side, lengths)
    return result


def _break_even_bps(book: TradedBook) -> float | None:
    """The cost of one side, in 1/10,000, at which the book's net return is zero, by bisection in the book of ideal accounts; as
    `break_even_bps` of a single symbol."""
    free = [never_halting(it) for it in book.strategies]
    rules, bars = _never_halting(book.rules), [it.bars for it in book.sleeves]
    p_up = np.array([it.p_up for it in book.sleeves])

    def gain(bps: float) -> float:
        dear = [it.model_copy(update=cost_per_side(bps)) for it in free]
        return float(IdealBook.of(bars, dear, rules, book.hours).equity(dear, p_up)[-1]) - book.capital

    if not any(it.run.state.ledger.orders for it in book.run.sleeves) or gain(HIGHEST_BREAK_EVEN_BPS) > 0:
        return None
    if gain(0.0) <= 0:
        return 0.0
    low, high = 0.0, HIGHEST_BREAK_EVEN_BPS
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) > 0 else (low, middle)
    return round(low, 4)
