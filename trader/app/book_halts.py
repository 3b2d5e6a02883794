"""Halts of a whole book: an event of its own, which every symbol follows; lifted by a person, for the book and its symbols."""

from __future__ import annotations

from collections.abc import Sequence

from trader.app.halts import announce, resume, standing_halt
from trader.app.journal import Journal
from trader.core.book import BOOK_HALT
from trader.core.errors import ConfigError
from trader.core.events import ReleaseEvent


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
