"""Observers are told what the journal says, after it was written and never before, each from its own cursor on.

An observer that failed or had to be stopped is told after the others, in smaller parts each time, and is left alone
until the next hour when that happened often: it can neither starve the others nor stand still for ever on a part that is
too long for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trader.app.codec_events import ACCOUNT, BREACH, CHAMPION, DEPLOYMENT, HALT, REFUSAL, STUDY, TROUBLE
from trader.app.cursors import read_cursor, write_cursor
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.stored import EventFormat
from trader.core.errors import TraderError
from trader.core.events import AnyEvent, Event
from trader.core.news import News, Observer
from trader.core.records import Cursor, HourRecord
from trader.core.types import HOUR_MS

# So many hours are told at a time; a backlog that does not fit into one tick's patience goes on with the next.
CHUNK_HOURS = 48
# A study comes before the champion that it found.
EVENTS: tuple[EventFormat[Any], ...] = (DEPLOYMENT, STUDY, CHAMPION, BREACH, HALT, ACCOUNT, TROUBLE, REFUSAL)
LONGEST_TROUBLE = 300

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one observer took in: hours and events; trouble is "" unless it failed."""

    name: str
    hours: int
    events: int
    trouble: str = ""


def tell_all(
    journal: Journal, observers: Sequence[Observer], say: Say, begin: Say = lambda name: None
) -> list[Delivered]:
    """Tell each observer what it has not heard, those that failed least first. `begin` hears the name of the one that is
    about to be told, "" between two. One that fails is said, counted in its cursor, and told the same next time; it keeps
    nothing from the others. Raises nothing for an observer's failure."""
    waiting = [(read_cursor(journal, observer.name), observer) for observer in observers]
    heard = []
    for cursor, observer in sorted(waiting, key=lambda pair: pair[0].failures):
        begin(observer.name)
        heard.append(_tried(journal, observer, cursor, say))
        begin("")
    return heard


def _tried(journal: Journal, observer: Observer, cursor: Cursor, say: Say) -> Delivered:
    heard = Delivered(observer.name, 0, 0)
    try:
        for part in tell(journal, observer, cursor, max(1, CHUNK_HOURS >> cursor.failures)):
            heard = Delivered(observer.name, heard.hours + part.hours, heard.events + part.events)
    except Exception as error:  # whatever a foreign library throws must not reach the hour
        trouble = f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST_TROUBLE]
        say(f"observer {observer.name}: {trouble}; nothing is lost, it is told again with the next tick")
        _count(journal, observer.name, trouble, say)
        return replace(heard, trouble=trouble)
    return heard


def _count(journal: Journal, name: str, trouble: str, say: Say) -> None:
    try:
        cursor = read_cursor(journal, name)
        write_cursor(journal, name, replace(cursor, failures=cursor.failures + 1, trouble=trouble))
    except TraderError as error:  # the store is in trouble too: the next tick will say so itself
        say(f"observer {name}: its failure could not be counted ({error})")


def tell(
    journal: Journal,
    observer: Observer,
    cursor: Cursor | None = None,
    chunk_hours: int | None = CHUNK_HOURS,
) -> Iterator[Delivered]:
    """Tell one observer everything after its cursor (or after `cursor`), oldest first; yields after each part that was taken
    in and noted: `chunk_hours` at first and up to CHUNK_HOURS later, None for all at once. Raises whatever the observer
    raises."""
    cursor = cursor or read_cursor(journal, observer.name)
    deployments = journal.new_events(DEPLOYMENT, 0)
    if not deployments and journal.symbol != BOOK:
        return
    began = (
        deployments[-1].content.start_ms if deployments else 0
    )  # a book has events and no records of its own
    events = _events_after(journal, cursor)
    past = _Past(journal, began)
    while True:
        first = began if cursor.hour_ms is None else cursor.hour_ms + HOUR_MS
        records = _records_from(journal, first, chunk_hours)
        if not records and not events:
            return
        observer.observe(
            News(
                symbol=journal.symbol,
                store_id=journal.store_id(),
                began=began,
                records=records,
                past=past.before(first),
                events=events,
                store=journal.store,
                edition=cursor.edition,
            )
        )
        cursor = Cursor(
            hour_ms=records[-1].close_time if records else cursor.hour_ms,
            events={**cursor.events, **{event.name: event.number for event in events}},
            edition=cursor.edition,
        )
        write_cursor(journal, observer.name, cursor)
        past.keep(records)
        yield Delivered(observer.name, len(records), len(events))
        events = []
        chunk_hours = chunk_hours and min(CHUNK_HOURS, 2 * chunk_hours)


def _events_after(journal: Journal, cursor: Cursor) -> list[Event[AnyEvent]]:
    return [event for form in EVENTS for event in journal.new_events(form, cursor.events.get(form.name, 0))]


def _records_from(journal: Journal, first: int, most: int | None) -> list[HourRecord]:
    """Hours are closed in order, so the records are one run without holes: read until there is none."""
    records: list[HourRecord] = []
    while most is None or len(records) < most:
        record = journal.record(first + len(records) * HOUR_MS)
        if record is None:
            break
        records.append(record)
    return records


class _Past:
    """Records before the news, read only if an observer asks, and once."""

    def __init__(self, journal: Journal, began: int) -> None:
        self._journal, self._began = journal, began
        self._known: dict[int, HourRecord] = {}

    def keep(self, records: Sequence[HourRecord]) -> None:
        """Remember what was just told."""
        self._known.update({record.close_time: record for record in records})

    def before(self, first: int) -> Callable[[int], Sequence[HourRecord]]:
        """`News.past` for news that begin at `first`."""

        def past(n: int) -> list[HourRecord]:
            hours = range(max(self._began, first - n * HOUR_MS), first, HOUR_MS)
            return [record for hour in hours if (record := self._at(hour)) is not None]

        return past

    def _at(self, hour: int) -> HourRecord | None:
        if hour not in self._known:
            record = self._journal.record(hour)
            if record is not None:
                self._known[hour] = record
        return self._known.get(hour)
