"""Fills -> trades: what was bought and sold again, and what it brought. One definition for a backtest, a replay and the bot.

A trade is a round trip. It begins with the first fill that opens a position and ends with the fill after which the rest is
worth less than the minimum order (dust, which cannot be sold). Fills between them that buy more or sell a part belong to
it. A fill that turns a long into a short ends one trade and begins the next. What is still held after the last fill is an
open trade: it is listed, without an exit, and counts in no figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_UP, Decimal
from typing import Any, Literal

from trader.core.costs import COMMISSION_QUANTUM
from trader.core.ledger import Ledger, fee_usdt
from trader.core.types import HOUR_MS, Fill, iso, plain

TRADE_KEYS = (
    "entry_time",
    "exit_time",
    "side",
    "quantity",
    "entry_price",
    "exit_price",
    "fees_usdt",
    "net_profit_usdt",
    "holding_hours",
)


@dataclass(frozen=True, slots=True)
class Trade:
    """entry_time, exit_time: close times, UTC ms, of the hours that opened and ended it. quantity: opened, in base, before
    commission. Prices: averages by quantity, in quote per base. fees_usdt: all commissions, in quote. net_profit_usdt: what
    the account was worth after the last fill, less what it was worth before the first, each at that fill's price, so that
    fees, spread and slippage are in it. The exit and the profit of an open trade are None."""

    side: Literal["long", "short"]
    entry_time: int
    exit_time: int | None
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal | None
    fees_usdt: Decimal
    net_profit_usdt: Decimal | None

    @property
    def holding_hours(self) -> int | None:
        """Hours from the entry to the exit; None while it is open."""
        return None if self.exit_time is None else (self.exit_time - self.entry_time) // HOUR_MS

    def as_json(self) -> dict[str, Any]:
        """TRADE_KEYS: times in ISO, money as exact decimal text, None for what an open trade has not."""
        return {
            "entry_time": iso(self.entry_time),
            "exit_time": None if self.exit_time is None else iso(self.exit_time),
            "side": self.side,
            "quantity": plain(self.quantity),
            "entry_price": plain(self.entry_price),
            "exit_price": None if self.exit_price is None else plain(self.exit_price),
            "fees_usdt": plain(self.fees_usdt),
            "net_profit_usdt": None if self.net_profit_usdt is None else plain(self.net_profit_usdt),
            "holding_hours": self.holding_hours,
        }


def trades_of(fills: Iterable[tuple[int, Fill]], min_notional: Decimal) -> list[Trade]:
    """The trades of fills in their order, each with the close time of its hour (UTC ms), from a flat account on. The last
    one may be open. min_notional: of an order, in quote; a rest that is worth less is dust. Dust that is sold while no
    trade is open is no trade."""
    trades: list[Trade] = []
    account = Ledger(Decimal(0))
    current: _Open | None = None
    for hour, fill in fills:
        for part in _parts(account.position, fill):
            before, account = account, account.after(part)
            if current is None and _is_on_side_of(part, account.position):
                current = _Open(hour, before.equity(part.price), part.side)
            if current is None:
                continue
            current.fills.append(part)
            if part.side != current.opened_by and abs(account.position) * part.price < min_notional:
                trades.append(current.trade(hour, account.equity(part.price)))
                current = None
    return trades if current is None else [*trades, current.trade(None, None)]


@dataclass(slots=True)
class _Open:
    """A trade on its way. worth_before: of the account, in quote, before its first fill."""

    entry_time: int
    worth_before: Decimal
    opened_by: str
    fills: list[Fill] = field(default_factory=list)

    def trade(self, exit_time: int | None, worth_after: Decimal | None) -> Trade:
        """The trade so far; ended where its exit is given."""
        opening = [fill for fill in self.fills if fill.side == self.opened_by]
        closing = [fill for fill in self.fills if fill.side != self.opened_by]
        return Trade(
            side="long" if self.opened_by == "BUY" else "short",
            entry_time=self.entry_time,
            exit_time=exit_time,
            quantity=sum((fill.qty for fill in opening), Decimal(0)),
            entry_price=_average(opening),
            exit_price=None if exit_time is None else _average(closing),
            fees_usdt=sum((fee_usdt(fill) for fill in self.fills), Decimal(0)),
            net_profit_usdt=None if worth_after is None else worth_after - self.worth_before,
        )


def _is_on_side_of(fill: Fill, position: Decimal) -> bool:
    """True of a purchase and a long, and of a sale and a short."""
    return position > 0 if fill.side == "BUY" else position < 0


def _parts(position: Decimal, fill: Fill) -> list[Fill]:
    """A fill that passes through zero, as what closes the position and what opens the next; any other as it is. The
    commission is divided by quantity; where it is taken from what is bought, closing a short needs that much more."""
    held, in_base = abs(position), fill.commission_in == "base"
    received = fill.qty - fill.commission if in_base else fill.qty
    if not position or _is_on_side_of(fill, position) or received <= held:
        return [fill]
    qty = (fill.qty * held / received).quantize(COMMISSION_QUANTUM, ROUND_UP)
    paid = qty - held if in_base else (fill.commission * qty / fill.qty).quantize(COMMISSION_QUANTUM)
    closing = replace(fill, qty=qty, commission=paid)
    return [closing, replace(fill, qty=fill.qty - qty, commission=fill.commission - paid)]


def _average(fills: Sequence[Fill]) -> Decimal:
    """The price by quantity; of fills at one price that price, to the digit."""
    first = fills[0].price
    if all(fill.price == first for fill in fills):
        return first
    qty = sum((fill.qty for fill in fills), Decimal(0))
    return sum((fill.qty * fill.price for fill in fills), Decimal(0)) / qty


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """What closed trades amount to. None where there is none to count: win_rate and average_holding_hours without a closed
    trade, profit_factor without a losing one."""

    trades: int
    win_rate: float | None
    profit_factor: float | None
    average_holding_hours: float | None

    @staticmethod
    def of(trades: Sequence[Trade]) -> TradeFigures:
        """From all trades; the open one is passed over.

        win_rate: share of closed trades with a net profit above zero. profit_factor: the sum of their profits over the sum
        of the others' losses (Pardo, The Evaluation and Optimization of Trading Strategies, 2008). Both after all costs.
        average_holding_hours: mean hours from entry to exit, each trade counted once.
        """
        profits = [trade.net_profit_usdt for trade in trades if trade.net_profit_usdt is not None]
        hours = [trade.holding_hours for trade in trades if trade.holding_hours is not None]
        won = sum((profit for profit in profits if profit > 0), Decimal(0))
        lost = -sum((profit for profit in profits if profit < 0), Decimal(0))
        return TradeFigures(
            trades=len(profits),
            win_rate=sum(profit > 0 for profit in profits) / len(profits) if profits else None,
            profit_factor=float(won / lost) if lost else None,
            average_holding_hours=sum(hours) / len(hours) if hours else None,
        )
