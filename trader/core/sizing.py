"""Target side -> a valid market order, or a reasoned refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from trader.core.costs import CostModel, fill_price
from trader.core.ledger import Ledger
from trader.core.types import Filters, Quote, Side, Target

# A limit of the whole book leaves a purchase less than an order.
BOOK_LIMIT = "book_limit"


@dataclass(frozen=True, slots=True)
class SizedOrder:
    """A market order that the filters accept. expected_price is the fill that the cost model predicts."""

    side: Side
    qty: Decimal
    expected_price: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class NoOrder:
    """Nothing to send, and the short word why."""

    reason: str


@dataclass(frozen=True, slots=True)
class SizingRules:
    """cash_buffer and rebalance_band are shares, as in the parameters."""

    costs: CostModel
    filters: Filters
    cash_buffer: Decimal
    rebalance_band: Decimal


def floor_step(amount: Decimal, price: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` with quantity x price <= amount. Exact: the quotient is never rounded."""
    return max(Decimal(0), amount // (price * step)) * step


def size(
    target: Target,
    held: Target,
    ledger: Ledger,
    close: Decimal,
    quote: Quote,
    rules: SizingRules,
    most_usdt: Decimal | None = None,
) -> SizedOrder | NoOrder:
    """The order that brings the held side to the target side.

    An order leaves only if the sides differ, or if a long misses a quantity worth more than
    max(min_notional, rebalance_band x equity): drift of price alone never trades, a partial fill is completed.
    `close` marks the equity. most_usdt: what a purchase may cost by the limits of a whole book, None for no limit. Reasons:
    enter, leave, complete; hold, dust, book_limit.
    """
    if target == held != "long":
        return NoOrder("hold")
    side: Side = "BUY" if target == "long" or held == "short" else "SELL"
    price = fill_price(side, quote, rules.costs, rules.filters.tick_size)
    if price <= 0:
        return NoOrder("dust")
    qty = _quantity(target, held, ledger, price, rules)
    if rules.filters.max_qty is not None:
        qty = min(qty, rules.filters.max_qty - rules.filters.max_qty % rules.filters.step_size)
    wanted = _worth_sending(target, held, SizedOrder(side, qty, price, ""), ledger.equity(close), rules)
    if side == "SELL" or most_usdt is None or qty * price <= most_usdt or isinstance(wanted, NoOrder):
        return wanted
    cut = SizedOrder(side, floor_step(most_usdt, price, rules.filters.step_size), price, "")
    allowed = _worth_sending(target, held, cut, ledger.equity(close), rules)
    return NoOrder(BOOK_LIMIT) if isinstance(allowed, NoOrder) else allowed


def _worth_sending(
    target: Target, held: Target, order: SizedOrder, equity: Decimal, rules: SizingRules
) -> SizedOrder | NoOrder:
    """The order with its reason, or why it is too small to leave."""
    qty, price = order.qty, order.expected_price
    worth = qty * price
    too_small = worth < rules.filters.min_notional or qty < rules.filters.min_qty or qty <= 0
    if target == held:
        floor = max(rules.filters.min_notional, rules.rebalance_band * equity)
        complete = worth > floor and not too_small
        return replace(order, reason="complete") if complete else NoOrder("hold")
    if too_small:
        return NoOrder("dust")
    return replace(order, reason="leave" if target == "flat" else "enter")


def _quantity(target: Target, held: Target, ledger: Ledger, price: Decimal, rules: SizingRules) -> Decimal:
    step = rules.filters.step_size
    spendable = 1 - rules.cash_buffer
    if target == "long" and held != "short":
        return floor_step(ledger.cash * spendable, price, step)
    if target == "flat":
        return abs(ledger.position) // step * step
    # Turning round, or going short: what is held is closed and as much as the equity allows is opened.
    opened = floor_step(ledger.equity(price) * spendable, price, step)
    return opened + abs(ledger.position) // step * step if held != "flat" else opened
