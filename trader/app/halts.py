"""HALT is an event in the store: written by a limit, by a doubt, or by a person; lifted by a person only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from trader.app.codec_events import HALT
from trader.app.journal import Journal
from trader.core.errors import ConfigError
from trader.core.events import Author, Event, HaltEvent, ResumeEvent
from trader.core.records import Totals
from trader.core.risk import RiskState, halted

Halts = Event[HaltEvent | ResumeEvent]


def announce(
    journal: Journal, at_ms: int, reason: str, *, freeze: bool, by: Author = "bot", message: str = ""
) -> Halts:
    """Write a halt, unless the newest event already is one of this reason. Safe to repeat."""
    newest = newest_event(journal)
    if newest and isinstance(newest.content, HaltEvent) and newest.content.reason == reason:
        return newest
    return journal.append(HaltEvent(journal.symbol, at_ms, reason, freeze, by, message))


def resume(journal: Journal, at_ms: int, message: str) -> Halts:
    """Lift the halt: the next hour begins a new risk epoch at its equity. Raises ConfigError if nothing is halted."""
    if standing_halt(journal) is None:
        raise ConfigError("nothing is halted; see: trader status")
    return journal.append(ResumeEvent(journal.symbol, at_ms, "person", message))


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
    return taken_in(before, journal.new_events(HALT, before.halt_event), hour, mark)


def taken_in(before: Totals, events: Iterable[Halts], hour: int, mark: Decimal) -> Totals:
    """The totals after these halts and resumes, which they do not hold yet. A resume begins an epoch at the mark's equity."""
    risk, number = before.state.risk, before.halt_event
    for event in events:
        number = event.number
        if isinstance(event.content, HaltEvent):
            risk = halted(risk, hour, event.content.reason, event.content.freeze)
        else:
            risk = RiskState.fresh(before.state.ledger.equity(mark))
    return replace(before, state=replace(before.state, risk=risk), halt_event=number)
