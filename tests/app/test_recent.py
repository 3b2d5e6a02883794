"""The newest hours that drift looks at: what the records say, at the price of a request or two."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.support.fakes import MemoryStore
from tests.support.records_made import record_made
from trader.app.journal import Journal
from trader.app.recent import recent_hours, recent_key
from trader.core.records import RecentHour
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2022-01-01")
HOURS = 30
WINDOW = 10


class CountedStore(MemoryStore):
    """Counts what a bucket would be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, key: str) -> bytes | None:
        """Counted."""
        self.asked.append("GET")
        return super().get(key)

    def put(self, key: str, data: bytes) -> None:
        """Counted."""
        self.asked.append("PUT")
        super().put(key, data)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Counted."""
        self.asked.append("LIST")
        return super().list(prefix, after, limit)


@pytest.fixture
def store() -> CountedStore:
    """Thirty closed hours, a few without a bar, a call or a feature."""
    made = CountedStore()
    journal = Journal(made, "BTCUSDT")
    for i in range(HOURS):
        gap = i % 7 == 3
        record = record_made(
            START + i * HOUR_MS,
            close=Decimal(50_000 + i),
            gap=gap,
            line={"p_up": None if gap else 0.5 + i / 1000},
            features={} if i == 1 else {"rsi_14": 0.1 + i / 3, "young": None},
        )
        journal.close_hour(record)
    made.asked.clear()
    return made


def looked(
    store: CountedStore, i: int, window: int = WINDOW, most_reads: int | None = None
) -> tuple[list[RecentHour] | None, list[str]]:
    """What a fresh process sees up to hour i, and what it asked for beside the newest record."""
    journal = Journal(store, "BTCUSDT")
    newest = journal.record(START + i * HOUR_MS)
    assert newest is not None
    store.asked.clear()
    return recent_hours(journal, newest, window, most_reads), list(store.asked)


def said(store: CountedStore, i: int, window: int = WINDOW) -> list[RecentHour]:
    """The slow twin: what the records up to hour i say."""
    first = START + (i - window + 1) * HOUR_MS
    return [
        RecentHour(record.close_time, record.close, record.gap, record.line.p_up, record.features)
        for record in Journal(store, "BTCUSDT").records(first, START + (i + 1) * HOUR_MS)
    ]


def test_hour_after_hour_costs_two_requests_and_says_what_the_records_say(store: CountedStore) -> None:
    """The first look reads them all; each later one reads one object and writes it, and a repeated one reads only."""
    rows, asked = looked(store, WINDOW)
    assert rows == said(store, WINDOW)
    assert asked == ["GET"] * WINDOW + ["PUT"]
    for i in range(WINDOW + 1, HOURS):
        rows, asked = looked(store, i)
        assert rows == said(store, i)
        assert asked == ["GET", "PUT"]
        assert looked(store, i) == (rows, ["GET"])


def test_hours_that_were_not_looked_at_are_read_later(store: CountedStore) -> None:
    """An outage of the schedule, of some hours or of more than the window; a longer window after that."""
    looked(store, WINDOW)
    assert looked(store, WINDOW + 4) == (said(store, WINDOW + 4), ["GET"] * 4 + ["PUT"])
    assert looked(store, 29) == (said(store, 29), ["GET"] * WINDOW + ["PUT"])
    assert looked(store, 29, WINDOW + 3) == (said(store, 29, WINDOW + 3), ["GET"] * 4 + ["PUT"])


def test_before_there_are_so_many_hours_nothing_is_known(store: CountedStore) -> None:
    """One look at the oldest, and nothing is kept."""
    assert looked(store, WINDOW - 2) == (None, ["GET"] * 2)
    assert recent_key("BTCUSDT") not in store.objects


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"schema": "recent/0"}', b'{"schema": "recent/2"}', b'{"schema": "recent/2", "hours": [3]}'],
)  # fmt: skip  # read as a table
def test_a_damaged_object_is_made_anew(store: CountedStore, damage: bytes) -> None:
    """It is a copy; the records are the truth."""
    looked(store, WINDOW)
    store.objects[recent_key("BTCUSDT")] = damage
    assert looked(store, WINDOW)[0] == said(store, WINDOW)
    assert looked(store, WINDOW)[1] == ["GET"]


def test_an_object_with_a_row_that_is_not_whole_is_made_anew(store: CountedStore) -> None:
    """One damaged hour makes the whole copy worth nothing: every record is asked for, and it is whole again."""
    looked(store, WINDOW)
    value = json.loads(store.objects[recent_key("BTCUSDT")])
    del value["hours"][4]["p_up"]
    store.objects[recent_key("BTCUSDT")] = json.dumps(value).encode()
    assert looked(store, WINDOW) == (said(store, WINDOW), ["GET"] * WINDOW + ["PUT"])


def test_who_only_looks_writes_nothing_and_reads_no_more_than_it_may(store: CountedStore) -> None:
    """A status must stay quick and needs no right to write."""
    assert looked(store, WINDOW, most_reads=3) == (None, ["GET"])
    looked(store, WINDOW)
    assert looked(store, WINDOW + 4, most_reads=3) == (said(store, WINDOW + 4), ["GET"] * 4)
    assert looked(store, WINDOW + 5, most_reads=3) == (None, ["GET"])
