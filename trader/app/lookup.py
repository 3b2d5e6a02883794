"""An order that was looked up: whether the venue's answers about it agree, and what follows where they do not."""

from __future__ import annotations

from collections.abc import Sequence

from trader.core.errors import Halt, OrderInDoubt, TraderError
from trader.core.executions import MOST_COMMISSION, contradiction, is_dear
from trader.core.ports import Exchange, OrderState
from trader.core.records import Attempt
from trader.core.types import Fill


def disagreement(exchange: Exchange, attempt: Attempt, state: OrderState, fills: Sequence[Fill]) -> str:
    """What does not fit between the order and its trades, "" where they agree. A high commission is believed where the venue
    says that this account pays it. Raises Retry where it does not say."""
    most = MOST_COMMISSION
    if any(is_dear(fill) for fill in fills):
        most = max(most, 2 * exchange.commission_terms(attempt.symbol).rate)
    return contradiction(state, fills, attempt.symbol, attempt.side, attempt.qty, most)


def unreconciled(exchange: Exchange, attempt: Attempt, doubt: str, deadline_ms: int) -> TraderError:
    """What to raise for an order whose answers contradict each other: it is looked at again until the deadline (UTC ms on the
    exchange's clock); then a person is told, and it is looked at at every tick still."""
    said = f"the venue's answers about order {attempt.client_order_id} contradict each other: {doubt}"
    if exchange.time_ms() <= deadline_ms:
        return OrderInDoubt(f"{said}; looking again next time")
    return Halt(
        "reconcile",
        f"{said}. Nothing of it is booked. Compare it with the venue's own page of orders and trades; every tick looks again and "
        f"books it once the answers agree, then trader resume",
    )
