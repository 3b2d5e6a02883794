"""A store belongs to one symbol: every verb of another one ends with 2, sends nothing and writes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.store.test_journal_reads import CountingStore
from tests.support.fakes import MemoryStore
from tests.support.rig import Venue, venue
from tests.support.rig_bars import made_bars
from tests.support.s3_kit import Bucketry
from tests.support.verbs import VERBS, held, host
from trader.adapters.store_local import LocalStore
from trader.app.halts import announce
from trader.app.journal import Journal
from trader.core.errors import DataError, WrongStore
from trader.core.ports import Store
from trader.core.types import HOUR_MS

SENTENCE = "this store belongs to BTCUSDT; give ETHUSDT another --store (or TRADER_STORE)"


@pytest.fixture(scope="module")
def ether(begun: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """An exchange of ETHUSDT in the first hour of a bot that has begun with BTCUSDT, and that bot's store."""
    store, hour = begun
    folder = host(tmp_path_factory.mktemp("ether"))
    bars = made_bars(folder, "2020-12-01", "2021-03-20", symbol="ETHUSDT", price=1_800.0, seed=2)
    with venue(folder, bars, hour) as made:
        made.settings["TRADER_STORE"] = str(store)
        yield made


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_the_store_of_another_symbol(ether: Venue, verb: str) -> None:
    """Exit 2, the sentence, no order at the exchange, and every object of the store as it was."""
    store = Path(ether.settings["TRADER_STORE"])
    before = held(store)
    done = ether.trader(*VERBS[verb], "--symbol", "ETHUSDT", check=False)
    assert (done.returncode, SENTENCE in done.stderr) == (2, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert ether.ledger() == []
    assert held(store) == before


def test_the_symbol_of_the_settings_is_refused_as_well(ether: Venue) -> None:
    """TRADER_SYMBOL does what `--symbol` does: a halt for ETHUSDT halts no BTCUSDT."""
    store = Path(ether.settings["TRADER_STORE"])
    before = held(store)
    done = ether.run(
        "trader",
        *VERBS["halt"],
        cwd=ether.folder,
        check=False,
        **ether.environment,
        TRADER_SYMBOL="ETHUSDT",
    )
    assert (done.returncode, SENTENCE in done.stderr) == (2, True)
    assert held(store) == before


def test_a_replay_refuses_it_too(ether: Venue) -> None:
    """A rehearsal of another symbol does not go into the store of a bot."""
    store = Path(ether.settings["TRADER_STORE"])
    before = held(store)
    span = ("--bars", "ETHUSDT-1h.parquet", "--from", "2021-03-05", "--to", "2021-03-05T02:00")
    done = ether.trader("replay", *span, "--params", "P.json", "--store", str(store), check=False)
    assert (done.returncode, SENTENCE in done.stderr) == (2, True)
    assert held(store) == before


def test_its_own_symbol_goes_on(ether: Venue) -> None:
    """The same store, asked for its own symbol, answers."""
    assert "BTCUSDT" in ether.trader("status", "--symbol", "BTCUSDT").stdout


def born_at_once(store: Store) -> dict[str, list[str]]:
    """The store's id as eight journals of two symbols saw it that made it at the same moment; "" for the refused."""
    barrier, seen = threading.Barrier(8), dict[str, list[str]](BTCUSDT=[], ETHUSDT=[])

    def birth(symbol: str) -> None:
        journal = Journal(store, symbol)
        journal.require_own()
        barrier.wait(30)
        try:
            seen[symbol].append(journal.store_id())
        except WrongStore:
            seen[symbol].append("")

    threads = [threading.Thread(target=birth, args=(symbol,)) for symbol in seen for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_of_two_symbols_at_once_one_gets_the_store(tmp_path: Path, server: Bucketry) -> None:
    """In a folder and in a bucket: four processes of one symbol agree on its id, four of the other are refused."""
    for store in (LocalStore(tmp_path), server.store(server.bucket(), "bot")):
        seen = born_at_once(store)
        ids = {symbol: set(found) for symbol, found in seen.items()}
        (winner,) = [symbol for symbol, found in ids.items() if found != {""}]
        assert len(ids[winner]) == 1
        assert Journal(store, winner).store_id() in ids[winner]


def test_the_first_event_gives_birth() -> None:
    """A halt before anything was begun makes the store its symbol's, so that no other can begin there unhalted."""
    store = MemoryStore()
    announce(Journal(store, "BTCUSDT"), HOUR_MS, "person", freeze=False)
    with pytest.raises(WrongStore, match="belongs to BTCUSDT"):
        Journal(store, "ETHUSDT").store_id()
    assert store.list("state/ETHUSDT/") == []


def test_a_warm_journal_asks_once(tmp_path: Path) -> None:
    """Whose store it is costs one read in the life of a process, the id of orders included."""
    Journal(LocalStore(tmp_path, durable=False), "BTCUSDT").store_id()
    store = CountingStore(tmp_path, durable=False)
    journal = Journal(store, "BTCUSDT")
    for _ in range(3):
        journal.require_own()
        assert journal.store_id()
    assert store.asked == 1


def test_events_without_a_birth_are_a_damaged_store() -> None:
    """Where `state/store` was lost, no second id is given: orders of the first would belong to nobody."""
    store = MemoryStore()
    announce(Journal(store, "BTCUSDT"), HOUR_MS, "person", freeze=False)
    del store.objects["state/store"]
    with pytest.raises(DataError, match="state/store is missing although state/BTCUSDT/halt/000001 is there"):
        Journal(store, "BTCUSDT").store_id()


class BornBetween(MemoryStore):
    """A store in which another process gives birth between a look for it and the listing."""

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """What is there once the other process has written."""
        if "state/store" not in self.objects:
            other = MemoryStore()
            Journal(other, "BTCUSDT").store_id()
            self.objects.update(other.objects)
        return super().list(prefix, after, limit)


def test_a_birth_that_another_process_gives_meanwhile_is_seen() -> None:
    """Looked for, not there, listed, there: it is read once more, and decides as if it had been there from the beginning."""
    journal = Journal(BornBetween(), "BTCUSDT")
    assert len(journal.store_id()) == 4
    with pytest.raises(WrongStore, match="this store belongs to BTCUSDT"):
        Journal(BornBetween(), "ETHUSDT").require_own()


def test_a_store_that_cannot_be_asked_is_a_finding_of_the_doctor(ether: Venue, server: Bucketry) -> None:
    """Whose a missing bucket is nobody knows: the doctor goes on and says what is wrong with it, beside everything else."""
    place = {"TRADER_S3_ENDPOINT_URL": server.url, "TRADER_S3_REGION": "us-east-1", **server.environment}
    words = (*VERBS["doctor"], "--symbol", "ETHUSDT", "--store", "s3://not-there", "--json")
    done = ether.run("trader", *words, cwd=ether.folder, check=False, **ether.environment, **place)
    assert done.returncode == 2
    found = {row["check"]: row["verdict"] for row in json.loads(done.stdout)}
    assert (found["store"], found["filters"]) == ("fail", "pass")
