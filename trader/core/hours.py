"""One hour of trading, decided and written: the only place where backtest and bot turn what is known into a line.

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
from trader.core.policy import LossLimits, Thresholds, halted_side, target_side, within_holding_period
from trader.core.risk import RiskState, assess
from trader.core.sanity import UnconfirmedClose, doubt_of, marked_at, mid, out_of_band
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
# The venue had executed the hour's order, and the journal did not know it.
ADOPTED = "adopted"
# The account holds less than the smallest quantity that could be sold of what should be.
NOT_IN_ACCOUNT = "not_in_account"
# The venue's price lies outside the price band around the bar's close: nothing is sent.
PRICE_BAND = "price_band"
# Reasons that stay in the line although the bot is halted.
_KEPT_WHEN_HALTED = {GAP, VENUE_CLOSED, MISSED, PRICE_BAND}


@dataclass(frozen=True, slots=True)
class HourLine:
    """The line of an hour, its fields LINE_KEYS. close_time: UTC ms. order_qty, position: in base; fill_price: the average,
    in quote per base; fee, equity: in quote, after the fill. None where the hour has no such value."""

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
class HourInputs:
    """What is known at an hour. `close` marks the equity: close[T], or the last one before a gap. `quote` is None while
    the venue is shut. `p_up` is None without a prediction, and then `no_p_up` says why (gap, warm_up, missed).

    The other fields are used only with a price band. gap: the hour has no bar of its own. close_before: the close of the
    hour before, None in the first. price_after: the venue's price where no quote was recorded at T: the
    open at T, or a later price while that bar is forming. most_usdt: what a purchase may cost by the limits of a book, None for
    no limit.
    """

    close_time: int
    close: Decimal
    quote: Quote | None
    p_up: float | None
    no_p_up: str = ""
    gap: bool = False
    close_before: Decimal | None = None
    price_after: Decimal | None = None
    most_usdt: Decimal | None = None

    @property
    def venue_price(self) -> Decimal | None:
        """The venue's price: the middle of its quote, else the one after the hour; None where nobody knows it."""
        return self.price_after if self.quote is None else mid(self.quote)


@dataclass(frozen=True, slots=True)
class HourState:
    """What an hour begins with: the newest record's totals. entered_at: the hour of the last entry that was filled. doubt: of
    the newest close, None where the venue's price agreed with it; a second bar may have confirmed it since, and then it is no
    longer `unconfirmed`."""

    ledger: Ledger
    risk: RiskState
    entered_at: int | None = None
    doubt: UnconfirmedClose | None = None

    @staticmethod
    def fresh(allocation_usdt: Decimal) -> HourState:
        """Flat, with the whole allocation in cash."""
        return HourState(Ledger(cash=allocation_usdt), RiskState.fresh(allocation_usdt))

    def mark(self, close: Decimal) -> Decimal:
        """What marks the equity of the hour that left this state: its close, or the last confirmed one."""
        return marked_at(close, self.doubt)

    @property
    def unconfirmed(self) -> bool:
        """True where the newest close is doubted and nothing has confirmed it."""
        return self.doubt is not None and self.doubt.mark is not None


@dataclass(frozen=True)
class Rules:
    """Everything that decides beside state and inputs: parameters, what the exchange accepts, and two settings. price_band:
    a share, used where the parameters have none of their own."""

    params: Params
    filters: Filters
    freeze_on_halt: bool = False
    price_band: Decimal | None = None

    @property
    def band(self) -> Decimal | None:
        """How far a price of the venue may lie from the newest close, a share; None switches the band off."""
        return self.price_band if self.params.price_band is None else self.params.price_band

    @cached_property
    def sizing(self) -> SizingRules:
        """The part that sizes orders."""
        p = self.params
        return SizingRules(p.costs, self.filters, p.cash_buffer, p.rebalance_band)

    @cached_property
    def limits(self) -> LossLimits:
        """The part that halts."""
        return self.params.limits(freeze=self.freeze_on_halt)

    @cached_property
    def thresholds(self) -> Thresholds:
        """The part that chooses a side."""
        return self.params.thresholds


@dataclass(frozen=True, slots=True)
class HourDecision:
    """What an hour decides, computed; `records.Decision` is what the journal keeps of it. `order` is None without one; `risk`
    is the state after marking this hour's equity, `doubt` that of its close."""

    close_time: int
    p_up: float | None
    target: Target
    order: SizedOrder | None
    reason: str
    risk: RiskState
    equity_before: Decimal
    doubt: UnconfirmedClose | None = None

    @property
    def halts(self) -> bool:
        """True in the one hour whose loss reached a limit."""
        return self.risk.halted_at == self.close_time


def doubt_at(state: HourState, seen: HourInputs, rules: Rules) -> UnconfirmedClose | None:
    """The doubt about an hour's close, by the band of its rules."""
    return doubt_of(state.doubt, seen.close_before, seen.close, seen.venue_price, rules.band, gap=seen.gap)


def decide_hour(state: HourState, seen: HourInputs, rules: Rules) -> HourDecision:
    """Mark, risk, decide, size. Pure: equal arguments give equal decisions, in the backtest and at the venue.

    An unconfirmed close reaches neither the equity nor the limits: the last confirmed one marks the hour.
    """
    doubt = doubt_at(state, seen, rules)
    mark = marked_at(seen.close, doubt)
    now = replace(state, doubt=doubt)
    equity = state.ledger.equity(mark)
    if not now.unconfirmed:
        now = replace(now, risk=assess(state.risk, equity, seen.close_time, rules.limits))
    held, risk = state.ledger.held(mark, rules.filters), now.risk
    target = _target(now, seen, held, rules)
    order, reason = _order(now, seen, held, target, rules)
    if risk.halted_at is not None and reason not in _KEPT_WHEN_HALTED:
        reason = "halt" if order or risk.halted_at == seen.close_time else "halted"
    return HourDecision(seen.close_time, seen.p_up, target, order, reason, risk, equity, doubt)


def _target(now: HourState, seen: HourInputs, held: Target, rules: Rules) -> Target:
    if now.risk.halted_at is not None:
        return halted_side(held, now.risk.frozen)
    if within_holding_period(held, seen.close_time, now.entered_at, rules.params.horizon_hours):
        return held
    return target_side(seen.p_up, held, rules.thresholds)


def _order(
    now: HourState, seen: HourInputs, held: Target, target: Target, rules: Rules
) -> tuple[SizedOrder | None, str]:
    """The order of an hour, or why there is none. Where the price of the order's side lies outside the band around the
    close no order is sent, not even the sale of a halt, which every later hour decides again."""
    if seen.quote is None:
        return None, seen.no_p_up if seen.no_p_up == MISSED else VENUE_CLOSED
    if seen.no_p_up == GAP:
        return None, GAP
    if now.unconfirmed:
        return None, PRICE_BAND
    order, reason = _wanted(now, seen, seen.quote, held, target, rules)
    price = seen.venue_price if order is None else order.expected_price
    if out_of_band(seen.close, price, rules.band):
        return None, PRICE_BAND
    return order, reason


def _wanted(
    now: HourState, seen: HourInputs, quote: Quote, held: Target, target: Target, rules: Rules
) -> tuple[SizedOrder | None, str]:
    """The order before the price band is checked."""
    if seen.p_up is None and target == held:
        return None, seen.no_p_up
    if now.risk.frozen:
        return None, "halted"
    sized = size(target, held, now.ledger, seen.close, quote, rules.sizing, seen.most_usdt)
    return (None, sized.reason) if isinstance(sized, NoOrder) else (sized, sized.reason)


def settle(state: HourState, decision: HourDecision, fills: Sequence[Fill]) -> HourState:
    """The state after an hour: its fills in the ledger, its marks in the risk state, the doubt about its close."""
    ledger = state.ledger
    if decision.order is not None:
        ledger = replace(ledger, orders=ledger.orders + 1)
    for fill in fills:
        ledger = ledger.after(fill)
    entered = bool(fills) and decision.order is not None and _is_entry(decision.order)
    entered_at = decision.close_time if entered else state.entered_at
    return HourState(ledger, decision.risk, entered_at, decision.doubt)


def _is_entry(order: SizedOrder) -> bool:
    return order.reason == "enter" or (order.reason == ADOPTED and order.side == "BUY")


def modelled_fill(order: SizedOrder, rules: Rules) -> Fill:
    """The fill that the cost model predicts for an order: whole, at the expected price."""
    fee, paid_in = rules.sizing.costs.commission(order.side, order.qty, order.expected_price)
    return Fill(order.side, order.expected_price, order.qty, fee, paid_in)


def average_price(fills: Sequence[Fill]) -> Decimal | None:
    """Quantity-weighted price of an hour's fills, None without one."""
    qty = sum((fill.qty for fill in fills), Decimal(0))
    return sum((fill.qty * fill.price for fill in fills), Decimal(0)) / qty if qty else None


def line_of(
    decision: HourDecision,
    fills: Sequence[Fill],
    after: HourState,
    close: Decimal,
    adopted: Sequence[Fill] = (),
) -> HourLine:
    """The line of an hour. `close` marks the equity after the fill, or the last confirmed one while it is doubted. adopted:
    fills that were booked before the hour decided; they count as its fees."""
    order = decision.order
    return HourLine(
        close_time=decision.close_time,
        p_up=decision.p_up,
        target=decision.target,
        order_side=order.side if order else None,
        order_qty=order.qty if order else None,
        fill_price=average_price(fills),
        fee=sum((fee_usdt(fill) for fill in (*adopted, *fills)), Decimal(0)),
        position=after.ledger.position,
        equity=after.ledger.equity(after.mark(close)),
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
    """A line as one row of JSON Lines, without the newline: the very bytes that backtest and bot write."""
    return json.dumps(line_json(line), separators=(", ", ": "))
