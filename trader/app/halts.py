"""HALT is an event in the store: written by a limit, by a doubt, or by a person; lifted by a person only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from trader.app.codec_events import ACCOUNT, HALT
from trader.app.journal import Journal
from trader.app.order_ids import ORDER_ID, parse_order_id
from trader.core.errors import ConfigError
from trader.core.events import AdoptEvent, Author, Event, HaltEvent, IgnoreEvent, ResumeEvent
from trader.core.records import Totals
from trader.core.risk import RiskState, halted

Halts = Event[HaltEvent | ResumeEvent]


def announce(
    journal: Journal, at_ms: int, reason: str, *, freeze: bool, by: Author = "bot", message: str = ""
) -> Halts:
    """Write a halt, unless the newest event already says the same: of a bot, one of this reason and these orders; of a
    person, one with this reason, these words and the same about what is held. Safe to repeat."""
    newest, made = newest_event(journal), HaltEvent(journal.symbol, at_ms, reason, freeze, by, message)
    said = newest.content if newest else None
    repeats = isinstance(said, HaltEvent) and said.reason == reason and by == "bot"
    repeats = repeats and set(ORDER_ID.findall(message)) <= set(
        ORDER_ID.findall(said.message if said else "")
    )
    if newest and (repeats or (isinstance(said, HaltEvent) and replace(said, at_ms=at_ms) == made)):
        return newest
    return journal.append(made)


def resume(journal: Journal, at_ms: int, message: str) -> Halts:
    """Lift the halt: the next hour begins a new risk epoch at its equity. Raises ConfigError if nothing is halted, and while
    nobody has said whose an order is that halted."""
    if standing_halt(journal) is None:
        raise ConfigError("nothing is halted; see: trader status")
    require_settled(journal)
    return journal.append(ResumeEvent(journal.symbol, at_ms, "person", message))


def _unsettled(journal: Journal) -> list[str]:
    """Orders that halts since the last resume name as nobody's, and of which no event says whose they are."""
    said = [e.content for e in journal.events(ACCOUNT) if isinstance(e.content, AdoptEvent | IgnoreEvent)]
    found: list[str] = []
    for event in reversed(journal.events(HALT)):
        if isinstance(event.content, ResumeEvent):
            break
        if event.content.reason in ("two_stores", "foreign_order"):
            found += [name for name in ORDER_ID.findall(event.content.message) if name not in found]
    return [name for name in found if not any(_settles(event, name, journal.store_id()) for event in said)]


def _settles(said: AdoptEvent | IgnoreEvent, name: str, store_id: str) -> bool:
    """Whether an event says whose an order is; to ignore one of another store settles the earlier ones of that store."""
    if said.client_order_id == name:
        return True
    other, order = parse_order_id(said.client_order_id), parse_order_id(name)
    if isinstance(said, AdoptEvent) or other is None or order is None:
        return False
    return other.store == order.store != store_id and order.hour <= other.hour


def require_settled(journal: Journal) -> None:
    """Raises ConfigError while nobody has said whose an order is that halted."""
    if names := _unsettled(journal):
        raise ConfigError(
            f"order {names[0]} halted this bot, and nobody has said whose it is. If what it executed is this bot's: trader adopt "
            f"{names[0]} --reason ...; if not: trader ignore {names[0]} --reason ..."
        )


def lift(journal: Journal, at_ms: int, named: str, message: str) -> bool:
    """Lift the halt that stands, if its words name `named`: a person has just mended its cause."""
    halt = standing_halt(journal)
    if halt is None or halt.by == "person" or named not in ORDER_ID.findall(halt.message):
        return False
    if _unsettled(journal):
        return False
    resume(journal, at_ms, message)
    return True


def newest_event(journal: Journal) -> Halts | None:
    """The newest halt or resume, None if there never was one."""
    events = journal.events(HALT)
    return events[-1] if events else None


def standing_halt(journal: Journal) -> HaltEvent | None:
    """The halt that is not lifted yet, None while trading goes on."""
    newest = newest_event(journal)
    return newest.content if newest and isinstance(newest.content, HaltEvent) else None


def with_events(journal: Journal, before: Totals, hour: int, mark: Decimal) -> Totals:
    """The totals an hour begins with, after every halt and resume that they do not hold yet; `mark` marks its equity."""
    if not journal.new_events(HALT, before.halt_event):
        return before
    return taken_in(before, journal.events(HALT), hour, mark)


def taken_in(before: Totals, events: Sequence[Halts], hour: int, mark: Decimal) -> Totals:
    """The totals after all of these halts and resumes, from the first one on, of which they hold `halt_event` already.
    A resume begins an epoch at the mark's equity."""
    equity = before.state.ledger.equity(mark)
    risk = risk_after(before.state.risk, events, before.halt_event, hour, equity)
    return replace(before, state=replace(before.state, risk=risk), halt_event=len(events))


def risk_after(risk: RiskState, events: Sequence[Halts], known: int, hour: int, equity: Decimal) -> RiskState:
    """The limits' state after all of these halts and resumes, of which it holds the first `known`. A resume begins an epoch
    at this equity."""
    for event in events[known:]:
        if isinstance(event.content, ResumeEvent):
            risk = RiskState.fresh(equity)
        else:
            risk = halted(risk, hour, event.content.reason, event.content.freeze)
            risk = replace(risk, frozen=keeps_position(events[: event.number]))
    return risk


def keeps_position(events: Sequence[Halts]) -> bool:
    """Whether what is held is kept while halted: the newest word of a person since the last resume says it; without one it is
    kept if any halt since then keeps it."""
    kept = False
    for event in reversed(events):
        if isinstance(event.content, ResumeEvent):
            break
        if event.content.by == "person":
            return event.content.freeze
        kept = kept or event.content.freeze
    return kept
