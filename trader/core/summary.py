"""The summary of a run, from its lines and the bars it ran over; the same for the backtest and for replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from trader.core.costs import exact, quote_at
from trader.core.hours import GAP, HourLine, Rules, modelled_fill
from trader.core.labels import label_of
from trader.core.ledger import Ledger
from trader.core.metrics import hit_rate, hourly_returns, max_drawdown, sharpe
from trader.core.policy import FLAT, LONG, SHORT, TARGETS, Codes
from trader.core.sizing import SizedOrder, SizingRules, size
from trader.core.track import Track
from trader.core.trades import Trade, TradeFigures
from trader.core.types import HOUR_MS, Bars, Bools, Fill, Floats, Ints, Quote, plain

SUMMARY_KEYS = (
    "hours",
    "orders",
    "fills",
    "net_return",
    "gross_return",
    "buy_and_hold",
    "fees_usdt",
    "max_drawdown",
    "hit_rate",
    "sharpe",
    "trades",
    "win_rate",
    "profit_factor",
    "average_holding_hours",
    "final_equity_usdt",
    "halted_at",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class PriceLookup:
    """Prices that hours are marked at and traded at: closes and next opens by hour, from bars."""

    bars: Bars

    def close(self, hour: int) -> Decimal:
        """close[T], or the last close before a gap (bars fill gaps flat)."""
        return exact(float(self.bars.close[self.bars.row(hour)]))

    def open_next(self, hour: int) -> Decimal | None:
        """The open of the bar that opens at T, None where the exchange had none: the venue is shut."""
        if not self.bars.has(hour + HOUR_MS):
            return None
        return exact(float(self.bars.open[self.bars.row(hour + HOUR_MS)]))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What a summary needs of n hours. hours: (n,) UTC ms. p_up: (n,) float64, NaN without a prediction. target: (n,)
    codes, indices of TARGETS. gap: (n,) true where the hour has no bar of its own. equity: (n,) float64."""

    hours: Ints
    p_up: Floats
    target: Codes
    gap: Bools
    equity: Floats
    final_equity: Decimal | None
    fees_usdt: Decimal

    @staticmethod
    def of_lines(lines: Sequence[HourLine]) -> Columns:
        """The columns of written lines."""
        p_up = [np.nan if line.p_up is None else line.p_up for line in lines]
        return Columns(
            hours=np.array([line.close_time for line in lines], dtype=np.int64),
            p_up=np.array(p_up, dtype=float),
            target=np.array([TARGETS.index(line.target) for line in lines], dtype=np.int8),
            gap=np.array([line.reason == GAP for line in lines], dtype=np.bool_),
            equity=np.array([float(line.equity) for line in lines]),
            final_equity=lines[-1].equity if lines else None,
            fees_usdt=sum((line.fee for line in lines), Decimal(0)),
        )

    @staticmethod
    def of_track(track: Track, equity: Floats) -> Columns:
        """The columns of hours that were never written; `equity` is the track's own."""
        return Columns(
            track.hours, track.p_up, track.target, track.gap, equity, track.final_equity(), track.fees_usdt
        )


def summarise(
    lines: Sequence[HourLine],
    bars: Bars,
    rules: Rules,
    *,
    orders: int,
    fills: int,
    trades: Sequence[Trade],
    halted_at: str | None,
    seconds: float,
    known_until: int | None = None,
) -> dict[str, Any]:
    """`summary_of` written lines."""
    return summary_of(
        Columns.of_lines(lines),
        bars,
        rules,
        orders=orders,
        fills=fills,
        trades=trades,
        halted_at=halted_at,
        seconds=seconds,
        known_until=known_until,
    )


def summary_of(
    run: Columns,
    bars: Bars,
    rules: Rules,
    *,
    orders: int,
    fills: int,
    trades: Sequence[Trade],
    halted_at: str | None,
    seconds: float,
    known_until: int | None = None,
) -> dict[str, Any]:
    """The summary of consecutive hours. Returns are compounded shares of the allocation: final / allocation - 1.

    gross_return trades the same targets at zero cost. buy_and_hold buys once, with all cash and at the first
    tradable hour's fill and costs, and is marked at the last close. sharpe is annualised. trades: all of the run, the open
    one too; `TradeFigures` says what is counted. hit_rate counts predictions whose outcome the bars know, or knew at
    `known_until` (UTC ms). Raises nothing; an empty run gives zeros.
    """
    allocation = rules.params.allocation_usdt
    final = allocation if run.final_equity is None else run.final_equity
    prices = PriceLookup(bars)
    return {
        "hours": len(run.hours),
        "orders": orders,
        "fills": fills,
        "net_return": float(final / allocation - 1),
        "gross_return": float(_gross(run, prices, rules) / allocation - 1),
        "buy_and_hold": float(_buy_and_hold(run.hours, prices, rules) / allocation - 1),
        "fees_usdt": plain(run.fees_usdt),
        "max_drawdown": max_drawdown(run.equity, float(allocation)),
        "hit_rate": hit_rate(run.p_up, _labels(run.hours, bars, rules, known_until)),
        "sharpe": net_sharpe(run.equity, allocation),
        **asdict(TradeFigures.of(trades)),
        "final_equity_usdt": plain(final),
        "halted_at": halted_at,
        "seconds": round(seconds, 3),
    }


def net_sharpe(equity: Floats, allocation: Decimal) -> float:
    """Annualised Sharpe ratio of the hourly net returns: equity (n,) after each hour, in quote."""
    return sharpe(hourly_returns(equity, float(allocation)))


def _labels(hours: Ints, bars: Bars, rules: Rules, known_until: int | None) -> Floats:
    if not len(hours):
        return np.zeros(0)
    labels = label_of(bars, rules.params)[(hours - bars.first) // HOUR_MS]
    if known_until is not None:
        labels[hours + rules.params.horizon_hours * HOUR_MS > known_until] = np.nan
    return labels


def _gross(run: Columns, prices: PriceLookup, rules: Rules) -> Decimal:
    """Final equity of the same targets at zero cost. An order can leave only where the target is not the held side,
    so hours that are surely on their target's side are passed over; the others are looked at exactly."""
    p = rules.params
    free = SizingRules(p.costs.scaled(Decimal(0)), rules.filters, p.cash_buffer, p.rebalance_band)
    ledger = Ledger(p.allocation_usdt)
    if not len(run.hours):
        return ledger.cash
    close = prices.bars.close[(run.hours - prices.bars.first) // HOUR_MS]
    at = 0
    while (at := _next_off_target(ledger, close, run.target, run.gap, at, rules)) < len(close):
        hour, target = int(run.hours[at]), TARGETS[run.target[at]]
        price, mark = prices.open_next(hour), prices.close(hour)
        held = ledger.held(mark, rules.filters)
        at += 1
        if price is None or target == held:
            continue
        order = size(target, held, ledger, mark, quote_at(price, free.costs, rules.filters.tick_size), free)
        if isinstance(order, SizedOrder):
            ledger = ledger.after(Fill(order.side, order.expected_price, order.qty, Decimal(0), "quote"))
    return ledger.equity(prices.close(int(run.hours[-1])))


def _next_off_target(
    ledger: Ledger, close: Floats, target: Codes, gap: Bools, first: int, rules: Rules
) -> int:
    """The first hour at or after `first` that is not surely on its target's side, or len(close)."""
    position, least = float(ledger.position), float(rules.filters.min_notional)
    look = 16
    while first < len(close):
        stop = min(first + look, len(close))
        worth = position * close[first:stop]
        surely = np.where(
            worth > least * (1 + 1e-9), LONG, np.where(worth < -least * (1 + 1e-9), SHORT, FLAT)
        )
        unsure = (np.abs(worth) >= least * (1 - 1e-9)) & (surely == FLAT)
        found = np.flatnonzero(((surely != target[first:stop]) | unsure) & ~gap[first:stop])
        if len(found):
            return first + int(found[0])
        first, look = stop, 2 * look
    return first


def _buy_and_hold(hours: Ints, prices: PriceLookup, rules: Rules) -> Decimal:
    ledger = Ledger(rules.params.allocation_usdt)
    for hour in hours.tolist():
        price = prices.open_next(hour)
        if price is None:
            continue
        quote = quote_at(price, rules.params.costs, rules.filters.tick_size)
        ledger = bought_and_held(quote, prices.close(hour), rules)
        break
    return ledger.equity(prices.close(int(hours[-1]))) if len(hours) else ledger.cash


def bought_and_held(quote: Quote, close: Decimal, rules: Rules) -> Ledger:
    """What buy and hold owns: one purchase with the whole allocation, at an hour's quote and costs, kept for ever. The cash
    alone where the filters accept no such order. Buy and hold is this and nothing else wherever it is shown."""
    ledger = Ledger(rules.params.allocation_usdt)
    order = size("long", "flat", ledger, close, quote, rules.sizing)
    return ledger.after(modelled_fill(order, rules)) if isinstance(order, SizedOrder) else ledger
