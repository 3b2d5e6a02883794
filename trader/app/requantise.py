"""An order that the venue's filters refused: they are asked again, once an hour, and the next attempt carries what they accept.

The exchange may change its filters at any time, and a warm process knows those of a while ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.core.ports import OrderAnswer
from trader.core.records import Attempt, Order, Outcome
from trader.core.types import Filters


@dataclass(frozen=True, slots=True)
class AttemptedOrder:
    """What an attempt carries of an order. filters: those that the quantity was made to fit anew, None where it is the
    decided one."""

    qty: Decimal
    filters: Filters | None = None


def may_follow(outcome: Outcome) -> bool:
    """Whether another attempt of the hour may follow one that ended so."""
    return outcome.kind == "absent" or outcome.requantise


def asks_filters(sent: OrderAnswer, attempt: Attempt) -> bool:
    """Whether a refusal is one by the filters and the first of its hour."""
    return sent.again == "filters" and attempt.filters is None


def carried_on(before: Attempt | None, order: Order) -> AttemptedOrder:
    """What an attempt carries unless filters are asked for it: as much as the one before."""
    return AttemptedOrder(order.qty) if before is None else AttemptedOrder(before.qty, before.filters)


def fitted(carried: AttemptedOrder, price: Decimal, filters: Filters) -> AttemptedOrder | None:
    """The largest part that the filters accept at about this price. None where they accept none, and where they accept it
    whole: they refused the very same a moment ago."""
    most = carried.qty if filters.max_qty is None else min(carried.qty, filters.max_qty)
    part = most // filters.step_size * filters.step_size
    too_small = part <= 0 or part < filters.min_qty or part * price < filters.min_notional
    return None if too_small or part == carried.qty else AttemptedOrder(part, filters)
