"""`trader journal --book`: the hours of a whole book, and between them what happened to it."""

from __future__ import annotations

import sys
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal
from trader.app.book_hours import ClosedBookHour, closed_hours, half_closed
from trader.app.story import happened
from trader.core.book_line import BookLine, book_line_text
from trader.core.types import HOUR_MS, iso
from trader.observers.book_pages import journals_of

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile
    from trader.app.journal import Journal
    from trader.config import Settings

HEAD = ("hour", "equity", "cash", "held", "drawdown", "cash moved", "note")
NARROW_WITHOUT = ("cash", "held", "cash moved")


def journal_book(
    settings: Settings, book: BookFile, since: int | None, until: int | None, jsonl: bool, wide: bool
) -> None:
    """Each hour that every symbol closed, oldest first: as JSON Lines, or as a table with the halts between."""
    hours, journals = journals_of(settings, book)
    told = closed_hours(hours, journals, since, until)
    if jsonl:
        for each in told:
            terminal.show(book_line_text(each.line))
        return
    closed = list(told)
    if not closed:
        terminal.say(f"{book.name}: no hour is closed by every symbol in {settings.store} within this span")
    else:
        _show(closed, hours.journal, since, until, wide)
    waiting = half_closed(
        hours, journals, closed[-1].hour.close_time if closed else since and since - HOUR_MS
    )
    if waiting is not None and waiting[1] and (until is None or waiting[0] < until):
        at, symbols = waiting
        said = f"{terminal.minute(iso(at))} is not closed by all symbols; it waits for {', '.join(symbols)}"
        terminal.show(terminal.paragraph(said, 19))


def tables_of_book(
    settings: Settings,
    book: BookFile,
    since: int | None,
    until: int | None,
    csv: bool,
    parquet: Path | None,
) -> None:
    """The same hours as tables, with a column a symbol for the cash that it was given."""
    from trader.adapters.tables import write_book_csv, write_book_parquet

    words, journals = journals_of(settings, book)
    lines = [it.line for it in closed_hours(words, journals, since, until)]
    if csv:
        write_book_csv(sys.stdout, lines, book.params.symbols)
    if parquet:
        write_book_parquet(parquet, lines, book.params.symbols)


def _show(
    closed: list[ClosedBookHour], journal: Journal, since: int | None, until: int | None, wide: bool
) -> None:
    rows = [_row(it, wide) for it in closed]
    columns, rows = (HEAD, rows) if wide else terminal.narrowed(HEAD, rows, NARROW_WITHOUT)
    head, *lines = terminal.table("", rows, columns).splitlines()
    terminal.show(head)
    told = [
        (it.at, 0, f"{terminal.minute(iso(it.at))}  {it.kind}: {it.words}")
        for it in happened(journal)
        if (since is None or it.at >= since) and (until is None or it.at < until)
    ]
    hours = [(it.hour.close_time, 1, text) for it, text in zip(closed, lines, strict=True)]
    for _, is_hour, text in merge(told, hours):
        terminal.show(text if is_hour or wide else terminal.paragraph(text, 19))


def _row(hour: ClosedBookHour, wide: bool) -> tuple[str, ...]:
    line, book_hour = hour.line, hour.hour
    notes: list[str] = [book_hour.reason] if book_hour.reason in ("halt", "halted", "missed") else []
    notes += (
        [f"late: {', '.join(book_hour.late)}" if wide else f"{len(book_hour.late)} late"]
        if book_hour.late
        else []
    )
    return (
        terminal.minute(iso(line.close_time)),
        f"{float(line.equity):,.2f}",
        f"{float(line.cash):,.2f}",
        f"{float(line.exposure) * 100:.1f} %",
        f"{float(line.drawdown) * 100:.2f} %",
        _moved(line, wide),
        ", ".join(notes),
    )


def _moved(line: BookLine, wide: bool) -> str:
    """What came to symbols, from others or from the book's own cash."""
    if not line.transfers:
        return "-"
    if wide:
        return " ".join(f"{it} {float(amount):+,.2f}" for it, amount in line.transfers.items())
    moved = sum((abs(float(it)) for it in line.transfers.values()), 0.0)
    return f"{moved:,.2f}"
