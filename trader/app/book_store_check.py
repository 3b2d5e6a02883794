"""Whether the whole store of a book holds together: every symbol's journal, and the book's own records."""

from __future__ import annotations

from collections.abc import Sequence

from trader.app.book_check import check_book_records, read_book_records
from trader.app.book_symbols import all_symbols
from trader.app.codec_events import FORMATS
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.store_check import StoreCheck, check, check_events
from trader.core.types import Progress


def check_book(journals: Sequence[Journal], progress: Progress | None = None) -> dict[str, StoreCheck]:
    """`check` of every symbol of a book, by symbol, and under `_book` of the book record: its hours are its records."""
    whole, own = StoreCheck(), Journal(journals[0].store, BOOK, journals[0].book)
    former = [it for it in all_symbols(own) if it not in own.book]
    journals = [*journals, *(Journal(own.store, it, own.book) for it in former)]
    found = {it.symbol: check(it, progress) for it in journals}
    book_records = read_book_records(journals[0], whole.problems, progress)
    whole.objects = whole.hours = len(book_records.hours)
    for name in FORMATS:
        whole.problems += check_events(own, name)
    if not any(it.problems for it in (whole, *found.values())):
        check_book_records(
            own, book_records, {it.symbol: list(it.records()) for it in journals}, whole.problems
        )
    return {**found, BOOK: whole}
