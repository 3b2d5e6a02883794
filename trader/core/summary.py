"""The summary of a run, from its lines and the bars it ran over; the same for the backtest and for replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from trader.core.costs import exact, quote_at
from trader.core.hours import GAP, Rules, modelled_fill
from trader.core.labels import direction
from trader.core.ledger import Ledger
from trader.core.metrics import hit_rate, hourly_returns, max_drawdown, sharpe
from trader.core.sizing import SizedOrder, SizingRules, size
from trader.core.types import HOUR_MS, Bars, Fill, Floats, Quote, Target, parse_time, plain

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
    "final_equity_usdt",
    "halted_at",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class Tape:
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


def summarise(
    lines: Sequence[dict[str, Any]],
    bars: Bars,
    rules: Rules,
    *,
    orders: int,
    fills: int,
    halted_at: str | None,
    seconds: float,
) -> dict[str, Any]:
    """The summary of `lines`. Returns are compounded shares of the allocation: final equity / allocation - 1.

    gross_return trades the same targets at zero cost. buy_and_hold buys once, with all cash and at the first
    tradable hour's fill and costs, and is marked at the last close. Raises nothing; an empty run gives zeros.
    """
    allocation = rules.params.allocation_usdt
    equity = np.array([float(line["equity"]) for line in lines])
    final = Decimal(lines[-1]["equity"]) if lines else allocation
    tape = Tape(bars)
    hours = [parse_time(line["close_time"]) for line in lines]
    return {
        "hours": len(lines),
        "orders": orders,
        "fills": fills,
        "net_return": float(final / allocation - 1),
        "gross_return": float(_gross(lines, hours, tape, rules) / allocation - 1),
        "buy_and_hold": float(_buy_and_hold(hours, tape, rules) / allocation - 1),
        "fees_usdt": plain(sum((Decimal(line["fee"]) for line in lines), Decimal(0))),
        "max_drawdown": max_drawdown(equity, float(allocation)),
        "hit_rate": hit_rate(_p_up(lines), _labels(hours, bars)),
        "final_equity_usdt": plain(final),
        "halted_at": halted_at,
        "seconds": round(seconds, 3),
    }


def net_sharpe(lines: Sequence[dict[str, Any]], allocation: Decimal) -> float:
    """Annualised Sharpe ratio of the hourly net returns of `lines`."""
    return sharpe(hourly_returns(np.array([float(line["equity"]) for line in lines]), float(allocation)))


def _p_up(lines: Sequence[dict[str, Any]]) -> Floats:
    return np.array([np.nan if line["p_up"] is None else line["p_up"] for line in lines], dtype=float)


def _labels(hours: Sequence[int], bars: Bars) -> Floats:
    labels = direction(bars, 1)
    return np.array([labels[bars.row(hour)] for hour in hours])


def _gross(lines: Sequence[dict[str, Any]], hours: Sequence[int], tape: Tape, rules: Rules) -> Decimal:
    free = SizingRules(
        rules.params.costs.scaled(Decimal(0)),
        rules.filters,
        rules.params.cash_buffer,
        rules.params.rebalance_band,
    )
    ledger, close = Ledger(rules.params.allocation_usdt), Decimal(0)
    for line, hour in zip(lines, hours, strict=True):
        close, price = tape.close(hour), tape.open_next(hour)
        held = ledger.held(close, rules.filters)
        target: Target = line["target"]
        if price is None or line["reason"] == GAP or target == held:
            continue
        order = size(target, held, ledger, close, quote_at(price, free.costs, rules.filters.tick_size), free)
        if isinstance(order, SizedOrder):
            ledger = ledger.after(Fill(order.side, order.expected_price, order.qty, Decimal(0), "quote"))
    return ledger.equity(close)


def _buy_and_hold(hours: Sequence[int], tape: Tape, rules: Rules) -> Decimal:
    ledger = Ledger(rules.params.allocation_usdt)
    for hour in hours:
        price = tape.open_next(hour)
        if price is None:
            continue
        quote: Quote = quote_at(price, rules.params.costs, rules.filters.tick_size)
        order = size("long", "flat", ledger, tape.close(hour), quote, rules.sizing)
        if isinstance(order, SizedOrder):
            ledger = ledger.after(modelled_fill(order, rules))
        break
    return ledger.equity(tape.close(hours[-1])) if hours else ledger.cash
