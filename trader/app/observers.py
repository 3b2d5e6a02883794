"""Observers read the journal by cursors of their own, after it was written and never before.

    observers/<name>/<symbol>/cursor    the newest hour and events that an observer has heard of

A cursor moves only after its observer took the news in: a crash in between delays a message and loses none. It is a
note and no decision: without it everything is told again, and observers bear that.

An observer that failed or had to be stopped is told after the others, in smaller parts each time, and is left alone
until the next hour when that happened often: it can neither starve the others nor stand still for ever on a part that is
too long for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trader.app.journal import Journal, Json, encode
from trader.core.errors import TraderError
from trader.core.news import News, Observer, Occurrence
from trader.core.types import HOUR_MS, iso

SCHEMA = "cursor/1"
# So many hours are told at a time; a backlog that does not fit into one tick's patience goes on with the next.
CHUNK_HOURS = 48
# A study comes before the champion that it found.
EVENT_NAMES = ("deployment", "study", "champion", "breach", "halt")
LONGEST_TROUBLE = 300
# Failures in a row after which only a new hour is a reason to try again: as many as the ticks of an hour.
OFTEN = 4

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cursor:
    """hour: the newest hour that was heard, UTC ms. events: the newest number by name. failures: tries in a row that
    failed or were stopped since, trouble: why the last one was."""

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
    """Whether an observer has not heard of `hour` yet and may be tried once more: one small read each."""
    cursors = (read_cursor(journal, name) for name in names)
    return any((cursor.hour or 0) < hour and cursor.failures < OFTEN for cursor in cursors)


def standing(journal: Journal, names: Sequence[str], hour: int, start: int) -> list[Json]:
    """How far each observer has heard of the hours from `start` to `hour` (UTC ms): behind_hours and since when, how often
    in a row it failed or was stopped, and why the last time. One small read each."""
    return [_standing(name, read_cursor(journal, name), hour, start) for name in names]


def _standing(name: str, cursor: Cursor, hour: int, start: int) -> Json:
    first = start if cursor.hour is None else cursor.hour + HOUR_MS
    return {
        "name": name,
        "behind_hours": max(0, (hour - first) // HOUR_MS + 1),
        "behind_since": iso(first) if first <= hour else None,
        "failures": cursor.failures,
        "trouble": cursor.trouble,
    }


def standing_in_words(row: Json) -> str:
    """What troubles an observer, and since when it has heard nothing."""
    often = f", {row['failures']:,} times in a row" if row["failures"] > 1 else ""
    trouble = f"{row['trouble']}{often}" if row["failures"] else ""
    since = f"behind since {row['behind_since']} ({row['behind_hours']:,} h)" if row["behind_hours"] else ""
    return f"{row['name']}: " + "; ".join(part for part in (trouble, since) if part)


def stopped(journal: Journal, name: str, why: str, *, count: bool = True) -> str:
    """Count a telling that did not come to its end, which the observer itself could not do. Returns the first hour that it
    has not heard, "" for none that is closed."""
    cursor = read_cursor(journal, name)
    if count:
        write_cursor(journal, name, replace(cursor, failures=cursor.failures + 1, trouble=why))
    begun = journal.events("deployment")
    first = (
        cursor.hour + HOUR_MS if cursor.hour is not None else int(begun[-1].content["start"]) if begun else 0
    )
    return iso(first) if first and journal.record(first) is not None else ""


def tell_all(
    journal: Journal, observers: Sequence[Observer], say: Say, begin: Say = lambda name: None
) -> list[Heard]:
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


def _tried(journal: Journal, observer: Observer, cursor: Cursor, say: Say) -> Heard:
    heard = Heard(observer.name, 0, 0)
    try:
        for part in tell(journal, observer, cursor, max(1, CHUNK_HOURS >> cursor.failures)):
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
    taken in and noted: `chunk_hours` at first and up to CHUNK_HOURS later, None for all at once. Raises whatever the observer raises."""
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
        chunk_hours = chunk_hours and min(CHUNK_HOURS, 2 * chunk_hours)


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
