"""How far each observer has read the journal.

    observers/<name>/<symbol>/cursor    the newest hour and events that an observer has heard of

A cursor moves only after its observer took the news in: a crash in between delays a message and loses none. It is a
note and no decision: without it everything is told again, and observers bear that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trader.app.codec import CURSOR
from trader.app.codec_events import DEPLOYMENT
from trader.app.journal import Journal
from trader.core.records import Cursor
from trader.core.types import FAR_FUTURE_MS, HOUR_MS, Json, iso

# Failures in a row after which only a new hour is a reason to try again: as many as the ticks of an hour.
OFTEN = 4


def cursor_key(name: str, symbol: str) -> str:
    """Where an observer's cursor lies."""
    return f"observers/{name}/{symbol}/cursor"


def read_cursor(journal: Journal, name: str) -> Cursor:
    """An observer's cursor; one at the beginning if there is none that can be read."""
    return CURSOR.decode(journal.store.get(cursor_key(name, journal.symbol))) or Cursor()


def write_cursor(journal: Journal, name: str, cursor: Cursor) -> None:
    """Put an observer's cursor."""
    journal.store.put(cursor_key(name, journal.symbol), CURSOR.encode(cursor))


def has_cursor(journal: Journal, name: str) -> bool:
    """Whether an observer was ever told, or meant to be told, what this store holds."""
    return journal.store.get(cursor_key(name, journal.symbol)) is not None


def begin(journal: Journal, names: Sequence[str], hour: int) -> list[str]:
    """Note that these observers are about to be told of `hour` (UTC ms), and say in words what became of earlier tellings:
    who failed the last time, or has not even heard of the hour before. One that was never told gets a cursor at the
    beginning, so that a status says how far it is behind whatever becomes of its telling. One small read each."""
    late = []
    for name in names:
        key = cursor_key(name, journal.symbol)
        cursor = CURSOR.decode(journal.store.get(key))
        if cursor is None:
            journal.store.create(key, CURSOR.encode(Cursor()))
            continue
        row = _standing(name, cursor, hour - HOUR_MS, _first_hour(journal, cursor))
        if row["failures"] or row["behind_hours"]:
            late.append(standing_in_words(row))
    return late


def next_edition(cursor: Cursor) -> int:
    """Of a rebuilding from the beginning: one more than what was told, the first where nothing was."""
    was_told = cursor.hour_ms is not None or bool(cursor.events)
    return cursor.edition + 1 if was_told else cursor.edition


def behind(journal: Journal, names: Sequence[str], hour: int) -> bool:
    """Whether an observer has not heard of `hour` yet and may be tried once more: one small read each."""
    cursors = (read_cursor(journal, name) for name in names)
    return any((cursor.hour_ms or 0) < hour and cursor.failures < OFTEN for cursor in cursors)


def standing(journal: Journal, names: Sequence[str], hour: int, start: int) -> list[Json]:
    """How far each observer has heard of the hours from `start` to `hour` (UTC ms): behind_hours and since when, how often
    in a row it failed or was stopped, and why the last time. One small read each."""
    return [_standing(name, read_cursor(journal, name), hour, start) for name in names]


def _standing(name: str, cursor: Cursor, hour: int, start: int) -> Json:
    first = start if cursor.hour_ms is None else cursor.hour_ms + HOUR_MS
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


def stopped(journal: Journal, name: str, why: str) -> str:
    """Count a telling that did not come to its end, which the observer itself could not do. Returns the first hour that it
    has not heard, "" for none that is closed."""
    cursor = read_cursor(journal, name)
    write_cursor(journal, name, replace(cursor, failures=cursor.failures + 1, trouble=why))
    first = _first_hour(journal, cursor)
    return iso(first) if journal.record(first) is not None else ""


def _first_hour(journal: Journal, cursor: Cursor) -> int:
    """The first hour that an observer has not heard, UTC ms; far in the future where the bot has not begun."""
    if cursor.hour_ms is not None:
        return cursor.hour_ms + HOUR_MS
    begun = journal.events(DEPLOYMENT)
    return begun[-1].content.start_ms if begun else FAR_FUTURE_MS
