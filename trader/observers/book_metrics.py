"""Metrics of a book: every gauge of a symbol with its label, and gauges of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.app.book_hours import line_of
from trader.core.book import BookHour
from trader.core.errors import TraderError
from trader.observers.metrics import Gauges, Metrics, Served

if TYPE_CHECKING:
    from trader.app.book import Book
    from trader.app.book_tick import BookTicked

# Each gauge of the whole: its name after `trader_book_`, and what it tells.
BOOK_GAUGES = {
    "last_hour_timestamp_seconds": "close time of the newest hour that every symbol closed",
    "equity_usdt": "the book's cash and every symbol's, with what they hold",
    "cash_usdt": "of that what is held in no symbol's base asset",
    "reserve_usdt": "of the cash what is in no symbol",
    "exposure_ratio": "share of the equity that is held",
    "drawdown_ratio": "share lost from the epoch's peak",
    "halted": "1 while the whole book is halted",
    "halted_symbols": "symbols whose trading is halted",
    "late_symbols": "symbols that the newest hour marked by an older record",
    "symbols": "symbols of the book",
}


class BookMetrics(Served):
    """What a book's newest hour says, and each of its symbols' newest records."""

    def __init__(self, book: Book) -> None:
        """Raises ConfigError without the `observability` extra."""
        gauges = Gauges()
        super().__init__(gauges)
        self._book = book
        self._gauges = {name: gauges.of_book(name, words) for name, words in BOOK_GAUGES.items()}
        self._gauges["symbols"].set(len(book.sleeves))
        self._symbols = {it: Metrics(it, bot.clock.now_ms, gauges) for it, bot in book.sleeves.items()}
        self._halted = False

    def tell(self, ticked: BookTicked) -> None:
        """Show what a tick of the book did and left behind."""
        for symbol, done in ticked.ticked.items():
            self._symbols[symbol].ticked(done.outcome)
            self._symbols[symbol].tell(self._book.sleeves[symbol].journal.record(ticked.hour))
        for symbol, failure in ticked.failed.items():
            self._symbols[symbol].ticked(type(failure).__name__)
        self._gauges["halted_symbols"].set(sum(it.halted for it in self._symbols.values()))
        if ticked.book_record is not None:
            self._tell_book(ticked.book_record.hour)

    def failed(self, error: TraderError) -> None:
        """Count a tick that failed for all symbols."""
        for it in self._symbols.values():
            it.ticked(type(error).__name__)

    def _tell_book(self, book_hour: BookHour) -> None:
        self._halted = book_hour.halted
        self._gauges["halted"].set(book_hour.halted)
        self._gauges["late_symbols"].set(len(book_hour.late))
        self._gauges["reserve_usdt"].set(float(book_hour.reserve_usdt))
        records = [bot.journal.record(book_hour.close_time) for bot in self._book.sleeves.values()]
        closed = [it for it in records if it is not None]
        if len(closed) < len(records):
            return  # the hour is not closed yet: the figures of the one before stay
        line = line_of(book_hour, closed)
        self._gauges["last_hour_timestamp_seconds"].set(line.close_time / 1000)
        self._gauges["equity_usdt"].set(float(line.equity))
        self._gauges["cash_usdt"].set(float(line.cash))
        self._gauges["exposure_ratio"].set(float(line.exposure))
        self._gauges["drawdown_ratio"].set(float(line.drawdown))

    @property
    def ready(self) -> tuple[bool, str]:
        """Whether every symbol's newest hour is closed and the book is not halted, and why not. A symbol that is halted alone
        is told by its gauge."""
        if self._halted:
            return False, "the book is halted"
        behind = [(it, why) for it, own in self._symbols.items() for well, why in [own.fresh] if not well]
        if behind:
            symbol, why = behind[0]
            more = f" (and {len(behind) - 1} more)" if len(behind) > 1 else ""
            return False, f"{symbol}: {why}{more}"
        return True, next(iter(self._symbols.values())).fresh[1]
