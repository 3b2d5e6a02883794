"""The newest hours of the journal as drift looks at them, kept in one object: in a bucket every record is a request.

    caches/<symbol>/recent.json    what the records of consecutive hours say

It is a copy of what never changes: without it, or where it is damaged, the records are read again.
"""

from __future__ import annotations

import json

from trader.app.journal import Journal, Json
from trader.app.stored import encode
from trader.core.types import HOUR_MS

SCHEMA = "recent/1"
KEYS = {"close_time", "close", "gap", "p_up", "features"}


def recent_key(symbol: str) -> str:
    """Where the newest hours are kept."""
    return f"caches/{symbol}/recent.json"


def recent_hours(
    journal: Journal, newest: Json, hours: int, most_reads: int | None = None
) -> list[Json] | None:
    """The `hours` consecutive hours up to the record `newest`, oldest first: close_time (UTC ms), close, gap, p_up (None
    without one), features by name (None where undefined). None before there are so many.

    What was read is kept for the next call. `most_reads` is for who only looks: nothing is written, and where more
    records than that would have to be read the answer is None.
    """
    last = int(newest["close_time"])
    first = last - (hours - 1) * HOUR_MS
    known = _kept(journal, first, last)
    missing = [hour for hour in range(first, last, HOUR_MS) if hour not in known]
    if most_reads is not None and len(missing) > most_reads:
        return None
    for hour in missing:
        record = journal.record(hour)
        if record is None:
            return None
        known[hour] = _seen(record)
    fresh = last not in known
    known[last] = _seen(newest)
    rows = [known[hour] for hour in sorted(known)]
    if most_reads is None and (missing or fresh):
        journal.store.put(recent_key(journal.symbol), encode({"schema": SCHEMA, "hours": rows}))
    return rows


def _seen(record: Json) -> Json:
    return {
        "close_time": int(record["close_time"]),
        "close": record["close"],
        "gap": record["gap"],
        "p_up": record["line"]["p_up"],
        "features": record.get("features", {}),  # hours of earlier code have none
    }


def _kept(journal: Journal, first: int, last: int) -> dict[int, Json]:
    """The kept hours within a span, by their time; none where the object is not what it should be."""
    data = journal.store.get(recent_key(journal.symbol))
    try:
        value = json.loads(data) if data else {}
        if value.get("schema") != SCHEMA:
            return {}
        rows = [row for row in value["hours"] if row.keys() == KEYS]
        return {row["close_time"]: row for row in rows if first <= row["close_time"] <= last}
    except (ValueError, TypeError, AttributeError, KeyError):
        return {}
