"""Halts of a whole book: an event of its own, which every symbol follows; lifted by a person, for the book and its symbols."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from trader.app.bot import Bot
from trader.app.halts import announce, newest_event, require_settled, resume, standing_halt
from trader.app.journal import Journal
from trader.core.book import BOOK_HALT
from trader.core.errors import ConfigError, Retry
from trader.core.events import HaltEvent, ReleaseEvent, ResumeEvent
from trader.core.records import HourRecord
from trader.core.types import iso


def halt_book(journal: Journal, at_ms: int, *, freeze: bool, message: str) -> int:
    """A person halts the book: the number of the event. The next hour halts every symbol."""
    return announce(journal, at_ms, "person", freeze=freeze, by="person", message=message).number


def release(journal: Journal, sleeve: Journal, at_ms: int, message: str) -> int:
    """A person orders all cash of a symbol back to the book, with the next hour: the number of the event. Raises ConfigError
    for a symbol that trades."""
    if standing_halt(sleeve) is None:
        raise ConfigError(
            f"{sleeve.symbol} is not halted, and the next rebalance would give it cash again. Halt it first: trader halt "
            f"--symbol {sleeve.symbol} --reason ..."
        )
    return journal.append(ReleaseEvent(journal.symbol, at_ms, sleeve.symbol, "person", message)).number


def resume_book(journal: Journal, sleeves: Sequence[Journal], at_ms: int, message: str) -> list[str]:
    """Lift the halt of the book first, then that of each symbol which the book has halted: those symbols. Killed between them, it
    goes on where it was. Raises ConfigError where neither is halted."""
    halted = [it for it in sleeves if (said := standing_halt(it)) is not None and said.reason == BOOK_HALT]
    if standing_halt(journal) is not None:
        resume(journal, at_ms, message)
    elif not halted:
        raise ConfigError(
            "the book is not halted; a symbol's own halt is lifted with: trader resume --symbol SYMBOL"
        )
    for it in halted:
        resume(it, at_ms, message)
    return [it.symbol for it in halted]


def follow_book(bot: Bot, hour: int, current: int, newest: HourRecord | None) -> None:
    """Before a symbol decides an hour (UTC ms) that nobody has decided: where its book had halted it and does no more, it goes
    on. newest: the record of the hour before. Raises Retry where the book record of the hour is not
    made yet: a decision without it would miss its transfer."""
    if bot.book is None:
        return
    if bot.book.awaits_record(hour, current):
        raise Retry(
            f"there is no book record of {iso(hour)} yet; the next tick makes it and decides the hour"
        )
    book_record = bot.book.book_record(hour, current)
    halted = newest is not None and newest.halted and newest.risk.halt_reason == BOOK_HALT
    if halted and book_record is not None and not book_record.hour.halted:
        _follow_resume(bot.journal, hour)


def _follow_resume(journal: Journal, at_ms: int) -> None:
    """Resume a symbol that its book has halted and halts no more: the person's resume of the book was killed before it came to
    this symbol, or the symbol was late and has closed the halted hours since. It stays halted where its own orders are in
    dispute."""
    newest = newest_event(journal)
    if newest is None or not isinstance(newest.content, HaltEvent) or newest.content.reason != BOOK_HALT:
        return
    with suppress(ConfigError, Retry):  # another process may be first
        require_settled(journal)
        journal.append(ResumeEvent(journal.symbol, at_ms, "bot", "the book was resumed"), newest.number)
