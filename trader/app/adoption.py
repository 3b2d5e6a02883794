"""Orders that no decision of this journal sent become this bot's: by an event that a person writes, or by a decision made after
the fact where the order carries this store's own id and its hour is not closed yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal

from trader.app.codec_events import ACCOUNT
from trader.app.journal import Journal
from trader.app.order_ids import parse_order_id
from trader.core.errors import Halt
from trader.core.events import AccountEvent, AdoptEvent, EpochEvent, Event
from trader.core.hours import ADOPTED, HourState
from trader.core.ports import OrderState
from trader.core.records import Decision, HourRecord, Order, Outcome, Totals
from trader.core.risk import RiskState
from trader.core.types import Fill

PRICE_QUANTUM = Decimal("1e-8")


def with_account(journal: Journal, before: Totals) -> tuple[Totals, tuple[Fill, ...]]:
    """The totals an hour begins with, after every account event that they do not hold yet, and the fills that these booked."""
    events = journal.events(ACCOUNT)
    if len(events) <= before.account_event:
        return before, ()
    return taken_in(before, events, lambda name: booked_by_hour(journal, name))


def taken_in(
    before: Totals, events: Sequence[Event[AccountEvent]], by_hour: Callable[[str], Collection[int]]
) -> tuple[Totals, tuple[Fill, ...]]:
    """The totals after all of these events, from the first one on, of which they hold `account_event` already.

    An order is booked once, however often it was adopted, and of it what its own hour has not booked: `by_hour` gives the
    numbers of the trades that it has. An epoch begins flat, unless the position has changed since it was said; a halt that
    stands goes on standing.
    """
    booked = {
        e.content.client_order_id for e in events[: before.account_event] if isinstance(e.content, AdoptEvent)
    }
    totals, fills = before, list[Fill]()
    for said in (event.content for event in events[before.account_event :]):
        if isinstance(said, EpochEvent):
            # One that saw another position than there is now would lose it from sight: it does not count.
            if said.position == totals.state.ledger.position:
                totals = _begun_anew(totals, said.allocation_usdt)
        elif isinstance(said, AdoptEvent) and said.client_order_id not in booked:
            booked.add(said.client_order_id)
            there = by_hour(said.client_order_id)
            new = [fill for fill in said.fills if fill.trade_id not in there]
            totals = replace(totals, state=_after(totals.state, new))
            fills += new
    return replace(totals, account_event=len(events)), tuple(fills)


def epoch_between(journal: Journal, then: HourRecord, now: HourRecord) -> bool:
    """Whether a new epoch began after one record and up to another, so that their equities are of two curves."""
    first, last = then.totals.account_event, now.totals.account_event
    return first != last and any(
        isinstance(e.content, EpochEvent) for e in journal.events(ACCOUNT)[first:last]
    )


def booked_by_hour(journal: Journal, client_order_id: str) -> Collection[int]:
    """The numbers of the trades of an order that the hour of its decision has booked."""
    name = parse_order_id(client_order_id)
    if name is None or name.store != journal.store_id() or name.kind == "f":
        return ()
    outcome, record = journal.outcome(name.hour, name.attempt), journal.record(name.hour)
    fills = (*(outcome.fills if outcome else ()), *(record.own_fills if record else ()))
    return {fill.trade_id for fill in fills}


def executed_of(outcome: Outcome) -> Decimal:
    """The quantity that an attempt executed, in base."""
    return sum((fill.qty for fill in outcome.fills), Decimal(0))


def _begun_anew(totals: Totals, allocation_usdt: Decimal) -> Totals:
    state, risk = HourState.fresh(allocation_usdt), totals.state.risk
    kept = RiskState(allocation_usdt, allocation_usdt, risk.halted_at, risk.halt_reason, risk.frozen)
    return Totals(replace(state, risk=kept), halt_event=totals.halt_event)


def _after(state: HourState, fills: Sequence[Fill]) -> HourState:
    ledger = state.ledger
    for fill in fills:
        ledger = ledger.after(fill)
    return replace(state, ledger=ledger)


def made_after_the_fact(journal: Journal, proposal: Decision, orders: Sequence[OrderState]) -> Decision:
    """The decision of an hour whose own was lost, by what the venue executed for it, and by its attempts where they are there:
    nothing is sent for it any more.

    Raises Halt where the orders of an hour went both ways.
    """
    sides = {order.side for order in orders}
    if len(sides) > 1:
        names = ", ".join(order.client_order_id for order in orders)
        raise Halt(
            "foreign_order",
            f"orders {names} of one hour bought and sold: another bot with this store's id trades on this account",
        )
    side = sides.pop()
    qty = sum((order.executed_qty for order in orders), Decimal(0))
    paid = sum((order.quote_qty for order in orders), Decimal(0))
    price = (paid / qty).quantize(PRICE_QUANTUM) or proposal.close
    for name in (parse_order_id(order.client_order_id) for order in orders):
        attempt = name and journal.attempt(name.hour, name.attempt)
        if attempt:
            qty, price = attempt.qty, attempt.expected_price
    by_halt = any((name := parse_order_id(o.client_order_id)) and name.kind == "h" for o in orders)
    return replace(
        proposal,
        order=Order(side, qty, price),
        target="long" if side == "BUY" else "flat",
        reason="halt" if by_halt else ADOPTED,
        found_at_venue=True,
    )
