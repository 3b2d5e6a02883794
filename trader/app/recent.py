"""The newest hours of the journal as drift looks at them, kept in one object: in a bucket every record is a request.

    caches/<symbol>/recent.json    what the records of consecutive hours say

It is a copy of what never changes: without it, or where it is damaged, the records are read again.
"""

from __future__ import annotations

from trader.app.codec import RECENT
from trader.app.journal import Journal
from trader.core.records import HourRecord, RecentHour, RecentHours
from trader.core.types import HOUR_MS


def recent_key(symbol: str) -> str:
    """Where the newest hours are kept."""
    return f"caches/{symbol}/recent.json"


def recent_hours(
    journal: Journal, newest: HourRecord, hours: int, most_reads: int | None = None
) -> list[RecentHour] | None:
    """The `hours` consecutive hours up to the record `newest`, oldest first. None before there are so many.

    What was read is kept for the next call. `most_reads` is for who only looks: nothing is written, and where more
    records than that would have to be read the answer is None.
    """
    last = newest.close_time
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
        journal.store.put(recent_key(journal.symbol), RECENT.encode(RecentHours(tuple(rows))))
    return rows


def _seen(record: HourRecord) -> RecentHour:
    return RecentHour(record.close_time, record.close, record.gap, record.line.p_up, record.features)


def _kept(journal: Journal, first: int, last: int) -> dict[int, RecentHour]:
    """The kept hours within a span, by their time; none where the object is not what it should be."""
    kept = RECENT.decode(journal.store.get(recent_key(journal.symbol)))
    return {hour.close_time: hour for hour in kept.hours if first <= hour.close_time <= last} if kept else {}
