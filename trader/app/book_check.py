"""Whether the records of a book hold together: one for every hour, cash moved once, equity that of its symbols' records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from trader.app.book_journal import (
    BOOK_HOUR,
    BookRecord,
    halted_with_book,
    hour_key,
    with_transfer_booked,
)
from trader.app.book_symbols import symbols_at
from trader.app.codec_events import HALT
from trader.app.halts import risk_after
from trader.app.journal import Journal, hour_of_key
from trader.app.layout import BOOK, birth_of, keys_of
from trader.app.store_care import read_all
from trader.core.book import BookHour, book_equity, missed_book_hour, of_symbols
from trader.core.book_limits import SleeveStanding
from trader.core.errors import TraderError
from trader.core.events import Event, HaltEvent, ResumeEvent
from trader.core.policy import LossLimits
from trader.core.records import Decision, HourRecord, Totals
from trader.core.risk import assess
from trader.core.types import HOUR_MS, Progress, iso, plain


@dataclass(frozen=True, slots=True)
class BookRecords:
    """The book records of a store, by hour (UTC ms), and the symbols of the store, those of before among them. A store of one
    symbol has none."""

    symbols: tuple[str, ...]
    hours: Mapping[int, BookRecord] = field(default_factory=dict)

    @property
    def of_book(self) -> bool:
        """Whether the store is a book's."""
        return len(self.symbols) > 1

    def disagreements(self, decision: Decision) -> Iterator[str]:
        """What a decision says of the book record of its hour, and is not so."""
        book_record = self.hours.get(decision.close_time)
        digest = "" if book_record is None else book_record.digest
        given = Decimal(0) if book_record is None else book_record.hour.transfer(decision.symbol)
        if decision.book != digest:
            yield "decision: it was made by another book record than the one that is stored"
        if decision.transfer_usdt != given:
            yield f"decision: transfer_usdt is {plain(decision.transfer_usdt)}, and the book record says {plain(given)}"
        most = None if book_record is None else book_record.hour.most_usdt(decision.symbol)
        order = decision.order
        if most is not None and order and order.side == "BUY" and order.qty * order.expected_price > most:
            cost = plain(order.qty * order.expected_price)
            yield f"decision: it buys for {cost} USDT, and the book allowed {plain(most)}"

    def given(self, totals: Totals, decision: Decision, mark: Decimal) -> Totals:
        """Totals with the transfer that a decision has booked; `mark` marks their equity."""
        return with_transfer_booked(totals, decision.transfer_usdt, mark)

    def halted(self, totals: Totals, hour: int) -> Totals:
        """Totals of an hour (UTC ms), halted where the book was."""
        book_record = self.hours.get(hour)
        if book_record is None or not book_record.hour.halted:
            return totals
        return halted_with_book(totals, hour, freeze=book_record.hour.risk.frozen)


def read_book_records(journal: Journal, problems: list[str], progress: Progress | None = None) -> BookRecords:
    """The book records of the store that a symbol's journal is in. What cannot be read is a problem."""
    birth = birth_of(journal.store, journal.symbol)
    symbols = (journal.symbol,) if birth is None else (*birth.symbols, *birth.former)
    if len(symbols) < 2:
        return BookRecords(symbols)
    hours: dict[int, BookRecord] = {}
    for key, data in read_all(journal.store, keys_of(journal.store, f"journal/{BOOK}/"), progress).items():
        try:
            current = BOOK_HOUR.decode(key, data, BOOK)
            if key != hour_key(current.close_time):
                problems.append(f"{key}: holds an object of {iso(hour_of_key(hour_key(current.close_time)))}")
                continue
            hours[current.close_time] = BookRecord.of(current)
        except TraderError as error:
            problems.append(str(error))
    return BookRecords(symbols, hours)


def check_book_records(
    journal: Journal,
    book_records: BookRecords,
    records: Mapping[str, Sequence[HourRecord]],
    problems: list[str],
) -> None:
    """What is wrong with the book's own records. journal: the book's; records: every symbol's, in the order of their hours."""
    by_hour = {symbol: {it.close_time: it for it in them} for symbol, them in records.items()}
    halts, before = journal.events(HALT), None
    for hour, book_record in sorted(book_records.hours.items()):
        current = book_record.hour
        if before is not None and hour != before.close_time + HOUR_MS:
            problems.append(
                f"{hour_key(before.close_time + HOUR_MS)}: missing, although there are book records of later hours"
            )
        elif before is not None or current.records == {}:
            first = _before_first(current) if before is None else _known_to(journal, current, before)
            problems += (f"{hour_key(hour)}: {it}" for it in _wrong(current, first, by_hour, halts))
        if current.halt_event > len(halts):
            problems.append(
                f"{hour_key(hour)}: it has taken in {current.halt_event} halts and resumes, the store has {len(halts)}"
            )
        before = current


def _known_to(journal: Journal, current: BookHour, before: BookHour) -> BookHour:
    """The hour before, as `current` counted it: without what was on its way to symbols that were removed meanwhile."""
    same = current.reason == "missed" or current.symbols_event == before.symbols_event
    return before if same else of_symbols(before, symbols_at(journal, current.symbols_event))


def _before_first(current: BookHour) -> BookHour:
    """The book before its first hour: the capital is what that hour says."""
    capital = current.equity_usdt
    return BookHour(current.close_time - HOUR_MS, "", capital, current.risk, capital, {}, {}, "", {})


def _wrong(
    current: BookHour,
    before: BookHour,
    by_hour: Mapping[str, Mapping[int, HourRecord]],
    halts: Sequence[Event[HaltEvent | ResumeEvent]],
) -> Iterator[str]:
    if current.reason == "missed":
        if current != missed_book_hour(current.close_time, before):
            yield "it was missed, and is not what the hour before leaves"
        return
    moved = sum(current.transfers.values(), Decimal(0))
    if current.reserve_usdt != before.reserve_usdt - moved:
        yield (
            f"reserve_usdt is {plain(current.reserve_usdt)}, and {plain(before.reserve_usdt - moved)} is left of "
            f"{plain(before.reserve_usdt)} after its transfers"
        )
    if current.reserve_usdt < 0:
        yield f"its transfers give {plain(-current.reserve_usdt)} USDT more than there is"
    standings = []
    for symbol, hour in current.records.items():
        record = by_hour.get(symbol, {}).get(hour)
        if record is None or hour >= current.close_time:
            yield f"it marks {symbol} by a record of {iso(hour)}, which is not there"
            return
        standings.append(SleeveStanding(symbol, hour, record.line.equity, record.ledger.cash, record.halted))
    if current.equity_usdt != (equity := book_equity(before, standings)):
        yield f"equity_usdt is {plain(current.equity_usdt)}, and its symbols' records add up to {plain(equity)}"
    yield from _wrong_limits(current, before, equity, halts[: current.halt_event])
    for it in standings:
        coming = current.pending.get(it.symbol)
        if -current.transfer(it.symbol) > it.cash_usdt + (coming.total_usdt if coming else 0):
            yield f"{it.symbol} gives {plain(-current.transfer(it.symbol))} USDT, and has {plain(it.cash_usdt)}"


def _wrong_limits(
    current: BookHour, before: BookHour, equity: Decimal, halts: Sequence[Event[HaltEvent | ResumeEvent]]
) -> Iterator[str]:
    """What is wrong with the state of the limits. equity: by the symbols' records, USDT. Which losses halt the book stands in
    book.toml, which may have had others then: of a halt it is compared that there was a loss of its kind."""
    risk = risk_after(before.risk, halts, before.halt_event, current.close_time, equity)
    counted = assess(risk, equity, current.close_time, LossLimits(None, None, False))
    stored = current.risk
    for what, one, other in (
        ("base_equity_usdt", stored.base_equity, counted.base_equity),
        ("peak_equity_usdt", stored.peak_equity, counted.peak_equity),
    ):
        if one != other:
            yield f"{what} is {plain(one)}, and {plain(other)} follows from the hour before"
    if counted.halted_at is not None and stored != counted:
        yield f"the book was halted at {iso(counted.halted_at)} ({counted.halt_reason}), and it says otherwise"
    if counted.halted_at is None and stored.halted_at is not None:
        least = {"cumulative_return": counted.base_equity, "drawdown": counted.peak_equity}
        if stored.halted_at != current.close_time or stored.halt_reason not in least:
            yield f"it is halted ({stored.halt_reason}), and nobody has halted the book"
        elif equity >= least[stored.halt_reason]:
            yield f"it halts by {stored.halt_reason}, and nothing was lost: the equity is {plain(equity)}"
