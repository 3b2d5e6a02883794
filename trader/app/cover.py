"""What stands between a decision and its order: the account must cover it, and limits hold whatever was decided.

The bot trades its own allocation inside an account. Where the account cannot cover a purchase, nothing is bought and trading
halts. An exit sells what there is, says what is missing, and halts as well: a stop that sells nothing is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from trader.app.halts import announce
from trader.app.orders import ExecutionContext
from trader.core.errors import Halt
from trader.core.hours import NOT_IN_ACCOUNT
from trader.core.records import Decision, Order
from trader.core.text import plural
from trader.core.types import DAY_MS, plain

WAYS = (
    "Find what moved it: put it back, or book the order that did (trader adopt ID), or begin anew (trader epoch); then "
    "trader resume"
)


@dataclass(frozen=True, slots=True)
class OrderLimits:
    """What no decision may exceed, however it came about; None switches a limit off. largest_order_usdt: worth of a purchase.
    largest_exposure: what may be held after a purchase, in allocations. orders_a_day: orders in 24 hours, exits apart."""

    largest_order_usdt: Decimal | None = None
    largest_exposure: Decimal | None = None
    orders_a_day: int | None = None


def covered(context: ExecutionContext, proposal: Decision, again: Callable[[], Decision]) -> Decision:
    """The proposal with an order that the account covers. `again` proposes anew, after a halt was announced.

    Another process of this bot may have traded this hour meanwhile. Its decision stands before its order leaves, so a
    shortage counts only while the hour is still undecided after it was seen. Raises Halt for a purchase that is not covered.
    """
    order = proposal.order
    if order is None:
        return proposal
    base, quote = context.exchange.assets(proposal.symbol)
    asset, needed = (quote, order.qty * order.expected_price) if order.side == "BUY" else (base, order.qty)
    free = context.exchange.balances().get(asset, Decimal(0))
    if free >= needed or context.journal.decision(proposal.close_time) is not None:
        return proposal
    counted = needed if order.side == "BUY" else proposal.totals.state.ledger.position
    said = (
        f"the journal counts on {plain(counted)} {asset}, the account has {plain(free)} free: {plain(counted - free)} {asset} "
        f"are missing"
    )
    if order.side == "BUY":
        raise Halt("reconcile", f"{said}. {WAYS}")
    announce(
        context.journal,
        proposal.close_time,
        "reconcile",
        freeze=False,
        message=f"{said}. What is there is sold. {WAYS}",
    )
    return _sells_what_there_is(again(), free)


def _sells_what_there_is(proposal: Decision, free: Decimal) -> Decision:
    """The proposal, its sale cut to what is free; without an order where that is less than the venue takes."""
    order, filters = proposal.order, proposal.filters
    if order is None or order.side == "BUY":
        return proposal
    qty = min(order.qty, free)
    qty -= qty % filters.step_size
    if qty < max(filters.min_qty, filters.step_size) or qty * order.expected_price < filters.min_notional:
        return replace(proposal, order=None, reason=NOT_IN_ACCOUNT)
    return replace(proposal, order=Order(order.side, qty, order.expected_price))


def broken_limit(
    context: ExecutionContext,
    decision: Decision,
    limits: OrderLimits,
    allocation_usdt: Decimal,
    book_allows_usdt: Decimal | None = None,
) -> str:
    """Which limit a decision's order exceeds, "" for none. A sale may sell what the decision's own state holds, a purchase spend
    its cash; an exit is not held up by anything else. book_allows_usdt: what a purchase of the hour may cost, None: all cash."""
    order, ledger = decision.order, decision.totals.state.ledger
    if order is None or decision.found_at_venue:
        return ""
    worth = order.qty * order.expected_price
    if order.side == "SELL":
        more = order.qty > max(ledger.position, Decimal(0))
        return f"it sells {plain(order.qty)}, its own state holds {plain(ledger.position)}" if more else ""
    if decision.totals.state.risk.halted_at is not None:
        return "it buys although trading is halted"
    if order.qty <= 0 or worth <= 0 or worth > ledger.cash:
        return f"it buys for {plain(worth)} USDT, its own state has {plain(ledger.cash)} in cash"
    if book_allows_usdt is not None and worth > book_allows_usdt:
        return f"it buys for {plain(worth)} USDT, and its book allows {plain(book_allows_usdt)} in this hour"
    if limits.largest_order_usdt is not None and worth > limits.largest_order_usdt:
        return f"it buys for {plain(worth)} USDT, largest_order_usdt is {plain(limits.largest_order_usdt)}"
    held = (ledger.position + order.qty) * order.expected_price
    if limits.largest_exposure is not None and held > limits.largest_exposure * allocation_usdt:
        most = limits.largest_exposure * allocation_usdt
        return f"it would hold {plain(held)} USDT, largest_exposure allows {plain(most)}"
    return _too_many(context, decision, limits.orders_a_day)


def _too_many(context: ExecutionContext, decision: Decision, most: int | None) -> str:
    if most is None:
        return ""
    ago = context.journal.record(decision.close_time - DAY_MS)
    orders = decision.totals.state.ledger.orders - (ago.ledger.orders if ago else 0)
    return (
        f"{plural(orders, 'order')} left in the last 24 hours, orders_a_day is {most}"
        if orders >= most
        else ""
    )
