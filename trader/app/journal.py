"""The journal: decisions, attempts, outcomes, records and events as create-if-absent JSON objects in a store.

    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/decision      what an hour decided: one, before anything leaves
    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/attempt-<n>   an order's fixed bytes, before it is sent
    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/outcome-<n>   what became of it
    journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>/record        the closed hour, with running totals
    state/<name>/<number>                                numbered events: deployment, champion, halt
    models/<id>/{model.ubj,card.json}

Nothing here is ever overwritten. Who loses a race reads the winner's object and works with that one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trader.core.errors import DataError, Retry
from trader.core.ports import Store
from trader.core.types import HOUR_MS

Json = dict[str, Any]

DECISION, ATTEMPT, OUTCOME, RECORD = "decision/1", "attempt/1", "outcome/1", "record/1"
EVENT_RACES = 20


def encode(value: Json) -> bytes:
    """Readable JSON, keys sorted, so that equal content is equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def hour_folder(symbol: str, hour: int) -> str:
    """`journal/<symbol>/<yyyy>/<mm>/<dd>T<hh>` of a close time (UTC ms)."""
    moment = datetime.fromtimestamp(hour / 1000, UTC)
    return f"journal/{symbol}/{moment:%Y/%m/%dT%H}"


def hour_of_key(key: str) -> int:
    """The close time (UTC ms) that a journal key belongs to."""
    year, month, day_hour = key.split("/")[2:5]
    moment = datetime.strptime(f"{year}-{month}-{day_hour}", "%Y-%m-%dT%H").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Event:
    """A numbered event of `state/<name>/`."""

    number: int
    content: Json


class Journal:
    """One symbol's journal in one store. Every method is safe to repeat."""

    def __init__(self, store: Store, symbol: str) -> None:
        self.store = store
        self.symbol = symbol
        self._store_id: str | None = None
        self._events: dict[str, list[Event]] = {}  # events never change: what was read once is known

    def read(self, key: str, schema: str) -> Json | None:
        """The object at `key`, None if absent. Raises DataError if it is not of this schema."""
        data = self.store.get(key)
        return None if data is None else self._decode(key, data, schema)

    def create(self, key: str, content: Json, schema: str) -> tuple[Json, bool]:
        """Create the object if absent: (what is there now, whether this call's own content is it)."""
        mine = {**content, "schema": schema, "token": secrets.token_hex(8)}
        if self.store.create(key, encode(mine)):
            return mine, True
        there = self.read(key, schema)
        if there is None:
            raise Retry(f"{key} was said to exist and cannot be read yet")
        return there, False

    def _decode(self, key: str, data: bytes, schema: str) -> Json:
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict) or value.get("schema") != schema:
            raise DataError(
                f"{key} does not hold {schema!r}. It is damaged or of another version; restore it from a copy"
            )
        return value

    def decision(self, hour: int) -> Json | None:
        """The decision of an hour, None before there is one."""
        return self.read(f"{hour_folder(self.symbol, hour)}/decision", DECISION)

    def decide(self, hour: int, content: Json) -> Json:
        """Create the hour's decision, or read the one that was there first."""
        return self.create(f"{hour_folder(self.symbol, hour)}/decision", content, DECISION)[0]

    def attempt(self, hour: int, n: int) -> Json | None:
        """Attempt n of an hour, None before there is one."""
        return self.read(f"{hour_folder(self.symbol, hour)}/attempt-{n}", ATTEMPT)

    def try_once(self, hour: int, n: int, content: Json) -> tuple[Json, bool]:
        """Create attempt n: (the attempt that is there, whether it is ours and therefore ours to send)."""
        return self.create(f"{hour_folder(self.symbol, hour)}/attempt-{n}", content, ATTEMPT)

    def outcome(self, hour: int, n: int) -> Json | None:
        """What became of attempt n, None while it is open."""
        return self.read(f"{hour_folder(self.symbol, hour)}/outcome-{n}", OUTCOME)

    def close_attempt(self, hour: int, n: int, content: Json) -> Json:
        """Create the outcome of attempt n, or read the one that was there first."""
        return self.create(f"{hour_folder(self.symbol, hour)}/outcome-{n}", content, OUTCOME)[0]

    def record(self, hour: int) -> Json | None:
        """The record of an hour, None while it is not closed."""
        return self.read(f"{hour_folder(self.symbol, hour)}/record", RECORD)

    def close_hour(self, hour: int, content: Json) -> Json:
        """Create the hour's record, or read the one that was there first; two writers write the same."""
        return self.create(f"{hour_folder(self.symbol, hour)}/record", content, RECORD)[0]

    def newest_record(self, until: int, since: int) -> Json | None:
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

    def records(self, since: int | None = None, until: int | None = None) -> Iterator[Json]:
        """Records in the order of their hours, since <= close_time < until where given."""
        prefix = f"journal/{self.symbol}/"
        after = "" if since is None else hour_folder(self.symbol, since)
        for key in self._keys(prefix, after):
            if not key.endswith("/record"):
                continue
            hour = hour_of_key(key)
            if until is not None and hour >= until:
                return
            record = self.read(key, RECORD)
            if record is not None:
                yield record

    def _keys(self, prefix: str, after: str = "") -> Iterator[str]:
        while page := self.store.list(prefix, after=after, limit=1000):
            yield from page
            after = page[-1]

    def events(self, name: str) -> list[Event]:
        """All events of a name, oldest first. Only those that this journal has not seen yet are read."""
        known = self._events.setdefault(name, [])
        after = f"state/{name}/{known[-1].number:06d}" if known else ""
        for key in self._keys(f"state/{name}/", after):
            content = self.read(key, f"{name}/1")
            if content is not None:
                known.append(Event(int(key.rsplit("/", 1)[1]), content))
        return list(known)

    def append(self, name: str, content: Json) -> Event:
        """Create the next numbered event. Safe against other writers; not a repeat of an equal one."""
        for _ in range(EVENT_RACES):
            newest = self.events(name)
            number = newest[-1].number + 1 if newest else 1
            written, mine = self.create(f"state/{name}/{number:06d}", content, f"{name}/1")
            if mine:
                return Event(number, written)
        raise Retry(
            f"state/{name}: {EVENT_RACES} other writers were faster; something writes events in a loop"
        )

    def store_id(self) -> str:
        """Four characters that this store got at birth; they stand in every client order id."""
        if self._store_id is None:
            content = self.read("state/store", "store/1")
            if content is None:
                content, _ = self.create("state/store", {"id": secrets.token_hex(2)}, "store/1")
            self._store_id = str(content["id"])
        return self._store_id
