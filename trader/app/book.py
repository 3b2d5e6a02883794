"""A book of symbols on one account: its sleeves are bots of one symbol, and once an hour it records what holds for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any, get_args

from trader.app.book_journal import BookJournal, BookRecord, hour_key
from trader.app.book_symbols import book_start, first_hour
from trader.app.bot import Bot
from trader.app.codec_events import HALT, RELEASE
from trader.app.halts import announce, risk_after
from trader.app.layout import changes_key
from trader.app.retrain import deployment
from trader.core.book import (
    LATE_MS,
    BookHour,
    BookRules,
    book_equity,
    book_hour,
    missed_book_hour,
    of_symbols,
)
from trader.core.book_limits import SleeveStanding
from trader.core.book_params import BookParams
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.policy import HaltReason
from trader.core.shares import SETTLED_MS, Shares, shares_at
from trader.core.types import DAY_MS, HOUR_MS, Bars, iso, plain

# How often what is not there yet is asked for again, until the others wait for it no longer (LATE_MS).
RETRY_S = 20.0


@dataclass(slots=True, eq=False)
class Book:
    """The book and its sleeves, by symbol in alphabetical order. lanes: symbols that share a connection and follow one another;
    the lanes run beside one another."""

    params: BookParams
    hours: BookJournal
    sleeves: dict[str, Bot]
    lanes: Sequence[Sequence[str]]
    freeze_on_halt: bool = False
    _start: int | None = None
    _lock: Any = field(default_factory=RLock)

    def __post_init__(self) -> None:
        for bot in self.sleeves.values():
            bot.book = self

    @property
    def start(self) -> int | None:
        """The book's first hour, UTC ms: the first that every symbol trades. None while one has no model yet."""
        if self._start is None:
            self._start = book_start(self.hours.journal, [bot.journal for bot in self.sleeves.values()])
        return self._start

    def first_hour(self, bot: Bot) -> int | None:
        """The first hour that a symbol trades in the book, UTC ms; later than `start` where it was added. None without model."""
        return first_hour(self.start, bot.journal)

    def book_record(self, hour: int, current: int) -> BookRecord | None:
        """As `BookOfSleeves` has it."""
        with self._lock:
            start = self.start
            if start is None or hour < start:
                return None
            book_record = self.hours.hour(hour)
            if book_record is not None or hour >= current:
                return book_record
            self.before(hour + HOUR_MS, start)
            return self.hours.hour(hour)

    def awaits_record(self, hour: int, current: int) -> bool:
        """As `BookOfSleeves` has it."""
        start = self.start
        return start is not None and hour >= start and self.book_record(hour, current) is None

    def record_hour(self, hour: int) -> BookRecord | None:
        """The book record of the current hour (UTC ms), made now unless it is there. None before the book began. Raises DataError
        where a symbol has no bars for its share, ConfigError for another capital than the book began with."""
        start = self.start
        if start is None or hour < start:
            return None
        if (book_record := self.hours.hour(hour)) is not None:
            return book_record
        self._require_newest_list()
        rules = BookRules(self.params, start, self.freeze_on_halt)
        firsts = {it: self.first_hour(bot) for it, bot in self.sleeves.items()}
        standings = [
            self._standing(self.sleeves[it], hour, first)
            for it, first in firsts.items()
            if first is not None and first <= hour
        ]
        before = self._with_events(of_symbols(self.before(hour, start), self.sleeves), hour, standings)
        releases = self.hours.journal.events(RELEASE)
        released = {event.content.of for event in releases[before.release_event :]}
        unshared = self._unshared(standings, hour) if rules.rebalances(hour, before) else []
        made = book_hour(
            rules, hour, before, standings, lambda symbols: self.shares(symbols, hour), released, unshared
        )
        made = replace(made, release_event=len(releases), symbols_event=self.hours.journal.changes)
        if made.reason == "halt" and made.risk.halt_reason in get_args(HaltReason):
            announce(self.hours.journal, hour, made.risk.halt_reason or "", freeze=self.freeze_on_halt)
        return self.hours.record_hour(made)

    def before(self, hour: int, start: int) -> BookHour:
        """The book record of the hour before; hours that passed without one get it now. start: the book's first hour. Raises
        DataError where a book record is lost that a symbol has decided by."""
        newest = self.hours.newest(hour - HOUR_MS, start)
        last = BookRules(self.params, start).before_first() if newest is None else newest.hour
        if newest is not None:
            self._require_capital(start)
        for missed in range(last.close_time + HOUR_MS, hour, HOUR_MS):
            self._require_undecided(missed, hour, start)
            last = self.hours.record_hour(missed_book_hour(missed, last)).hour
        return last

    def _require_newest_list(self) -> None:
        """Raises ConfigError where the symbols changed since this process began: it would not count what an added one has."""
        journal = self.hours.journal
        if journal.store.get(changes_key(journal.changes + 1)) is not None:
            raise ConfigError(
                "the symbols of this book were changed since this process began; start it again with the book.toml of now"
            )

    def _require_undecided(self, missed: int, hour: int, start: int) -> None:
        """Raises DataError where a symbol has decided by a book record that is not there: it is lost, and in a new one its
        transfers would be counted twice."""
        for bot in self.sleeves.values():
            first = self.first_hour(bot)
            if first is None or missed < first:
                continue
            newest = bot.journal.newest_record(hour - HOUR_MS, first)
            if missed > (first if newest is None else newest.close_time + HOUR_MS):
                continue  # it cannot have decided this hour yet
            decision = bot.journal.decision(missed)
            # Another process may have made the record, and decided by it, since it was looked for.
            if decision is not None and decision.book and self.hours.hour(missed) is None:
                raise DataError(
                    f"{hour_key(missed)} is missing, although {bot.symbol} decided {iso(missed)} by it: what cash it moved is "
                    f"not known. No other is made in its place; restore it from a copy"
                )

    def _require_capital(self, start: int) -> None:
        """Raises ConfigError where the book began with another capital."""
        first = self.hours.hour(start)
        began = self.params.capital_usdt if first is None else first.hour.equity_usdt
        if began != self.params.capital_usdt:
            raise ConfigError(
                f"capital_usdt is {plain(self.params.capital_usdt)}, and this book began with {plain(began)}. Put that back, or "
                f"begin another book with another --store"
            )

    def _with_events(self, before: BookHour, hour: int, standings: Sequence[SleeveStanding]) -> BookHour:
        """The record before, with every halt and resume of the book that it does not hold yet. A resume begins an epoch at the
        equity of now."""
        journal = self.hours.journal
        events, equity = journal.events(HALT), book_equity(before, standings)
        risk = risk_after(before.risk, events, before.halt_event, hour, equity)
        return replace(before, risk=risk, halt_event=len(events))

    def _standing(self, bot: Bot, hour: int, start: int) -> SleeveStanding:
        record = bot.journal.newest_record(hour - HOUR_MS, start)
        if record is None:
            return SleeveStanding(bot.symbol)
        cash, equity, orders = record.ledger.cash, record.line.equity, 0
        if self.params.orders_a_day is not None:
            day_before = max(min(hour - DAY_MS, record.close_time), start - HOUR_MS)
            ago = bot.journal.record(day_before)
            orders = record.ledger.orders - (ago.ledger.orders if ago else 0)
        return SleeveStanding(bot.symbol, record.close_time, equity, cash, record.halted, orders)

    def _unshared(self, standings: Sequence[SleeveStanding], hour: int) -> list[str]:
        """Symbols whose bars for their share cannot be had, although they were waited for as for a late symbol. Raises Retry
        where that is so of all of them."""
        moving = [it.symbol for it in standings if it.moves(hour)]
        missing = [it for it in moving if not self._has_share_bars(self.sleeves[it], hour)]
        if moving and missing == moving:
            raise Retry(
                "bars that shares are computed from cannot be had of any symbol; looking again next time"
            )
        return missing

    def _has_share_bars(self, bot: Bot, hour: int) -> bool:
        while True:
            try:
                self._share_bars(bot, hour)
            except Retry:
                if bot.exchange.time_ms() >= hour + LATE_MS:
                    return False
                bot.clock.sleep(RETRY_S)
            else:
                return True

    def _share_bars(self, bot: Bot, hour: int) -> Bars:
        last, settings = hour - SETTLED_MS, self.params.share_settings
        if settings.rule == "equal":
            return bot.collector.known
        return bot.collector.between(last - settings.share_hours * HOUR_MS, last + HOUR_MS)

    def shares(self, symbols: Sequence[str], hour: int) -> Shares:
        """The shares among symbols at an hour (UTC ms), by the bars of before. Raises DataError where one has too few."""
        bars = [self._share_bars(bot, hour) for symbol, bot in self.sleeves.items() if symbol in symbols]
        return shares_at(bars, hour, self.params.share_settings)

    def missing(self) -> tuple[str, ...]:
        """Symbols that have no model yet, so that the book has not begun."""
        return tuple(it for it, bot in self.sleeves.items() if deployment(bot.journal) is None)
