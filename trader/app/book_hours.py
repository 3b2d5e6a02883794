"""The closed hours of a whole book, as they are told: what the book said of each, and every symbol's record of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trader.app.book_journal import BookJournal
from trader.app.journal import Journal
from trader.app.retrain import deployment
from trader.core.book import BookHour
from trader.core.book_line import BookLine, SleeveHour, book_line
from trader.core.records import HourRecord
from trader.core.types import FAR_FUTURE_MS, HOUR_MS


@dataclass(frozen=True, slots=True)
class ClosedBookHour:
    """An hour that every symbol has closed. records: by symbol."""

    said: BookHour
    records: Mapping[str, HourRecord]

    @property
    def line(self) -> BookLine:
        """The book's line of the hour."""
        return line_of(self.said, self.records.values())


def line_of(said: BookHour, records: Iterable[HourRecord]) -> BookLine:
    """The book's line of an hour, from its word and every symbol's record."""
    return book_line(said, [SleeveHour(it.line.equity, it.ledger.cash) for it in records])


def book_start(sleeves: Iterable[Journal]) -> int | None:
    """The first hour that every symbol trades, UTC ms; None while one has no model."""
    begun = [deployment(it) for it in sleeves]
    starts = [event.start_ms for event in begun if event is not None]
    return max(starts) if starts and len(starts) == len(begun) else None


def closed_hours(
    words: BookJournal, sleeves: Mapping[str, Journal], since: int | None = None, until: int | None = None
) -> Iterator[ClosedBookHour]:
    """Hours since <= T < until (UTC ms) that the book spoke of and every symbol closed, oldest first, up to the first that is
    not."""
    start = book_start(sleeves.values())
    if start is None:
        return
    first = max(start, since or start)
    records = [it.records(first, until) for it in sleeves.values()]
    for hour, closed in zip(range(first, FAR_FUTURE_MS, HOUR_MS), zip(*records, strict=False), strict=False):
        spoken = words.hour(hour)
        if spoken is None or any(it.close_time != hour for it in closed):
            return
        yield ClosedBookHour(spoken.said, dict(zip(sleeves, closed, strict=True)))


def half_closed(
    words: BookJournal, sleeves: Mapping[str, Journal], after: int | None
) -> tuple[int, tuple[str, ...]] | None:
    """The hour after the closed ones (UTC ms; `after` is the last of those, None without one) and the symbols that it waits for;
    None where the book has not spoken of it."""
    start = book_start(sleeves.values())
    if start is None:
        return None
    hour = start if after is None else after + HOUR_MS
    if words.hour(hour) is None:
        return None
    return hour, tuple(it for it, journal in sleeves.items() if journal.record(hour) is None)
