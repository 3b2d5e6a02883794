"""A book's run as a person reads it: figures of the whole, and of each symbol as a run of its own has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.engine.book import BookRun, Sleeve, SleeveRun, simulate_book
from backtest.engine.book_capacity import capacity_of, regrets
from backtest.engine.pooled_walk import pooled_walks, pooled_walks_by_seed
from backtest.engine.walkforward import SymbolToWalk, walks_by_seed, walks_by_symbol
from backtest.executors.protocol import Executor
from trader.core.book import BookRules
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns, max_drawdown, sharpe
from trader.core.summary import Columns, summary_of
from trader.core.trades import trades_of
from trader.core.types import HOUR_MS, Bars, Floats, Matrix, Progress, iso, plain


@dataclass(frozen=True, slots=True, eq=False)
class SymbolInBook:
    """A symbol of a book: what is walked forward, and the rules it is traded by. bars: those that are traded, to the end of the
    book's hours."""

    walked: SymbolToWalk
    bars: Bars
    rules: Rules


@dataclass(frozen=True, slots=True, eq=False)
class BookOutcome:
    """sleeves: what was traded, in alphabetical order. run: the hours. summary: figures of the whole book and, under `symbols`,
    of each; returns are compounded shares."""

    sleeves: list[Sleeve]
    run: BookRun
    summary: dict[str, Any]


def run_book(
    symbols: Sequence[SymbolInBook],
    rules: BookRules,
    stop: int,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    now: Callable[[], float] = time.perf_counter,
    began: float | None = None,
) -> BookOutcome:
    """Walk every symbol forward over the hours rules.start <= T < stop (UTC ms) and trade them as one book.

    `seconds` of the summary is counted from `began`, on the clock `now`. Raises DataError where bars begin too late for a
    window, or for the shares.
    """
    began = now() if began is None else began
    walks = walks_of_book([it.walked for it in symbols], rules, stop, executor, progress)
    sleeves = [Sleeve(it.bars, it.rules, p_up) for it, p_up in zip(symbols, walks, strict=True)]
    sleeves.sort(key=lambda it: it.bars.symbol)
    run = simulate_book(sleeves, rules, stop)
    by_symbol = {it.bars.symbol: it for it in symbols}
    equity = np.array([float(line.equity) for line in run.lines])
    returns = hourly_returns(equity, float(rules.params.capital_usdt))
    by_name = {
        it.symbol: _sleeve_summary(it, by_symbol[it.symbol], run, equity, returns) for it in run.sleeves
    }
    for symbol, regret in regrets(run, sleeves).items():
        by_name[symbol]["regret"] = asdict(regret)
    summary = _summary(run, rules, equity, returns)
    summary["correlation"] = correlations([it.index for it in run.sleeves])
    summary["symbols"] = by_name
    carried = [it["capacity"]["capital_usdt"] for it in by_name.values()]
    summary["capacity_usdt"] = min((it for it in carried if it is not None), default=None)
    summary["bars_end_early"] = {
        it.bars.symbol: iso(it.walked.bars.last) for it in symbols if it.walked.bars.last < stop
    }
    summary["seconds"] = round(now() - began, 3)
    return BookOutcome(sleeves, run, summary)


def walks_of_book(
    walked: Sequence[SymbolToWalk],
    rules: BookRules,
    stop: int,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Iterator[Matrix]:
    """P(up) of every hour of the book by symbol, (n,) each, in their order: NaN where a symbol has no bars any more."""
    walk = pooled_walks if rules.params.is_pooled else walks_by_symbol
    for p_up in walk(walked, executor, progress):
        yield _until(stop, rules.start, p_up)


def walks_of_book_by_seed(
    walked: Sequence[SymbolToWalk],
    rules: BookRules,
    stop: int,
    seeds: Sequence[int],
    executor: Executor | None = None,
) -> list[list[Matrix]]:
    """The same for each of these random seeds in place of the parameters' own."""
    if rules.params.is_pooled:
        found = pooled_walks_by_seed(walked, seeds, executor)
        return [[_until(stop, rules.start, p_up) for p_up in told] for told in found]
    return [
        list(told)
        for told in zip(*(_by_seed(it, rules, stop, seeds, executor) for it in walked), strict=True)
    ]


def _by_seed(
    it: SymbolToWalk, rules: BookRules, stop: int, seeds: Sequence[int], executor: Executor | None
) -> list[Matrix]:
    """P(up) of a symbol for each seed."""
    walks = walks_by_seed(
        it.forecaster, it.bars, it.params, it.start, it.stop, seeds,
        source=it.source, others=it.others, executor=executor,
    )  # fmt: skip  # what is walked, then how it is computed
    return [_until(stop, rules.start, p_up) for p_up in walks]


def _until(stop: int, start: int, p_up: Matrix) -> Matrix:
    """P(up) of all hours of the book, NaN where the symbol has no bars any more."""
    missing = (stop - start) // HOUR_MS - len(p_up)
    return np.concatenate([p_up, np.full(missing, np.nan, np.float32)])


def _summary(run: BookRun, rules: BookRules, equity: Floats, returns: Floats) -> dict[str, Any]:
    """Of the whole book. turnover: value of all fills over the mean equity, of all hours."""
    capital, final = rules.params.capital_usdt, run.lines[-1].equity
    halted = run.hours[-1].risk.halted_at
    return {
        "hours": len(run.lines),
        "shares": rules.params.shares,
        "orders": sum(it.run.state.ledger.orders for it in run.sleeves),
        "fills": sum(it.run.state.ledger.fills for it in run.sleeves),
        "net_return": float(final / capital - 1),
        "fees_usdt": plain(sum((it.run.state.ledger.fees_usdt for it in run.sleeves), Decimal(0))),
        "max_drawdown": max_drawdown(equity, float(capital)),
        "sharpe": sharpe(returns),
        "transfers": sum(len(it.transfers) for it in run.hours),
        "turnover": sum(traded_usdt(it) for it in run.sleeves) / float(equity.mean()),
        "capital_usdt": plain(capital),
        "final_equity_usdt": plain(final),
        "halted_at": None if halted is None else iso(halted),
    }


def _sleeve_summary(
    sleeve: SleeveRun, given: SymbolInBook, run: BookRun, equity: Floats, returns: Floats
) -> dict[str, Any]:
    """Of a symbol: as a run of its own has it, returns, drawdown and Sharpe ratio chain-linked over transfers. gross_return and
    buy_and_hold are those of one that is traded with the whole capital. equity, returns: (n,) of the book."""
    track, ledger = sleeve.run.track, sleeve.run.state.ledger
    allocation = given.rules.params.allocation_usdt
    linked = sleeve.index * float(allocation)
    columns = Columns(
        track.hours,
        track.p_up,
        track.target,
        track.gap,
        linked,
        Decimal(repr(float(linked[-1]))),
        track.fees_usdt,
    )
    halted, final = sleeve.run.state.risk.halted_at, run_final(sleeve)
    given_usdt = sum((it.transfer(sleeve.symbol) for it in run.hours), Decimal(0))
    summary = summary_of(
        columns,
        given.bars,
        given.rules,
        orders=ledger.orders,
        fills=ledger.fills,
        trades=trades_of(track.fills(), given.rules.filters.min_notional),
        halted_at=None if halted is None else iso(halted),
        seconds=0.0,
    )
    del summary["seconds"]
    own = hourly_returns(sleeve.index, 1.0)
    return {
        **summary,
        "final_equity_usdt": plain(final),
        "share": float(final) / float(equity[-1]) if equity[-1] else 0.0,
        "mean_share": float(np.mean(sleeve.run.equity / equity)),
        "transfers": sum(sleeve.symbol in it.transfers for it in run.hours),
        "transferred_usdt": plain(given_usdt),
        "contribution_usdt": plain(final - given_usdt),
        "turnover": traded_usdt(sleeve) / float(equity.mean()),
        "correlation_with_book": correlation(own, returns),
        "capacity": asdict(capacity_of(sleeve, given.bars, run_capital(run))),
        "filters": given.rules.filters.as_json(),
    }


def run_capital(run: BookRun) -> Decimal:
    """What the book began with, USDT."""
    return run.hours[0].equity_usdt


def run_final(sleeve: SleeveRun) -> Decimal:
    """The exact equity of a sleeve after its last hour, USDT."""
    final = sleeve.run.track.final_equity()
    return Decimal(0) if final is None else final


def traded_usdt(sleeve: SleeveRun) -> float:
    """The value of all fills of a sleeve, USDT, at their prices."""
    return float(sum((fill.qty * fill.price for _, fill in sleeve.run.track.fills()), Decimal(0)))


def correlations(indices: Sequence[Floats]) -> list[list[float | None]]:
    """Pearson correlation of the hourly returns of each two indices, (n,) each, None where one of them never moved."""
    returns = [hourly_returns(it, 1.0) for it in indices]
    return [[correlation(a, b) for b in returns] for a in returns]


def correlation(a: Floats, b: Floats) -> float | None:
    """Pearson correlation of two series (n,), None where one of them does not move."""
    x, y = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / spread if spread > 0 else None
