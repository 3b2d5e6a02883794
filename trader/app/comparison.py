"""What the account did, compared with what the journal knows, before anything is decided and before an hour is called missed.

A client order id names bot and store. Where the journal has no attempt for an executed order of this store, the journal lost it
or the store is an older copy; an order of another store under this bot's name means that two stores trade one account, or
that this one is not the one that bought what is held.

A list may lag, and another process of this bot may be at work. So an order is unknown only where two looks say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trader.app.adoption import executed_of
from trader.app.journal import Journal, Series
from trader.app.order_ids import OrderName, parse_order_id
from trader.app.orders import ExecutionContext
from trader.core.errors import Halt, OrderInDoubt
from trader.core.events import (
    AccountEvent,
    AdoptEvent,
    ClosedAttemptEvent,
    Event,
    HaltEvent,
    IgnoreEvent,
)
from trader.core.ports import OrderState
from trader.core.records import HourRecord
from trader.core.types import DAY_MS, iso, plain

RECHECK_DELAY_S = 2.0
CLOSED_ATTEMPT_WINDOW_MS = 7 * DAY_MS
# Of many orders the newest are named; to ignore one of another store settles that store's earlier ones.
MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class UnknownOrders:
    """Executed orders of this bot that the journal does not know. lost: this store's, by the hour (UTC ms) that their ids
    name and that is not closed yet. closed: this store's that no open hour can book: of closed hours or hours to come, and
    sales that a person ordered. strangers: those of other stores."""

    lost: Mapping[int, tuple[OrderState, ...]]
    closed: tuple[OrderState, ...]
    strangers: tuple[OrderState, ...]

    def __bool__(self) -> bool:
        return bool(self.lost or self.closed or self.strangers)


def unknown_orders(
    context: ExecutionContext,
    newest: HourRecord | None,
    first: int,
    current: int,
    account: Sequence[Event[AccountEvent]],
) -> UnknownOrders:
    """What the journal does not know of this bot's orders since its newest record.

    first: the first hour that is not closed, current: the running one, both UTC ms. account: every account event. Asks two
    lists; twice where something is unknown, or where hours passed without a decision. Raises OrderInDoubt while an order that
    the journal does not know is not final.
    """
    found = _look(context, newest, first, current, account)
    if found or first < current:
        context.clock.sleep(RECHECK_DELAY_S)
        found = _look(context, newest, first, current, account)
    return found


def _look(
    context: ExecutionContext,
    newest: HourRecord | None,
    first: int,
    current: int,
    account: Sequence[Event[AccountEvent]],
) -> UnknownOrders:
    journal = context.journal
    orders = context.exchange.orders(journal.symbol, _since(newest, account))
    named = [(order, name) for order in orders if (name := _name_of(context, order))]
    mine = [(o, name) for o, name in named if not _is_settled(o, name, journal.store_id(), account)]
    lost: dict[int, tuple[OrderState, ...]] = {}
    closed: list[OrderState] = []
    strangers: list[OrderState] = []
    for order, name in mine:
        if name.store != journal.store_id():
            strangers.append(order)
        elif not order.executed_qty or _is_known(journal, newest, first, order, name, mine):
            continue
        elif not order.final:
            raise OrderInDoubt(
                f"order {order.client_order_id} is {order.status}, and the journal does not know it"
            )
        elif name.kind != "f" and first <= name.hour <= current:
            lost[name.hour] = (*lost.get(name.hour, ()), order)
        else:
            closed.append(order)
    return UnknownOrders(lost, tuple(closed), tuple(strangers))


def _since(newest: HourRecord | None, account: Sequence[Event[AccountEvent]]) -> int | None:
    """From when on orders are asked for (UTC ms): the newest record, or an attempt of the last days that a person closed, whose
    order may turn up late."""
    if newest is None:
        return None
    closed = [event.content.hour_ms for event in account if isinstance(event.content, ClosedAttemptEvent)]
    recent = [hour for hour in closed if newest.close_time - hour <= CLOSED_ATTEMPT_WINDOW_MS]
    return min([newest.close_time, *recent])


def _name_of(context: ExecutionContext, order: OrderState) -> OrderName | None:
    """What the id of an order of this bot says, None for anybody else's order."""
    name = parse_order_id(order.client_order_id)
    return name if name is not None and name.bot == context.bot[:6] else None


def _is_settled(
    order: OrderState, name: OrderName, store_id: str, account: Sequence[Event[AccountEvent]]
) -> bool:
    """Whether an event says whose an order is. That an order of another store is ignored holds for the earlier ones of that
    store as well."""
    for said in (event.content for event in account):
        if not isinstance(said, AdoptEvent | IgnoreEvent):
            continue
        other = parse_order_id(said.client_order_id)
        same_stranger = (
            isinstance(said, IgnoreEvent) and other is not None and other.store == name.store != store_id
        )
        if said.client_order_id == order.client_order_id or (
            same_stranger and order.transact_ms <= said.transact_ms
        ):
            return True
    return False


def _is_known(
    journal: Journal,
    newest: HourRecord | None,
    first: int,
    order: OrderState,
    name: OrderName,
    mine: Sequence[tuple[OrderState, OrderName]],
) -> bool:
    """Whether the journal knows an order of this store: as an attempt of an hour that is open, or as much of it as the outcome
    of a closed one booked. The newest record says it of its own hour without a read: what was executed under the ids of that
    hour is what it booked."""
    series: Series = "flatten_" if name.kind == "f" else ""
    if [o.client_order_id for o, _ in mine].count(order.client_order_id) > 1:
        outcome = journal.outcome(name.hour, name.attempt, series)
        return outcome is not None and outcome.order_id == order.order_id
    if not series and name.hour >= first:
        attempted = journal.attempt(name.hour, name.attempt) is not None
        return attempted and journal.decision(name.hour) is not None
    if series or newest is None or name.hour != newest.close_time:
        if outcome := journal.outcome(name.hour, name.attempt, series):
            return executed_of(outcome) == order.executed_qty
        return bool(series) and journal.attempt(name.hour, name.attempt, series) is not None
    same = [o for o, n in mine if (n.store, n.hour) == (name.store, name.hour) and n.kind != "f"]
    executed = sum((order.executed_qty for order in same), Decimal(0))
    return executed == sum((fill.qty for fill in newest.own_fills), Decimal(0))


def require_known(found: UnknownOrders, standing: HaltEvent | None) -> None:
    """Raises Halt for orders that only a person can settle, unless the halt that stands names them already: then hours go on
    to be closed, and nothing is bought."""
    for order in (*found.strangers[-1:], *found.closed[-1:]):
        name = order.client_order_id
        if standing is not None and name in standing.message:
            return
        raise _stranger(found.strangers) if order in found.strangers else _closed(found.closed)


def _stranger(orders: Sequence[OrderState]) -> Halt:
    return Halt(
        "two_stores",
        f"{_seen(orders[-1])} was sent by a bot of this name with another store: two bots trade one account, or this store is "
        f"not the one that traded before. {_instructions(orders)} Two bots need two names (TRADER_BOT)",
    )


def _closed(orders: Sequence[OrderState]) -> Halt:
    return Halt(
        "foreign_order",
        f"{_seen(orders[-1])} carries this store's id, and the record of its hour does not hold it: the store is a copy of "
        f"another, or it lost something. {_instructions(orders)}",
    )


def _seen(order: OrderState) -> str:
    return f"order {order.client_order_id} ({order.side}, {plain(order.executed_qty)} executed at {iso(order.transact_ms)})"


def _instructions(orders: Sequence[OrderState]) -> str:
    """The commands to type for the newest order, and the other orders that need the same."""
    name = orders[-1].client_order_id
    others = [order.client_order_id for order in orders[-MOST_NAMED:-1]]
    more = f" The same for {', '.join(others)}." if others else ""
    return (
        f"If what it executed is this bot's: trader adopt {name} --reason ...; if not: trader ignore {name} "
        f"--reason ... .{more}"
    )
