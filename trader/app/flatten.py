"""A person sells at once what is held: an event in the store is the intention, attempts lie in the folder of the hour, and what
they executed is booked with the next decision. Killed anywhere, the next tick brings it to its end."""

from __future__ import annotations

from decimal import Decimal

from trader.app.codec_events import ACCOUNT
from trader.app.journal import Journal
from trader.app.orders import MAX_ATTEMPTS, ExecutionContext, execute, order_name
from trader.app.parent_order import ParentOrder
from trader.core.events import AdoptEvent, FlattenEvent
from trader.core.records import Order
from trader.core.types import HOUR_MS, Fill

FLATTEN_MS = 10 * 60_000


def settle_flatten(context: ExecutionContext) -> list[Fill] | None:
    """Bring the sale at once that is not booked yet to its end and book it; None where there is none.

    Raises OrderInDoubt while its order is unknown.
    """
    sale = _pending(context)
    if sale is None:
        return None
    parent = parent_of_flatten(sale)
    overtaken = (
        context.journal.attempt(parent.hour, parent.first_attempt, "flatten_") is None
        and context.journal.decision(parent.hour + HOUR_MS) is not None
    )
    fills = [] if overtaken else execute(context, parent)
    made = AdoptEvent(
        symbol=context.journal.symbol,
        at_ms=context.exchange.time_ms(),
        by="bot",
        message="sold at once" if fills else "nothing was sold at once",
        client_order_id=order_name(context, parent, parent.first_attempt),
        transact_ms=sale.at_ms,
        fills=tuple(fills),
    )
    context.journal.append(made)
    return fills


def _pending(context: ExecutionContext) -> FlattenEvent | None:
    """The sale that is not booked yet. One that was ordered while another was not booked is void: it would sell twice."""
    pending: FlattenEvent | None = None
    for said in (event.content for event in context.journal.events(ACCOUNT)):
        if isinstance(said, FlattenEvent) and pending is None:
            pending = said
        elif isinstance(said, AdoptEvent) and pending is not None:
            parent = parent_of_flatten(pending)
            if said.client_order_id == order_name(context, parent, parent.first_attempt):
                pending = None
    return pending


def parent_of_flatten(sale: FlattenEvent) -> ParentOrder:
    """The order of a sale at once."""
    order = Order("SELL", sale.qty, sale.expected_price)
    return ParentOrder(sale.hour_ms, order, "f", sale.deadline_ms, first_attempt=sale.first_attempt)


def next_attempt(journal: Journal, hour: int) -> int:
    """The number of the first attempt that a sale at once may take in this hour (UTC ms)."""
    taken = (n for n in range(MAX_ATTEMPTS, 0, -1) if journal.attempt(hour, n, "flatten_"))
    return next(taken, 0) + 1


def sold(fills: list[Fill]) -> Decimal:
    """The quantity that fills sold, in base."""
    return sum((fill.qty for fill in fills), Decimal(0))
