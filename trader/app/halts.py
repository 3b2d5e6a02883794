"""HALT is an event in the store: written by a limit, by a doubt, or by a person; lifted by a person only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from trader.app.journal import Event, Journal
from trader.app.objects import Totals
from trader.core.errors import ConfigError
from trader.core.risk import RiskState, halted


def announce(
    journal: Journal, at_ms: int, reason: str, *, freeze: bool, by: str = "bot", words: str = ""
) -> Event:
    """Write a halt, unless the newest event already is one of this reason. Safe to repeat."""
    newest = newest_event(journal)
    if newest and newest.content["kind"] == "halt" and newest.content["reason"] == reason:
        return newest
    content = {"kind": "halt", "at": at_ms, "reason": reason, "freeze": freeze, "by": by, "words": words}
    return journal.append("halt", content)


def resume(journal: Journal, at_ms: int, words: str) -> Event:
    """Lift the halt: the next hour begins a new risk epoch at its equity. Raises ConfigError if nothing is halted."""
    newest = newest_event(journal)
    if newest is None or newest.content["kind"] != "halt":
        raise ConfigError("nothing is halted; see: trader status")
    return journal.append(
        "halt", {"kind": "resume", "at": at_ms, "reason": "person", "by": "person", "words": words}
    )


def newest_event(journal: Journal) -> Event | None:
    """The newest halt or resume, None if there never was one."""
    events = journal.events("halt")
    return events[-1] if events else None


def with_events(journal: Journal, before: Totals, hour: int, close: Decimal) -> Totals:
    """The totals an hour begins with, after every halt and resume that they do not hold yet."""
    return taken_in(before, journal.new_events("halt", before.halt_event), hour, close)


def taken_in(before: Totals, events: Iterable[Event], hour: int, close: Decimal) -> Totals:
    """The totals after these halts and resumes, which they do not hold yet."""
    risk, number = before.state.risk, before.halt_event
    for event in events:
        number = event.number
        if event.content["kind"] == "resume":
            risk = RiskState.fresh(before.state.ledger.equity(close))
        else:
            risk = halted(risk, hour, event.content["reason"], event.content["freeze"])
    return replace(before, state=replace(before.state, risk=risk), halt_event=number)
