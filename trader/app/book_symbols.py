"""The symbols of a running book change by a person's command: an event of the book, each with the whole list from then on.

    state/_book/symbols/<number>    created if absent; the newest wins

A symbol that is added begins with nothing and gets its share at the next rebalance after its first model serves. A symbol that
is removed is flat and has given its cash back to the book before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from trader.app.book_journal import BookJournal
from trader.app.codec_events import SYMBOLS
from trader.app.halts import standing_halt
from trader.app.journal import Journal
from trader.app.layout import birth_of
from trader.app.retrain import deployment
from trader.core.book import BookHour, pending_after
from trader.core.errors import ConfigError
from trader.core.events import SymbolsEvent
from trader.core.quote_assets import quote_asset_of
from trader.core.records import HourRecord
from trader.core.types import FAR_FUTURE_MS, HOUR_MS, iso, plain


def symbols_at(journal: Journal, number: int) -> tuple[str, ...]:
    """The symbols of a book after so many changes of its list. journal: the book's own."""
    if number:
        return journal.events(SYMBOLS)[number - 1].content.symbols
    birth = birth_of(journal.store, journal.symbol)
    return () if birth is None else birth.born_with


def all_symbols(journal: Journal) -> tuple[str, ...]:
    """Every symbol that the book has or had, alphabetical. journal: the book's own."""
    birth = birth_of(journal.store, journal.symbol)
    return () if birth is None else tuple(sorted({*birth.symbols, *birth.former}))


def book_start(journal: Journal, sleeves: Iterable[Journal]) -> int | None:
    """The first hour of a book, UTC ms, which every symbol that it began with trades; None while one of them has no model. A
    change of its symbols leaves it where it was. journal: the book's own."""
    if changes := journal.events(SYMBOLS):
        return changes[-1].content.start_ms
    begun = [deployment(it) for it in sleeves]
    starts = [event.start_ms for event in begun if event is not None]
    return max(starts) if starts and len(starts) == len(begun) else None


def first_hour(start: int | None, sleeve: Journal) -> int | None:
    """The first hour that a symbol trades in a book that began at `start` (UTC ms); None without a model."""
    begun = deployment(sleeve)
    return None if start is None or begun is None else max(start, begun.start_ms)


def change_symbols(
    journal: Journal, symbols: Sequence[str], at_ms: int, message: str, *, write_off: bool = False
) -> SymbolsEvent | None:
    """A person changes the list of a running book: the event, None where the list is that already. journal: the book's own, of
    the list until now. write_off: give up what a removed symbol still holds.

    Raises ConfigError for a book that has not begun, a symbol that was removed before, another quote asset, and a removed symbol
    that still trades, holds something or has cash.
    """
    now, wanted = set(journal.book), set(symbols)
    if now == wanted:
        return None
    start = book_start(journal, [Journal(journal.store, it, journal.book) for it in sorted(now)])
    newest = None if start is None else BookJournal(journal).newest(FAR_FUTURE_MS - HOUR_MS, start)
    if start is None or newest is None:
        raise ConfigError(
            f"this book has not traded an hour yet, so its symbols {', '.join(journal.book)} cannot be changed; begin another "
            f"book with another --store"
        )
    for symbol in sorted(wanted - now):
        _require_new(journal, symbol)
    left = Decimal(0)
    for symbol in sorted(now - wanted):
        left += _left_of(journal, symbol, newest.hour, write_off)
    event = SymbolsEvent(journal.symbol, at_ms, tuple(sorted(wanted)), start, left, "person", message)
    journal.append(event, after=len(journal.events(SYMBOLS)))
    return event


def _require_new(journal: Journal, symbol: str) -> None:
    if symbol in all_symbols(journal):
        raise ConfigError(
            f"{symbol} was a symbol of this book before, and its hours since are not known; a removed symbol does not come back. "
            f"Begin another book with another --store"
        )
    quotes = {quote_asset_of(it) for it in journal.book}
    if quote_asset_of(symbol) not in quotes:
        raise ConfigError(
            f"{symbol} is quoted in another asset than {', '.join(journal.book)}; make a book of its own"
        )


def _left_of(journal: Journal, symbol: str, newest: BookHour, write_off: bool) -> Decimal:
    """What a removed symbol's sleeve is still worth, USDT: less than an order, or what is written off. Raises ConfigError where
    it must be halted, sold or released first."""
    sleeve = Journal(journal.store, symbol, journal.book)
    if standing_halt(sleeve) is None:
        raise ConfigError(
            f"{symbol} still trades, so it cannot be removed. First: trader halt --symbol {symbol} --reason ..., a tick that "
            f"sells what it holds, and trader release {symbol} --reason ..."
        )
    begun = deployment(sleeve)
    record = None if begun is None else sleeve.newest_record(FAR_FUTURE_MS - HOUR_MS, begun.start_ms)
    if record is None:
        return Decimal(0)
    if (sleeve.decision(record.close_time + HOUR_MS)) is not None:
        at = iso(record.close_time + HOUR_MS)
        raise ConfigError(
            f"{symbol}: {at} is decided and not closed, so an order may be on its way: trader tick, then again"
        )
    cash = record.ledger.cash + pending_after(newest, symbol, record.close_time)
    if cash > 0:
        raise ConfigError(
            f"{symbol} still has {plain(cash)} USDT. Give them back to the book first: trader release {symbol} --reason ..., "
            f"then a tick"
        )
    return _worth(sleeve, record, write_off)


def _worth(sleeve: Journal, record: HourRecord, write_off: bool) -> Decimal:
    worth = record.ledger.position * record.close
    decision = sleeve.decision(record.close_time)
    least = Decimal(0) if decision is None else decision.filters.min_notional
    if worth >= least and worth > 0 and not write_off:
        raise ConfigError(
            f"{sleeve.symbol} still holds {plain(record.ledger.position)}, worth {worth:.2f} USDT. Sell it first: trader flatten "
            f"--symbol {sleeve.symbol} --reason ...; where the exchange trades it no more, --write-off gives it up, a loss of "
            f"the book"
        )
    return worth
