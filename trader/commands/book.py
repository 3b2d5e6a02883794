"""The verbs of production for a book of symbols: what `tick`, `retrain`, `halt`, `resume` and `status` do with `--book`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from trader import terminal, wiring
from trader.adapters.book_file import BookFile
from trader.app import book_halts
from trader.app.book_tick import BookTicked, tick_book
from trader.app.dry import dry_tick
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.trouble import failed
from trader.commands.common import answer
from trader.core.errors import ConfigError, Halt, Retry, TraderError
from trader.core.hours import line_json
from trader.core.text import plural
from trader.core.types import iso
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.book import Book
    from trader.app.bot import Bot
    from trader.config import Settings
    from trader.core.ports import Clock

# Connections to a venue over the network; the embedded exchange answers faster than threads change places.
LANES = 8


def opened(settings: Settings, book: BookFile, clock: Clock | None = None) -> AbstractContextManager[Book]:
    """The book with its connections."""
    lanes = 1 if settings.venue == "embedded" else LANES
    return wiring.open_book(settings, book.params, clock, lanes=lanes, say=terminal.say)


def tick(settings: Settings, book: BookFile, dry: bool, as_json: bool) -> None:
    """One tick of every symbol. Exit 4 where something is halted, else that of the gravest failure. dry: decide only."""
    with opened(settings, book) as there:
        if dry:
            seen = {symbol: dry_tick(bot) for symbol, bot in there.sleeves.items()}
            said = {symbol: it.as_json() for symbol, it in seen.items()}
            answer(said, "\n".join(it.message for it in seen.values()), as_json)
            return
        ticked = tick_book(there)
        told = any(note_failure(there.sleeves[it], error) for it, error in ticked.failed.items())
    show_ticked(ticked, as_json)
    if told or any(it.lines for it in ticked.ticked.values()):
        process.tell_observers(settings)
    end_as(ticked)


def note_failure(bot: Bot, error: TraderError) -> bool:
    """Whether a symbol's failure is news, which is in the store then."""
    return failed(bot.journal, bot.exchange, bot.clock, error) or isinstance(error, Halt)


def show_ticked(ticked: BookTicked, as_json: bool) -> None:
    """What a tick did, a line a symbol."""
    if as_json:
        terminal.emit(ticked_json(ticked))
        return
    lines = [it.message for it in ticked.ticked.values()]
    lines += [f"{symbol}: {type(error).__name__}: {error}" for symbol, error in ticked.failed.items()]
    terminal.show("\n".join([*sorted(lines), ticked.message]))


def ticked_json(ticked: BookTicked) -> dict[str, Any]:
    """The same for machines."""
    return {
        "outcome": ticked.outcome,
        "hour": iso(ticked.hour),
        "halted": ticked.halted,
        "symbols": {
            symbol: {
                "outcome": it.outcome,
                "halted": it.halted,
                "lines": [line_json(line) for line in it.lines],
            }
            for symbol, it in ticked.ticked.items()
        },
        "failed": {
            symbol: {"error": type(error).__name__, "message": str(error)}
            for symbol, error in ticked.failed.items()
        },
    }


def end_as(ticked: BookTicked) -> None:
    """Raises SystemExit unless every symbol is closed and none is halted."""
    errors: Sequence[type[TraderError]] = (Halt, ConfigError, Retry)
    kinds = [kind for kind in errors if any(isinstance(it, kind) for it in ticked.failed.values())]
    if ticked.halted or Halt in kinds:
        terminal.say("trading is halted; see: trader status")
        raise SystemExit(Halt.exit_code)
    if kinds:
        raise SystemExit(kinds[0].exit_code)


def book_journal_of(settings: Settings, book: BookFile) -> Journal:
    """The journal of what the whole book says. Raises WrongStore where the store is not this book's."""
    journal = Journal(wiring.make_store(settings), BOOK, book.params.symbols)
    journal.require_own()
    return journal


def halt(settings: Settings, book: BookFile, reason: str, freeze: bool, as_json: bool) -> None:
    """Halt the whole book."""
    journal = book_journal_of(settings, book)
    number = book_halts.halt_book(
        journal, wiring.make_clock(settings).now_ms(), freeze=freeze, message=reason
    )
    kept = "keeps" if freeze else "sells"
    words = (
        f"the book is halted; the next tick {kept} what its {plural(len(book.params.symbols), 'symbol')} hold"
    )
    answer({"halted": True, "event": number, "freeze": freeze}, words, as_json)
    process.tell_observers(settings)


def resume(settings: Settings, book: BookFile, reason: str, as_json: bool) -> None:
    """Lift the halt of the whole book, and those that it put on its symbols."""
    journal = book_journal_of(settings, book)
    sleeves = [Journal(wiring.make_store(settings), it, book.params.symbols) for it in book.params.symbols]
    resumed = book_halts.resume_book(journal, sleeves, wiring.make_clock(settings).now_ms(), reason)
    words = f"the book is resumed; limits count anew from the next hour's equity ({', '.join(resumed) or 'no symbol was halted'})"
    answer({"halted": False, "symbols": resumed}, words, as_json)
    process.tell_observers(settings)


def release(settings: Settings, book: BookFile, symbol: str, reason: str, as_json: bool) -> None:
    """Give all cash of a halted symbol back to the book."""
    if symbol not in book.params.symbols:
        raise ConfigError(
            f"{symbol} is no symbol of the book {book.name}; it names {', '.join(book.params.symbols)}"
        )
    sleeve = Journal(wiring.make_store(settings), symbol, book.params.symbols)
    number = book_halts.release(
        book_journal_of(settings, book), sleeve, wiring.make_clock(settings).now_ms(), reason
    )
    words = f"{symbol}: its cash returns to the book with the next hour; what it holds stays where it is"
    answer({"released": symbol, "event": number}, words, as_json)
    process.tell_observers(settings)
