"""`trader doctor --book`: what a book needs, looked at once for its account and for each symbol what is each symbol's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from trader.app import book_doctor, doctor
from trader.app.doctor import Finding, examine
from trader.app.doctor_costs import costs_check
from trader.commands import book as books
from trader.commands.doctor_parts import clock_finding, disk_finding, how_to_start, report
from trader.commands.stream_parts import stream_finding
from trader.core.errors import TraderError
from trader.core.types import floor_hour
from trader.observers.names import names_of

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile
    from trader.app.book import Book
    from trader.config import Settings


def doctor_book(settings: Settings, file: BookFile, schedule: Callable[[], Finding], as_json: bool) -> None:
    """Show every finding; exit 2 where one failed."""
    with books.opened(settings, file) as book:
        report((_of_book(found, file) for found in _findings(settings, file, book, schedule)), as_json)


def _of_book(found: Finding, file: BookFile) -> Finding:
    """The finding, with what a person does where the symbol is one of a book's."""
    if found.todo.startswith("trader retrain"):
        return replace(found, todo=f"trader retrain {file.option}")
    if found.check == "filters" and found.verdict == "fail":
        return replace(found, todo=f"check the name, or take it out of symbols of the book {file.name}")
    if found.check == "halt" and found.todo.endswith("--reason ..."):
        words = "find and mend the cause (docs/runbook.md), then lift it: the book's with trader resume --book, a symbol's own"
        return replace(found, todo=f"{words} with trader resume --symbol")
    return found


def _findings(
    settings: Settings, file: BookFile, book: Book, schedule: Callable[[], Finding]
) -> Iterator[Finding]:
    first = next(iter(book.sleeves.values()))
    once = {
        "exchange": lambda: doctor.exchange_check(
            first.exchange, settings.exchange_url, how_to_start(settings)
        ),
        "clock": lambda: clock_finding(first),
        "store": lambda: doctor.store_check(first.journal.store),
        "disk": lambda: disk_finding(settings),
        "halt": lambda: book_doctor.halt_check(book),
        "schedule": schedule,
    }
    if settings.stream:
        once["stream"] = lambda: stream_finding(settings, list(book.sleeves))
    answers = True
    for finding in examine(once):
        answers = answers and (finding.check, finding.verdict) != ("exchange", "fail")
        yield finding
    if answers:
        yield from _asked(file, book)
    yield from _stored(settings, book)


def _asked(file: BookFile, book: Book) -> Iterator[Finding]:
    """What the exchange is asked for; a symbol that it does not trade is said once, and left out of the rest."""
    listed: list[str] = []

    def listing(symbol: str) -> Finding:
        found = doctor.filters_check(book.sleeves[symbol].exchange, symbol)
        listed.append(symbol)
        return found

    yield from book_doctor.of_each("filters", book.sleeves, listing, "listed and trading")
    if not listed:
        return
    bots = {it: book.sleeves[it] for it in listed}
    hour = floor_hour(bots[listed[0]].exchange.time_ms())
    span = 0 if book.params.shares == "equal" else book.params.share_hours
    yield from book_doctor.of_each(
        "bars", listed, lambda it: doctor.data_check(bots[it]), "the newest bar is there"
    )
    yield from book_doctor.of_each(
        "history",
        listed,
        lambda it: book_doctor.history_check(bots[it], file.strategies[it], span),
        "bars enough to train and to share by, or trained",
    )
    if len(listed) == len(book.sleeves):
        yield from book_doctor.sleeve_checks(book, listed)
    yield from book_doctor.of_each(
        "model",
        listed,
        lambda it: doctor.model_check(bots[it].journal, hour, bots[it].forecaster_of),
        "a model serves",
    )
    yield from book_doctor.of_each(
        "hours", listed, lambda it: doctor.hours_check(bots[it].journal, hour), "hours are closed"
    )
    if book.params.limits_purchases:
        yield _one("limits", lambda: book_doctor.limits_check(book))
    yield _one("account", lambda: book_doctor.account_check(book, listed))
    yield from book_doctor.of_each(
        "others", listed, lambda it: book_doctor.strangers_check(bots[it]), "no order of another store"
    )
    yield from book_doctor.of_each(
        "costs", listed, lambda it: costs_check(bots[it]), "charged what the parameters count on"
    )
    yield _one("rights", lambda: doctor.rights_check(bots[listed[0]].exchange, listed[0]))


def _stored(settings: Settings, book: Book) -> Iterator[Finding]:
    journals = {it: bot.journal for it, bot in book.sleeves.items()}
    names = names_of(settings)
    yield from book_doctor.of_each(
        "halt", journals, lambda it: doctor.halt_check(journals[it]), "not halted alone"
    )
    yield from book_doctor.of_each(
        "ticks", journals, lambda it: doctor.trouble_check(journals[it]), "the newest tick went through"
    )
    yield from book_doctor.of_each(
        "observers",
        journals,
        lambda it: doctor.observers_check(journals[it], names),
        f"told of each hour: {', '.join(names) or 'nobody'}",
    )


def _one(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except TraderError as error:
        return Finding(check, "fail", str(error), book_doctor.MEND)
