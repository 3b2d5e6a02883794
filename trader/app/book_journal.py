"""A book's records of its hours, as create-if-absent objects beside its symbols' journals; and what a symbol makes of it.

journal/_book/<yyyy>/<mm>/<dd>T<hh>/book    one an hour, before any symbol decides it
state/_book/halt/<number>                   halts and resumes of the whole book
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from trader.app.fields import FLAG, INTEGER, MONEY, TEXT, Kind, by_name, list_of, maybe, shape, word_of
from trader.app.journal import Journal, hour_folder
from trader.app.layout import BOOK
from trader.app.stored import Format, encode
from trader.core.book import BOOK_HALT, BookHour, BookReason, PendingTransfer
from trader.core.book_limits import LimitName, PurchaseLimit
from trader.core.errors import DataError
from trader.core.records import Decision, Totals
from trader.core.risk import RiskState, halted
from trader.core.transfers import transfer_scale, with_transfer
from trader.core.types import HOUR_MS, Json, iso, plain


def _book_hour(
    close_time: int,
    reason: BookReason,
    equity_usdt: Decimal,
    base_equity_usdt: Decimal,
    peak_equity_usdt: Decimal,
    halted_at_ms: int | None,
    halt_reason: str | None,
    frozen: bool,
    reserve_usdt: Decimal,
    transfers: Mapping[str, Decimal],
    weights: Mapping[str, Decimal],
    bars_hash: str,
    records: Mapping[str, int],
    halt_event: int,
    pending: Mapping[str, PendingTransfer],
    release_event: int,
    limits: Mapping[str, PurchaseLimit],
    symbols_event: int,
) -> BookHour:
    risk = RiskState(base_equity_usdt, peak_equity_usdt, halted_at_ms, halt_reason, frozen)
    return BookHour(
        close_time,
        reason,
        equity_usdt,
        risk,
        reserve_usdt,
        transfers,
        weights,
        bars_hash,
        records,
        halt_event,
        pending,
        release_event,
        limits,
        symbols_event,
    )


SENT: Mapping[str, Kind[Any]] = {"hour": INTEGER, "amount_usdt": MONEY}
NO_EARLIER: Mapping[str, tuple[Kind[Any], Any]] = {"earlier": (list_of(INTEGER), ())}
BOOK_HOUR = Format(
    "book",
    shape(
        _book_hour,
        {
            "close_time": INTEGER,
            "reason": word_of(BookReason),
            "equity_usdt": MONEY,
            "base_equity_usdt": MONEY,
            "peak_equity_usdt": MONEY,
            "halted_at_ms": maybe(INTEGER),
            "halt_reason": maybe(TEXT),
            "frozen": FLAG,
            "reserve_usdt": MONEY,
            "transfers": by_name(MONEY),
            "weights": by_name(MONEY),
            "bars_hash": TEXT,
            "records": by_name(INTEGER),
            "halt_event": INTEGER,
            "pending": by_name(
                shape(
                    PendingTransfer,
                    SENT,
                    {"earlier": (list_of(shape(PendingTransfer, SENT, NO_EARLIER)), ())},
                )
            ),
            "release_event": INTEGER,
        },
        {
            "limits": (by_name(shape(PurchaseLimit, {"most_usdt": MONEY, "limit": word_of(LimitName)})), {}),
            "symbols_event": (INTEGER, 0),
        },
        base_equity_usdt="risk.base_equity",
        peak_equity_usdt="risk.peak_equity",
        halted_at_ms="risk.halted_at",
        halt_reason="risk.halt_reason",
        frozen="risk.frozen",
    ),
)


@dataclass(frozen=True, slots=True)
class BookRecord:
    """A book's record of an hour, and the SHA-256 of it, which every decision of that hour carries."""

    hour: BookHour
    digest: str

    @staticmethod
    def of(book_hour: BookHour) -> BookRecord:
        """The hour with its digest, which does not depend on who wrote it."""
        return BookRecord(book_hour, hashlib.sha256(encode(BOOK_HOUR.content(book_hour))).hexdigest())


def hour_key(hour: int) -> str:
    """Where the book record of an hour (UTC ms) lies."""
    return f"{hour_folder(BOOK, hour)}/book"


class BookJournal:
    """A book's records in one store. Every method is safe to repeat."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._known: dict[int, BookRecord] = {}

    def hour(self, hour: int) -> BookRecord | None:
        """The record of an hour (UTC ms), None before it was made. Raises DataError for another hour's object."""
        if hour not in self._known:
            key = hour_key(hour)
            data = self.journal.store.get(key)
            if data is None:
                return None
            self._keep(hour, BOOK_HOUR.decode(key, data, BOOK))
        return self._known[hour]

    def _keep(self, hour: int, book_hour: BookHour) -> BookRecord:
        if book_hour.close_time != hour:
            raise DataError(
                f"{hour_key(hour)} holds an object of {iso(book_hour.close_time)}; restore it from a copy"
            )
        self._known = {it: book_record for it, book_record in self._known.items() if it >= hour - 2 * HOUR_MS}
        self._known[hour] = BookRecord.of(book_hour)
        return self._known[hour]

    def record_hour(self, book_hour: BookHour) -> BookRecord:
        """Create an hour's record if absent: what is there now, whoever made it."""
        key = hour_key(book_hour.close_time)
        there, _ = self.journal.create(key, BOOK_HOUR, book_hour)
        return self._keep(book_hour.close_time, there)

    def newest(self, until: int, since: int) -> BookRecord | None:
        """The newest record of an hour since <= T <= until (UTC ms), None without one. Records are made in the order of hours,
        none is left out, so the end of them is found by halving."""
        for hour in (until, until - HOUR_MS):
            if hour >= since and (book_record := self.hour(hour)) is not None:
                return book_record
        found = self.hour(since) if until >= since else None
        low, high = 0, (until - since) // HOUR_MS
        while found is not None and high - low > 1:
            middle = (low + high) // 2
            if (book_record := self.hour(since + middle * HOUR_MS)) is not None:
                low, found = middle, book_record
            else:
                high = middle
        return found


def book_record_json(journal: Journal, decision: Decision) -> Json | None:
    """The book record of the hour that a symbol decided, as JSON: None without a book; `known` False where the record that the
    decision was made by is not the one in the store."""
    if not decision.book:
        return None
    book_record = BookJournal(Journal(journal.store, BOOK)).hour(decision.close_time)
    if book_record is None or book_record.digest != decision.book:
        return {"known": False, "transfer": plain(decision.transfer_usdt)}
    book_hour = book_record.hour
    weight = book_hour.weights.get(journal.symbol)
    return {
        "known": True,
        "reason": book_hour.reason,
        "transfer": plain(decision.transfer_usdt),
        "weight": None if weight is None else plain(weight),
        "equity": plain(book_hour.equity_usdt),
        "reserve": plain(book_hour.reserve_usdt),
        "halted": book_hour.halted,
        "halt_reason": book_hour.risk.halt_reason,
        "late": list(book_hour.late),
        **_limit_json(book_hour, journal.symbol),
    }


def _limit_json(book_hour: BookHour, symbol: str) -> Json:
    """The limit of the book that held for a symbol's purchase, nothing without one."""
    if symbol not in book_hour.limits:
        return {}
    found = book_hour.limits[symbol]
    return {"limit": found.limit, "most_usdt": plain(found.most_usdt)}


def with_transfer_booked(totals: Totals, amount: Decimal, mark: Decimal) -> Totals:
    """The totals that an hour begins with after the book's transfer, `mark` being what marks its equity."""
    if not amount:
        return totals
    equity = totals.state.ledger.equity(mark)
    return replace(
        totals,
        state=with_transfer(totals.state, amount, mark),
        transfer_scale=transfer_scale(totals.transfer_scale, equity, amount),
    )


def halted_with_book(totals: Totals, hour: int, *, freeze: bool) -> Totals:
    """The totals of a symbol whose book is halted at this hour (UTC ms)."""
    risk = halted(totals.state.risk, hour, BOOK_HALT, freeze)
    return replace(totals, state=replace(totals.state, risk=risk))
