"""What a fresh process reads of a long history: in a bucket every object is a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.records_made import record_made
from trader.adapters.store_local import LocalStore
from trader.app.codec_events import BREACH, CHAMPION, DEPLOYMENT, HALT
from trader.app.journal import Journal
from trader.core.errors import ConfigError, DataError
from trader.core.events import BreachEvent, ChampionEvent, DeploymentEvent, HaltEvent


class CountingStore(LocalStore):
    """A folder that counts what is asked of it."""

    asked = 0

    def get(self, key: str) -> bytes | None:
        """Counted."""
        self.asked += 1
        return super().get(key)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Counted."""
        self.asked += 1
        return super().list(prefix, after, limit)


class Overwriting(LocalStore):
    """A store that ignores "if absent", as some S3 servers do."""

    def create(self, key: str, data: bytes) -> bool:
        """Overwrites."""
        self.put(key, data)
        return True


def champion(model_id: str, valid_from_ms: int) -> ChampionEvent:
    """A model that was asked for."""
    return ChampionEvent("BTCUSDT", model_id, valid_from_ms, "asked")


def halt(message: str) -> HaltEvent:
    """A person's halt."""
    return HaltEvent("BTCUSDT", 0, "person", False, "person", message)


def fresh(folder: Path) -> tuple[CountingStore, Journal]:
    """A journal that has seen whose store it is, and nothing else yet."""
    store = CountingStore(folder, durable=False)
    journal = Journal(store, "BTCUSDT")
    journal.require_own()
    store.asked = 0
    return store, journal


def test_a_history_of_events_costs_two_requests(tmp_path: Path) -> None:
    """The newest event carries those before it: fifty are known after one listing and one read."""
    _, writer = fresh(tmp_path)
    written = [writer.append(champion(str(n), n)) for n in range(50)]
    store, reader = fresh(tmp_path)
    assert reader.events(CHAMPION) == written
    assert store.asked == 2
    store.asked = 0
    assert reader.new_events(CHAMPION, 50) == []
    assert store.asked == 1


def test_events_that_carry_nothing_are_read_one_by_one(tmp_path: Path) -> None:
    """A journal of an earlier version, and one that goes on after it: the same events."""
    store, born = fresh(tmp_path)
    born.store_id()
    for n in (1, 2, 3):
        store.create(f"state/BTCUSDT/halt/{n:06d}", HALT.encode(halt(str(n)), "token"))
    _, journal = fresh(tmp_path)
    journal.append(halt("4"))
    _, reader = fresh(tmp_path)
    assert [event.content.message for event in reader.events(HALT)] == ["1", "2", "3", "4"]
    assert [event.number for event in reader.events(HALT)] == [1, 2, 3, 4]


def test_events_that_tell_long_stories_carry_none(tmp_path: Path) -> None:
    """Histories do not grow beyond bounds: long events are read one by one, and are as complete."""
    _, writer = fresh(tmp_path)
    for n in range(5):
        writer.append(BreachEvent("BTCUSDT", n, "x" * 30_000))
    assert max(file.stat().st_size for file in (tmp_path / "state/BTCUSDT/breach").iterdir()) < 100_000
    assert [event.content.at_ms for event in fresh(tmp_path)[1].events(BREACH)] == list(range(5))


def test_two_writers_of_events_see_each_other(tmp_path: Path) -> None:
    """Each appends after the other's newest, whatever it knew; the numbers have no hole and the histories agree."""
    _, one = fresh(tmp_path)
    _, two = fresh(tmp_path)
    for n in range(6):
        (one if n % 2 else two).append(BreachEvent("BTCUSDT", n, ""))
    for journal in (one, two, fresh(tmp_path)[1]):
        assert [event.content.at_ms for event in journal.events(BREACH)] == list(range(6))


def test_within_a_glance_one_listing_is_enough(tmp_path: Path) -> None:
    """Named events are listed once together; what is not named is listed anew."""
    _, writer = fresh(tmp_path)
    writer.append(DeploymentEvent("BTCUSDT", 0))
    writer.append(champion("a", 0))
    store, reader = fresh(tmp_path)
    with reader.glance(DEPLOYMENT, CHAMPION):
        for _ in range(3):
            assert len(reader.events(DEPLOYMENT)) == len(reader.events(CHAMPION)) == 1
        assert store.asked == 3
        writer.append(champion("b", 0))
        writer.append(halt("person"))
        assert len(reader.events(CHAMPION)) == 1
        assert len(reader.events(HALT)) == 1
    assert len(reader.events(CHAMPION)) == 2


def test_a_lost_event_is_said(tmp_path: Path) -> None:
    """An event that was deleted below one that carries no history is an error, not a shorter history."""
    store, born = fresh(tmp_path)
    born.store_id()
    for n in (1, 3):
        store.create(f"state/BTCUSDT/halt/{n:06d}", HALT.encode(halt(str(n)), "token"))
    with pytest.raises(
        DataError, match="state/BTCUSDT/halt/000002 is missing although a later event is there"
    ):
        fresh(tmp_path)[1].events(HALT)


def test_no_store_is_born_where_creating_overwrites(tmp_path: Path) -> None:
    """The birth of a store proves that creating does not overwrite; such a store gets no id and no event."""
    store = Overwriting(tmp_path)
    with pytest.raises(ConfigError, match="two processes could trade one hour twice"):
        Journal(store, "BTCUSDT").store_id()
    assert store.list("state/") == []


def test_the_newest_record_is_read_once(tmp_path: Path) -> None:
    """A long-lived process does not read again what it has just written."""
    store, journal = fresh(tmp_path)
    hour = 3_600_000 * 400_000
    journal.close_hour(record_made(hour))
    store.asked = 0
    assert journal.record(hour) == record_made(hour)
    assert store.asked == 0
