"""The order that attempts carry out: an hour's own, or a sale that a person ordered within the hour."""

from __future__ import annotations

from dataclasses import dataclass

from trader.app.journal import Series
from trader.app.order_ids import OrderKind
from trader.core.records import Decision, Order


@dataclass(frozen=True, slots=True)
class ParentOrder:
    """An order that is carried out by attempts. hour: whose folder holds them. Nothing is sent after deadline_ms, UTC on the
    exchange's clock; nothing at all where `sent_before`: the venue executed it, and the journal lost or never had it; nor
    where it is `forbidden`, which says why."""

    hour: int
    order: Order
    kind: OrderKind
    deadline_ms: int
    sent_before: bool = False
    first_attempt: int = 1
    forbidden: str = ""

    @property
    def series(self) -> Series:
        """The attempts that belong to it."""
        return "flatten_" if self.kind == "f" else ""


def parent_of(decision: Decision, forbidden: str = "") -> ParentOrder | None:
    """The order that an hour decided, None without one. forbidden: why it must not be sent, "" where it may."""
    if decision.order is None:
        return None
    kind: OrderKind = "h" if decision.reason == "halt" else "d"
    hour, order, deadline_ms = decision.close_time, decision.order, decision.deadline_ms
    return ParentOrder(hour, order, kind, deadline_ms, decision.found_at_venue, forbidden=forbidden)
