"""The closed hours of a whole book, as they are told: the book record of each, and every symbol's record of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trader.app.book_journal import BookJournal
from trader.app.book_symbols import all_symbols, book_start, first_hour, symbols_at
from trader.app.journal import Journal
from trader.core.book import BookHour
from trader.core.book_line import BookLine, SleeveHour, book_line
from trader.core.records import HourRecord
from trader.core.types import FAR_FUTURE_MS, HOUR_MS


@dataclass(frozen=True, slots=True)
class ClosedBookHour:
    """An hour that every symbol has closed. records: by symbol."""

    hour: BookHour
    records: Mapping[str, HourRecord]

    @property
    def line(self) -> BookLine:
        """The book's line of the hour."""
        return line_of(self.hour, self.records.values())


def line_of(book_hour: BookHour, records: Iterable[HourRecord]) -> BookLine:
    """The book's line of an hour, from its record and those of its symbols."""
    return book_line(book_hour, [SleeveHour(it.line.equity, it.ledger.cash) for it in records])


def closed_hours(
    hours: BookJournal, sleeves: Mapping[str, Journal], since: int | None = None, until: int | None = None
) -> Iterator[ClosedBookHour]:
    """Hours since <= T < until (UTC ms) of which there is a book record and that every symbol closed, oldest first, up to the
    first that is not. A symbol belongs to the hours from its first one on, until it was removed."""
    start = book_start(hours.journal, sleeves.values())
    if start is None:
        return
    first = max(start, since or start)
    sleeves = _with_former(hours, sleeves)
    records = {it: journal.records(first, until) for it, journal in sleeves.items()}
    for hour in range(first, until or FAR_FUTURE_MS, HOUR_MS):
        book_record = hours.hour(hour)
        if book_record is None:
            return
        closed: dict[str, HourRecord] = {}
        for symbol in trading_at(hours.journal, book_record.hour, sleeves, start):
            record = next((it for it in records[symbol] if it.close_time >= hour), None)
            if record is None or record.close_time != hour:
                return
            closed[symbol] = record
        yield ClosedBookHour(book_record.hour, closed)


def trading_at(
    journal: Journal, book_hour: BookHour, sleeves: Mapping[str, Journal], start: int
) -> list[str]:
    """The symbols that traded an hour of the book, alphabetical. journal: the book's own; start: its first hour, UTC ms."""
    firsts = {
        it: first_hour(start, sleeves[it]) for it in sorted(symbols_at(journal, book_hour.symbols_event))
    }
    return [it for it, first in firsts.items() if first is not None and first <= book_hour.close_time]


def _with_former(hours: BookJournal, sleeves: Mapping[str, Journal]) -> dict[str, Journal]:
    """The journals, with those of symbols that were removed."""
    journal = hours.journal
    former = [it for it in all_symbols(journal) if it not in sleeves]
    return {**sleeves, **{it: Journal(journal.store, it, journal.book) for it in former}}


def half_closed(
    hours: BookJournal, sleeves: Mapping[str, Journal], after: int | None
) -> tuple[int, tuple[str, ...]] | None:
    """The hour after the closed ones (UTC ms; `after` is the last of those, None without one) and the symbols that it waits for;
    None where there is no book record of it."""
    start = book_start(hours.journal, sleeves.values())
    if start is None:
        return None
    hour = start if after is None else after + HOUR_MS
    book_record = hours.hour(hour)
    if book_record is None:
        return None
    sleeves = _with_former(hours, sleeves)
    trading = trading_at(hours.journal, book_record.hour, sleeves, start)
    return hour, tuple(it for it in trading if sleeves[it].record(hour) is None)
