"""One hour of trading, decided and written: the only place where both hosts turn what is known into a line.

An hour T is the close_time of its newest closed bar. What happens at T, in this order: mark equity, risk, decide,
size, fill. `position` and `equity` of a line are after the fill, equity marked at close[T].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from trader.core.ledger import Ledger, fee_usdt
from trader.core.params import Params
from trader.core.policy import Limits, Thresholds, halted_side, target_side, within_holding_period
from trader.core.risk import RiskState, assess
from trader.core.sizing import NoOrder, SizedOrder, SizingRules, size
from trader.core.types import Fill, Filters, Quote, Side, Target, iso, plain

LINE_KEYS = (
    "close_time",
    "p_up",
    "target",
    "order_side",
    "order_qty",
    "fill_price",
    "fee",
    "position",
    "equity",
    "reason",
)

# Reasons of an hour without a chance to trade.
GAP, VENUE_CLOSED, MISSED, WARM_UP = "gap", "venue_closed", "missed", "warm_up"
# The venue's price is not the signal's: whatever is decided, nothing is sent.
PRICE_BAND = "price_band"


@dataclass(frozen=True, slots=True)
class HourLine:
    """The line of an hour, its fields LINE_KEYS. close_time: UTC ms. order_qty, position: in base; fill_price: the average,
    in quote per base; fee, equity: in quote, after the fill. None is what the hour has not."""

    close_time: int
    p_up: float | None
    target: Target
    order_side: Side | None
    order_qty: Decimal | None
    fill_price: Decimal | None
    fee: Decimal
    position: Decimal
    equity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at an hour. `close` marks the equity: close[T], or the last one before a gap. `quote` is None while
    the venue is shut. `p_up` is None without a prediction, and then `no_p_up` says why (gap, warm_up, missed).
    `refused` says why nothing may be sent although the venue quotes, "" if it may.
    """

    close_time: int
    close: Decimal
    quote: Quote | None
    p_up: float | None
    no_p_up: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What an hour begins with: the newest record's totals. entered_at: the hour of the last entry that was filled."""

    ledger: Ledger
    risk: RiskState
    entered_at: int | None = None

    @staticmethod
    def fresh(allocation_usdt: Decimal) -> State:
        """Flat, with the whole allocation in cash."""
        return State(Ledger(cash=allocation_usdt), RiskState.fresh(allocation_usdt))


@dataclass(frozen=True)
class Rules:
    """Everything that decides beside state and sight: parameters and what the exchange accepts."""

    params: Params
    filters: Filters
    freeze_on_halt: bool = False

    @cached_property
    def sizing(self) -> SizingRules:
        """The part that sizes orders."""
        p = self.params
        return SizingRules(p.costs, self.filters, p.cash_buffer, p.rebalance_band)

    @cached_property
    def limits(self) -> Limits:
        """The part that halts."""
        return self.params.limits(freeze=self.freeze_on_halt)

    @cached_property
    def thresholds(self) -> Thresholds:
        """The part that chooses a side."""
        return self.params.thresholds


@dataclass(frozen=True, slots=True)
class HourDecision:
    """What an hour decides, computed; `records.Decision` is what the journal keeps of it. `order` is None without one; `risk` is the state after marking this hour's equity."""

    close_time: int
    p_up: float | None
    target: Target
    order: SizedOrder | None
    reason: str
    risk: RiskState
    equity_before: Decimal

    @property
    def halts(self) -> bool:
        """True in the one hour whose loss reached a limit."""
        return self.risk.halted_at == self.close_time


def decide_hour(state: State, seen: Seen, rules: Rules) -> HourDecision:
    """Mark, risk, decide, size. Pure: equal arguments give equal decisions, in the backtest and at the venue."""
    ledger, filters = state.ledger, rules.filters
    equity = ledger.equity(seen.close)
    risk = assess(state.risk, equity, seen.close_time, rules.limits)
    held = ledger.held(seen.close, filters)
    target = _target(state, seen, held, risk, rules)
    order, reason = _order(seen, held, target, ledger, risk, rules)
    free = seen.quote is not None and seen.no_p_up != GAP and not seen.refused
    if risk.halted_at is not None and free:
        reason = "halt" if order or risk.halted_at == seen.close_time else "halted"
    return HourDecision(seen.close_time, seen.p_up, target, order, reason, risk, equity)


def _target(state: State, seen: Seen, held: Target, risk: RiskState, rules: Rules) -> Target:
    if risk.halted_at is not None:
        return halted_side(held, risk.frozen)
    if within_holding_period(held, seen.close_time, state.entered_at, rules.params.horizon_hours):
        return held
    return target_side(seen.p_up, held, rules.thresholds)


def _order(
    seen: Seen, held: Target, target: Target, ledger: Ledger, risk: RiskState, rules: Rules
) -> tuple[SizedOrder | None, str]:
    if seen.quote is None:
        return None, seen.no_p_up if seen.no_p_up == MISSED else VENUE_CLOSED
    if seen.refused:
        return None, seen.refused
    if seen.no_p_up == GAP or (seen.p_up is None and target == held):
        return None, seen.no_p_up
    if risk.frozen:
        return None, "halted"
    sized = size(target, held, ledger, seen.close, seen.quote, rules.sizing)
    return (None, sized.reason) if isinstance(sized, NoOrder) else (sized, sized.reason)


def settle(state: State, decision: HourDecision, fills: Sequence[Fill]) -> State:
    """The state after an hour: its fills in the ledger, its marks in the risk state."""
    ledger = state.ledger
    if decision.order is not None:
        ledger = replace(ledger, orders=ledger.orders + 1)
    for fill in fills:
        ledger = ledger.after(fill)
    entered = decision.order is not None and decision.order.reason == "enter" and bool(fills)
    return State(ledger, decision.risk, decision.close_time if entered else state.entered_at)


def modelled_fill(order: SizedOrder, rules: Rules) -> Fill:
    """The fill that the cost model predicts for an order: whole, at the expected price."""
    fee, paid_in = rules.sizing.costs.commission(order.side, order.qty, order.expected_price)
    return Fill(order.side, order.expected_price, order.qty, fee, paid_in)


def average_price(fills: Sequence[Fill]) -> Decimal | None:
    """Quantity-weighted price of an hour's fills, None without one."""
    qty = sum((fill.qty for fill in fills), Decimal(0))
    return sum((fill.qty * fill.price for fill in fills), Decimal(0)) / qty if qty else None


def line_of(decision: HourDecision, fills: Sequence[Fill], after: State, close: Decimal) -> HourLine:
    """The line of an hour. `close` marks the equity after the fill."""
    order = decision.order
    return HourLine(
        close_time=decision.close_time,
        p_up=decision.p_up,
        target=decision.target,
        order_side=order.side if order else None,
        order_qty=order.qty if order else None,
        fill_price=average_price(fills),
        fee=sum((fee_usdt(fill) for fill in fills), Decimal(0)),
        position=after.ledger.position,
        equity=after.ledger.equity(close),
        reason=decision.reason,
    )


def line_json(line: HourLine) -> dict[str, Any]:
    """A line as machines read it, keys in the order of LINE_KEYS: the hour in ISO, amounts as decimal text."""
    return {
        "close_time": iso(line.close_time),
        "p_up": line.p_up,
        "target": line.target,
        "order_side": line.order_side,
        "order_qty": None if line.order_qty is None else plain(line.order_qty),
        "fill_price": None if line.fill_price is None else plain(line.fill_price),
        "fee": plain(line.fee),
        "position": plain(line.position),
        "equity": plain(line.equity),
        "reason": line.reason,
    }


def line_text(line: HourLine) -> str:
    """A line as one row of JSON Lines, without the newline: the very bytes that both hosts write."""
    return json.dumps(line_json(line), separators=(", ", ": "))
