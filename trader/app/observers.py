"""Observers read the journal by cursors of their own, after it was written and never before.

    observers/<name>/<symbol>/cursor    the newest hour and events that an observer has heard of

A cursor moves only after its observer took the news in: a crash in between delays a message and loses none. It is a
note and no decision: without it everything is told again, and observers bear that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trader.app.journal import Journal, Json, encode
from trader.core.errors import TraderError
from trader.core.news import News, Observer, Occurrence
from trader.core.types import HOUR_MS

SCHEMA = "cursor/1"
# So many hours are told at a time; a backlog that does not fit into one tick's patience goes on with the next.
CHUNK_HOURS = 48
# A study comes before the champion that it found.
EVENT_NAMES = ("deployment", "study", "champion", "breach", "halt")
LONGEST_TROUBLE = 300

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cursor:
    """hour: the newest hour that was heard, UTC ms. events: the newest number by name. failures: tries in a row that
    failed since, trouble: why the last one did."""

    hour: int | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    edition: int = 1
    failures: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one observer took in: hours and events; trouble is "" unless it failed."""

    name: str
    hours: int
    events: int
    trouble: str = ""


def cursor_key(name: str, symbol: str) -> str:
    """Where an observer's cursor lies."""
    return f"observers/{name}/{symbol}/cursor"


def read_cursor(journal: Journal, name: str) -> Cursor:
    """An observer's cursor; one at the beginning if there is none that can be read."""
    data = journal.store.get(cursor_key(name, journal.symbol))
    try:
        values = json.loads(data) if data else {}
        return Cursor(**values) if values.pop("schema", SCHEMA) == SCHEMA else Cursor()
    except (ValueError, TypeError, AttributeError):
        return Cursor()


def write_cursor(journal: Journal, name: str, cursor: Cursor) -> None:
    """Put an observer's cursor."""
    journal.store.put(cursor_key(name, journal.symbol), encode({**asdict(cursor), "schema": SCHEMA}))


def behind(journal: Journal, names: Sequence[str], hour: int) -> bool:
    """Whether an observer has not heard of `hour` yet: one small read each."""
    return any((read_cursor(journal, name).hour or 0) < hour for name in names)


def tell_all(journal: Journal, observers: Sequence[Observer], say: Say) -> list[Heard]:
    """Tell each observer what it has not heard. One that fails is said, counted in its cursor, and told the same next
    time; it keeps nothing from the others. Raises nothing for an observer's failure."""
    return [_tried(journal, observer, say) for observer in observers]


def _tried(journal: Journal, observer: Observer, say: Say) -> Heard:
    heard = Heard(observer.name, 0, 0)
    try:
        for part in tell(journal, observer):
            heard = Heard(observer.name, heard.hours + part.hours, heard.events + part.events)
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
) -> Iterator[Heard]:
    """Tell one observer everything after its cursor (or after `cursor`), oldest first; yields after each part that was
    taken in and noted: `chunk_hours` at a time, None for all at once. Raises whatever the observer raises."""
    cursor = cursor or read_cursor(journal, observer.name)
    deployments = journal.new_events("deployment", 0)
    if not deployments:
        return
    began = int(deployments[-1].content["start"])
    events = _events_after(journal, cursor)
    past = _Past(journal, began)
    while True:
        first = began if cursor.hour is None else cursor.hour + HOUR_MS
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
            hour=records[-1]["close_time"] if records else cursor.hour,
            events={**cursor.events, **{event.name: event.number for event in events}},
            edition=cursor.edition,
        )
        write_cursor(journal, observer.name, cursor)
        past.keep(records)
        yield Heard(observer.name, len(records), len(events))
        events = []


def _events_after(journal: Journal, cursor: Cursor) -> list[Occurrence]:
    return [
        Occurrence(name, event.number, event.content)
        for name in EVENT_NAMES
        for event in journal.new_events(name, cursor.events.get(name, 0))
    ]


def _records_from(journal: Journal, first: int, most: int | None) -> list[Json]:
    """Hours are closed in order, so the records are one run without holes: read until there is none."""
    records: list[Json] = []
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
        self._known: dict[int, Json] = {}

    def keep(self, records: Sequence[Json]) -> None:
        """Remember what was just told."""
        self._known.update({record["close_time"]: record for record in records})

    def before(self, first: int) -> Callable[[int], Sequence[Json]]:
        """`News.past` for news that begin at `first`."""

        def past(n: int) -> list[Json]:
            hours = range(max(self._began, first - n * HOUR_MS), first, HOUR_MS)
            return [record for hour in hours if (record := self._at(hour)) is not None]

        return past

    def _at(self, hour: int) -> Any:
        if hour not in self._known:
            record = self._journal.record(hour)
            if record is not None:
                self._known[hour] = record
        return self._known.get(hour)
