"""The journal: decisions, attempts, outcomes, records and events as create-if-absent JSON objects in a store.

    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/decision      what an hour decided: one, before anything leaves
    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/attempt-<n>   an order's fixed bytes, before it is sent
    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/outcome-<n>   what became of it
    .../flatten_attempt-<n>, .../flatten_outcome-<n>     the same of a sale that a person ordered within the hour
    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/record        the closed hour, with running totals
    state/<symbol>/<name>/<number>                       numbered events: deployment, champion, halt, breach, study, account,
                                                         trouble
    models/<id>/{model,card}                             a model, and what it was trained on

Nothing here is ever overwritten. Who loses a race reads the winner's object and works with that one. A short event
carries those before it, so that a fresh process reads one object and not a history; in a bucket every object is a request.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeVar

from trader.app.codec import ATTEMPT, DECISION, OUTCOME, RECORD
from trader.app.event_log import EventLog
from trader.app.layout import StoreIdentity, birth_of, give_birth
from trader.app.stored import Format
from trader.core.errors import DataError, Retry, WrongStore
from trader.core.ports import Store
from trader.core.records import Attempt, Decision, HourRecord, Outcome
from trader.core.types import HOUR_MS, iso

T = TypeVar("T")
D = TypeVar("D", Decision, HourRecord)

# Attempts of the hour's own decision, or of a sale that a person ordered within the hour.
Series = Literal["", "flatten_"]


def hour_folder(symbol: str, hour: int) -> str:
    """`journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>` of a close time (UTC ms)."""
    moment = datetime.fromtimestamp(hour / 1000, UTC)
    return f"journal/{symbol}/{moment:%Y/%m/%dT%H}"


def hour_of_key(key: str) -> int:
    """The close time (UTC ms) that a journal key belongs to."""
    year, month, day_hour = key.split("/")[2:5]
    moment = datetime.strptime(f"{year}-{month}-{day_hour}", "%Y-%m-%dT%H").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


class Journal(EventLog):
    """One symbol's journal in one store. Every method is safe to repeat. book: all symbols of a store that is a book's."""

    def __init__(self, store: Store, symbol: str, book: Sequence[str] = ()) -> None:
        super().__init__(symbol)
        self._store = store
        self.book = tuple(book)
        self._looked = False
        self._birth: StoreIdentity | None = None
        self._newest: HourRecord | None = None  # the newest record that this process has seen

    @property
    def store(self) -> Store:
        """The store, once it was seen that it is this symbol's, or nobody's yet. Raises WrongStore where it is not."""
        self.require_own()
        return self._store

    def require_own(self) -> None:
        """Raises WrongStore where the store belongs to another symbol or is laid out by an earlier version. Asks once."""
        if self._looked:
            return
        birth = birth_of(self._store, self.symbol)
        if self.book and birth is not None and set(birth.symbols) != set(self.book):
            raise WrongStore(
                f"this store is of {', '.join(birth.symbols)}, and the book names {', '.join(self.book)}. Give the book another "
                f"--store (or TRADER_STORE), name those symbols in it, or change the list of this book: trader retrain --reason"
            )
        self._birth, self._looked = birth, True

    @property
    def in_book(self) -> bool:
        """Whether its symbol is one of several of a book: its cash comes and goes by transfers. Raises as `require_own`."""
        self.require_own()
        return self._birth is not None and len(self._birth.symbols) > 1

    @property
    def changes(self) -> int:
        """How often the symbols of its book have been changed, as it was seen first. Raises as `require_own`."""
        self.require_own()
        return 0 if self._birth is None else self._birth.changes

    @property
    def own_id(self) -> str:
        """The store's id, "" before its birth. Raises as `require_own`."""
        self.require_own()
        return "" if self._birth is None else self._birth.store_id

    def require_whole(self) -> None:
        """Raises WrongStore where the symbol is one of a book's and would be traded without it."""
        if self.in_book and self._birth is not None and not self.book:
            raise WrongStore(
                f"this store is a book's, of {', '.join(self._birth.symbols)}: its symbols are traded together. Name the book: "
                f"--book book.toml, or TRADER_BOOK"
            )

    def _read(self, key: str, form: Format[T]) -> T | None:
        data = self.store.get(key)
        return None if data is None else form.decode(key, data, self.symbol)

    def create(self, key: str, form: Format[T], value: T) -> tuple[T, bool]:
        """Create the object if absent: (what is there now, whether this call created it)."""
        if self.store.create(key, form.encode(value, secrets.token_hex(8))):
            return value, True
        there = self._read(key, form)
        if there is None:
            raise Retry(f"{key} is listed in the store and cannot be read yet")
        return there, False

    def _key(self, hour: int, name: str) -> str:
        return f"{hour_folder(self.symbol, hour)}/{name}"

    def _of(self, hour: int, found: D | None) -> D | None:
        """The object itself. Raises DataError where it is another hour's."""
        if found is not None and found.close_time != hour:
            raise DataError(
                f"{hour_folder(self.symbol, hour)} holds an object of {iso(found.close_time)}; restore it from a copy"
            )
        return found

    def decision(self, hour: int) -> Decision | None:
        """The decision of an hour, None before there is one."""
        return self._of(hour, self._read(self._key(hour, "decision"), DECISION))

    def decide(self, decision: Decision) -> tuple[Decision, bool]:
        """Create an hour's decision, or read the one that was there first: (the decision that is there, whether it is ours
        and therefore has no attempt yet)."""
        return self.create(self._key(decision.close_time, "decision"), DECISION, decision)

    def attempt(self, hour: int, n: int, series: Series = "") -> Attempt | None:
        """Attempt n of an hour, None before there is one."""
        return self._read(self._key(hour, f"{series}attempt-{n}"), ATTEMPT)

    def try_once(self, hour: int, n: int, attempt: Attempt, series: Series = "") -> tuple[Attempt, bool]:
        """Create attempt n: (the attempt that is there, whether it is ours and therefore ours to send)."""
        return self.create(self._key(hour, f"{series}attempt-{n}"), ATTEMPT, attempt)

    def outcome(self, hour: int, n: int, series: Series = "") -> Outcome | None:
        """What became of attempt n, None while it is open."""
        return self._read(self._key(hour, f"{series}outcome-{n}"), OUTCOME)

    def close_attempt(self, hour: int, n: int, outcome: Outcome, series: Series = "") -> Outcome:
        """Create the outcome of attempt n, or read the one that was there first."""
        return self.create(self._key(hour, f"{series}outcome-{n}"), OUTCOME, outcome)[0]

    def record(self, hour: int) -> HourRecord | None:
        """The record of an hour, None while it is not closed."""
        if self._newest is not None and self._newest.close_time == hour:
            return self._newest
        found = self._of(hour, self._read(self._key(hour, "record"), RECORD))
        return None if found is None else self._seen(found)

    def _seen(self, record: HourRecord) -> HourRecord:
        if self._newest is None or record.close_time > self._newest.close_time:
            self._newest = record
        return record

    def close_hour(self, record: HourRecord) -> HourRecord:
        """Create an hour's record, or read the one that was there first; two writers write the same."""
        return self._seen(self.create(self._key(record.close_time, "record"), RECORD, record)[0])

    def newest_record(self, until: int, since: int) -> HourRecord | None:
        """The newest record with since <= close_time <= until, None without one.

        `since` is the deployment's first hour. Hours are closed in order, so the records are one run without holes:
        the last two hours are looked at first, then the run's end is found by halving, cheap whatever lies behind.
        """
        for hour in (until, until - HOUR_MS):
            if hour >= since and (record := self.record(hour)) is not None:
                return record
        found = self.record(since) if until >= since else None
        low, high = 0, (until - since) // HOUR_MS
        while found is not None and high - low > 1:
            middle = (low + high) // 2
            if (record := self.record(since + middle * HOUR_MS)) is not None:
                low, found = middle, record
            else:
                high = middle
        return found

    def records(self, since: int | None = None, until: int | None = None) -> Iterator[HourRecord]:
        """Records in the order of their hours, since <= close_time < until where given."""
        prefix = f"journal/{self.symbol}/"
        after = "" if since is None else hour_folder(self.symbol, since)
        for key in self._keys(prefix, after):
            if not key.endswith("/record"):
                continue
            hour = hour_of_key(key)
            if until is not None and hour >= until:
                return
            record = self._read(key, RECORD)
            if record is not None:
                yield record

    def store_id(self) -> str:
        """Four characters that this store got at birth; they stand in every client order id. At birth the store proves
        that it creates if absent, and belongs to this symbol from then on. Raises ConfigError where it does not."""
        if self._birth is None:
            self._birth = give_birth(self._store, self.symbol, self.book)
            self._looked = True
        return self._birth.store_id
