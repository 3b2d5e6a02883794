"""Whether what a venue says of an order agrees with itself. Only what agrees is booked; the rest is looked up again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from trader.core.costs import COMMISSION_QUANTUM
from trader.core.ports import OrderState
from trader.core.types import Fill, Side, plain

# No account is charged this share of what it trades, unless the venue says so of this account.
MOST_COMMISSION = Decimal("0.05")
# An average price further than this share from the expected one is looked up before it is believed.
ABSURD_SHARE = Decimal("0.5")


def contradiction(
    state: OrderState,
    fills: Sequence[Fill],
    symbol: str,
    side: Side,
    qty: Decimal,
    most_commission: Decimal = MOST_COMMISSION,
) -> str:
    """The first thing that does not fit in an answer about a market order of `qty`, "" where everything does: the order
    against what was ordered, its status against its quantities, its executions against their sums."""
    found = [*_of_order(state, symbol, side, qty), *_of_fills(state, fills, most_commission)]
    return found[0] if found else ""


def _of_order(state: OrderState, symbol: str, side: Side, qty: Decimal) -> Iterator[str]:
    executed, ordered = state.executed_qty, state.orig_qty
    if (state.symbol, state.type, state.side, ordered) != (symbol, "MARKET", side, qty):
        told = f"{state.symbol} {state.type} {state.side} {plain(ordered)}"
        yield f"it is an order of {told}, not of {symbol} MARKET {side} {plain(qty)}"
    if executed > ordered or (state.status == "FILLED") != (executed == ordered):
        yield f"it is {state.status} with {plain(executed)} of {plain(ordered)} executed"
    if (executed > 0) != (state.quote_qty > 0):
        yield f"{plain(executed)} were executed for {plain(state.quote_qty)}"


def _of_fills(state: OrderState, fills: Sequence[Fill], most_commission: Decimal) -> Iterator[str]:
    if any(fill.side != state.side or fill.price <= 0 or fill.qty <= 0 for fill in fills):
        yield "an execution is of the other side, or of nothing"
    if len({fill.trade_id for fill in fills}) < len(fills):
        yield "an execution is listed twice"
    filled = sum((fill.qty for fill in fills), Decimal(0))
    if filled != state.executed_qty:
        yield f"its executions are {plain(filled)}, not {plain(state.executed_qty)}"
    paid = sum((fill.qty * fill.price for fill in fills), Decimal(0))
    # Each execution's amount may be rounded at eight decimals before it is added.
    if abs(paid - state.quote_qty) > len(fills) * COMMISSION_QUANTUM:
        yield f"its executions come to {plain(paid)}, not to {plain(state.quote_qty)}"
    for fill in fills:
        if is_dear(fill, most_commission):
            yield f"execution {fill.trade_id} is charged {plain(fill.commission)} in {fill.commission_in}"


def is_dear(fill: Fill, share: Decimal = MOST_COMMISSION) -> bool:
    """Whether a commission is above a share of its execution, beyond what rounding up explains."""
    traded = fill.qty if fill.commission_in == "base" else fill.qty * fill.price
    return fill.commission > traded * share + COMMISSION_QUANTUM


def is_absurd(fills: Sequence[Fill], expected_price: Decimal) -> bool:
    """Whether an average price is further from the expected one than a market moves between a quote and its fill."""
    qty = sum((fill.qty for fill in fills), Decimal(0))
    paid = sum((fill.qty * fill.price for fill in fills), Decimal(0))
    return abs(paid - qty * expected_price) > qty * expected_price * ABSURD_SHARE
