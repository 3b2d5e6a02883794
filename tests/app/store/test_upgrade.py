"""`trader store upgrade` on the store of version 0.1.0: killed anywhere, twice at once, and beside a bot that still runs."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.app.store.test_journal_reads import CountingStore
from tests.support.fakes import MemoryStore
from tests.support.rig import command
from tests.support.verbs import VERBS, held, host
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.app.layout import birth_of, keys_of
from trader.app.retrain import champions, load_model
from trader.app.store_upgrade import upgrade
from trader.app.stored import encode
from trader.core.errors import ConfigError, DataError, WrongStore
from trader.core.types import HOUR_MS, Json

NAMES_THE_COMMAND = "this store was written by version 0.1.0, .*run: trader store upgrade"


class Killed(BaseException):
    """What a kill is to the code that it meets: nothing catches it."""


class DiesAtWrite(MemoryStore):
    """Ends the process before its n-th write, or never."""

    def __init__(self, objects: dict[str, bytes], n: int = -1) -> None:
        super().__init__()
        self.objects, self.left = objects, n
        self.written: list[str] = []

    def create(self, key: str, data: bytes) -> bool:
        """Counted."""
        self.left -= 1
        if self.left == 0:
            raise Killed
        self.written.append(key)
        return super().create(key, data)


@pytest.fixture
def before(old: Path) -> dict[str, bytes]:
    """The old store's objects."""
    return {key: data for key, data in held(old / "state").items() if data is not None}


def upgraded(before: dict[str, bytes]) -> DiesAtWrite:
    """A copy of it, upgraded."""
    store = DiesAtWrite(dict(before))
    upgrade(store, "BTCUSDT")
    return store


def test_everything_of_before_stays_and_the_fence_is_last(before: dict[str, bytes]) -> None:
    """No object of version 0.1.0 is changed; models and events lie where this version looks for them, with equal numbers;
    the last write is the event that version 0.1.0 refuses, and it names the symbols."""
    store = upgraded(before)
    new = held(store)
    assert {key: new[key] for key in before} == before
    assert store.written[-2:] == ["state/halt/000003", "state/champion/000005"]
    fence = json.loads(new["state/champion/000005"] or b"")
    assert (fence["schema"], fence["symbols"]) == ("champion/2", ["BTCUSDT"])
    for key, data in before.items():
        room, name, *number = key.split("/")
        if room == "state" and number:
            assert json.loads(new[f"state/BTCUSDT/{name}/{number[0]}"] or b"")["schema"] == f"{name}/2"
        if key.endswith("/model.ubj"):
            assert new[key.removesuffix(".ubj")] == data
        if key.endswith("/card.json"):
            card = {"schema": "model-card/2", "format": "ubjson", "symbols": ["BTCUSDT"]}
            wanted = {**json.loads(data), **card, "upgraded_from": "model-card/1"}
            assert json.loads(new[key.removesuffix(".json")] or b"") == wanted


def test_killed_before_every_write_and_repeated(before: dict[str, bytes]) -> None:
    """Until the fence stands the store is opened by no verb of this version; the same command goes on, to equal bytes."""
    wanted = held(upgraded(before))
    for n in range(1, 100):
        store = DiesAtWrite(dict(before), n)
        try:
            upgrade(store, "BTCUSDT")
        except Killed:
            with pytest.raises(WrongStore, match=NAMES_THE_COMMAND):
                Journal(store, "BTCUSDT").require_own()
            again = DiesAtWrite(store.objects)
            assert upgrade(again, "BTCUSDT").needed
            assert held(again) == wanted
        else:
            break
    assert n > 15
    assert held(store) == wanted


def test_whose_store_it_is_costs_three_requests_afterwards(old: Path) -> None:
    """As docs/s3.md says: `state/store`, and a LIST and a GET for the fence; once in the life of a process."""
    upgrade(LocalStore(old / "state", durable=False), "BTCUSDT")
    store = CountingStore(old / "state")
    journal = Journal(store, "BTCUSDT")
    for _ in range(3):
        assert journal.store_id()
    assert store.asked == 3


def test_a_repeat_has_nothing_to_do(before: dict[str, bytes]) -> None:
    """An upgraded store, one of this version, and an empty one are left alone."""
    store = upgraded(before)
    fresh = MemoryStore()
    Journal(fresh, "BTCUSDT").store_id()
    for there in (store, fresh, MemoryStore()):
        seen = held(there)
        assert not upgrade(there, "BTCUSDT").needed
        assert held(there) == seen


def test_two_at_once_write_the_same(before: dict[str, bytes]) -> None:
    """Two upgrades, write by write beside each other: neither is refused, and the bytes are those of one."""
    objects, barrier = dict(before), threading.Barrier(2, timeout=30)
    failed: list[BaseException] = []

    class Abreast(MemoryStore):
        def create(self, key: str, data: bytes) -> bool:
            barrier.wait()
            return super().create(key, data)

    def bring() -> None:
        store = Abreast()
        store.objects = objects
        try:
            upgrade(store, "BTCUSDT")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=bring) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    one = MemoryStore()
    one.objects = objects
    assert held(one) == held(upgraded(before))


def test_what_an_old_bot_writes_meanwhile_is_not_lost(before: dict[str, bytes]) -> None:
    """Just before the fences version 0.1.0 halts, and answers another breach by a search and a new model: all of it gets its
    place, and the fences stand behind it."""
    [card] = [key for key in before if key.startswith("models/20210306T19") and key.endswith("/card.json")]
    old = json.loads(before[card])
    name = old["model_id"].replace("T19", "T20")  # the same trees, from an hour later on
    late_card = json.dumps({**old, "model_id": name, "valid_from": old["valid_from"] + HOUR_MS}).encode()
    champion = json.loads(before["state/champion/000004"])
    champion |= {"model_id": name, "breach": 2, "token": "t"}
    champion.pop("earlier")
    late = {
        "state/halt/000003": {"state/halt/000003": before["state/halt/000002"]},
        "state/champion/000005": {
            "state/breach/000002": before["state/breach/000001"],
            "state/study/000002": before["state/study/000001"],
            f"models/{name}/card.json": late_card,
            f"models/{name}/model.ubj": before[card.replace("card.json", "model.ubj")],
            "state/champion/000005": encode(champion),
        },
    }

    class Beside(DiesAtWrite):
        def create(self, key: str, data: bytes) -> bool:
            self.objects |= late.pop(key, {})
            return super().create(key, data)

    store = Beside(dict(before))
    assert upgrade(store, "BTCUSDT").models == 4
    for event, number in (("halt", 3), ("breach", 2), ("study", 2), ("champion", 5)):
        assert keys_of(store, f"state/BTCUSDT/{event}/")[-1] == f"state/BTCUSDT/{event}/{number:06d}"
    assert {f"models/{name}/model", f"models/{name}/card"} <= store.objects.keys()
    assert keys_of(store, "state/champion/")[-1] == "state/champion/000006"
    assert keys_of(store, "state/halt/")[-1] == "state/halt/000004"
    assert birth_of(store, "BTCUSDT") is not None


def test_a_store_that_only_knows_a_halt_belongs_to_the_asked_symbol() -> None:
    """Halted before its first training, a store of version 0.1.0 has no id and no deployment: the halt is carried over."""
    store = MemoryStore()
    halt = {"kind": "halt", "at": 0, "reason": "person", "freeze": True, "by": "person", "words": "not yet"}
    store.create("state/halt/000001", json.dumps({**halt, "schema": "halt/1", "token": "t"}).encode())
    with pytest.raises(WrongStore, match=NAMES_THE_COMMAND):
        Journal(store, "ETHUSDT").store_id()
    assert upgrade(store, "ETHUSDT").symbol == "ETHUSDT"
    assert Journal(store, "ETHUSDT").store_id() == json.loads(store.objects["state/store"])["id"]
    assert json.loads(store.objects["state/ETHUSDT/halt/000001"])["kind"] == "halt"
    with pytest.raises(WrongStore, match="belongs to ETHUSDT"):
        Journal(store, "BTCUSDT").require_own()


def test_the_deployment_says_whose_store_it_is(before: dict[str, bytes]) -> None:
    """The symbol of the settings does not count where a bot has begun."""
    store = MemoryStore()
    store.objects = dict(before)
    assert upgrade(store, "ETHUSDT").symbol == "BTCUSDT"
    with pytest.raises(WrongStore, match="belongs to BTCUSDT; give ETHUSDT another --store"):
        Journal(store, "ETHUSDT").require_own()


def test_a_broken_model_is_left_and_said(before: dict[str, bytes]) -> None:
    """A model without its card, and one of other bytes, are named; the rest is upgraded."""
    models = sorted({key.split("/")[1] for key in before if key.startswith("models/")})
    del before[f"models/{models[0]}/card.json"]
    before[f"models/{models[1]}/model.ubj"] += b"x"
    store = MemoryStore()
    store.objects = dict(before)
    done = upgrade(store, "BTCUSDT")
    assert done.models == 1
    said = " ".join(done.warnings)
    assert f"models/{models[0]} is incomplete" in said
    assert f"models/{models[1]}/card.json: the model's bytes do not match its card" in said


def test_a_model_replaced_with_its_card_is_left_and_said(before: dict[str, bytes]) -> None:
    """Another model's bytes and card under this name fit each other: the name's own digest says that they are not its."""
    one, other = sorted({key.split("/")[1] for key in before if key.startswith("models/")})[:2]
    for part in ("card.json", "model.ubj"):
        before[f"models/{one}/{part}"] = before[f"models/{other}/{part}"]
    store = MemoryStore()
    store.objects = dict(before)
    done = upgrade(store, "BTCUSDT")
    assert done.models == 2
    assert f"models/{one}/card.json: the card is not the one that {one} names" in " ".join(done.warnings)


@pytest.mark.parametrize("changed", [{"params": {"exit_edge": 0.4}}, {"valid_from": 1}, {"rows": 7}])
def test_an_upgraded_card_that_was_changed_is_refused(before: dict[str, bytes], changed: Json) -> None:
    """Its id digests the model's bytes alone; the card that it was made of lies beside it, and is compared."""
    store = upgraded(before)
    journal = Journal(store, "BTCUSDT")
    newest = champions(journal)[-1].model_id
    assert load_model(journal, newest)[0].model_id == newest
    key = f"models/{newest}/card"
    card = json.loads(store.objects[key])
    more = {name: {**card[name], **it} if isinstance(it, dict) else it for name, it in changed.items()}
    store.objects[key] = json.dumps({**card, **more}, indent=1, sort_keys=True).encode()
    with pytest.raises(DataError, match=rf"{key}.*(is not what an upgrade makes of|is not the one that)"):
        load_model(journal, newest)
    del store.objects[f"{key}.json"]
    with pytest.raises(DataError, match=rf"{key}"):
        load_model(journal, newest)


@pytest.mark.parametrize(
    ("key", "data", "said"),
    [
        ("state/champion/000002", None, "state/champion/000002 is missing although state/champion/000003 is there"),
        ("state/halt/000001", b"{", "state/halt/000001 does not hold"),
        ("state/deployment/000001", b'{"schema": "deployment/1"}', "state/deployment/000001: symbol is missing"),
        ("state/store", b'{"schema": "store/9"}', "state/store does not hold"),
    ],
)  # fmt: skip  # read as a table
def test_a_damaged_event_stops_it(before: dict[str, bytes], key: str, data: bytes | None, said: str) -> None:
    """What decides must be whole: the object is named, and no fence is written."""
    before.pop(key)
    if data is not None:
        before[key] = data
    store = MemoryStore()
    store.objects = dict(before)
    with pytest.raises(DataError, match=said):
        upgrade(store, "BTCUSDT")
    assert "state/champion/000005" not in store.objects


def test_no_store_is_upgraded_that_overwrites(before: dict[str, bytes]) -> None:
    """A server that ignores "if absent" gets no fence that would not hold."""

    class Overwriting(MemoryStore):
        def create(self, key: str, data: bytes) -> bool:
            self.objects[key] = data
            return True

    store = Overwriting()
    store.objects = dict(before)
    with pytest.raises(ConfigError, match="two processes could trade one hour twice"):
        upgrade(store, "BTCUSDT")
    assert held(store) == before


@pytest.mark.parametrize("verb", VERBS)
def test_before_the_upgrade_every_verb_names_the_command(old: Path, verb: str) -> None:
    """Exit 2, the sentence, and nothing written: not even for the symbol that the store belongs to."""
    host(old)
    seen = held(old / "state")
    done = command("trader", *VERBS[verb], cwd=old, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "this store was written by version 0.1.0" in done.stderr
    assert "trader store upgrade" in done.stderr
    assert held(old / "state") == seen


def test_the_command_tells_what_it_did(old: Path) -> None:
    """A table for people, one line of JSON for machines, and 0 problems afterwards."""
    told = command("trader", "store", "upgrade", cwd=old).stdout
    assert "BTCUSDT in state: upgraded" in told
    again = json.loads(command("trader", "store", "upgrade", "--json", cwd=old).stdout)
    assert (again["symbol"], again["needed"], again["created"], again["warnings"]) == (
        "BTCUSDT",
        False,
        0,
        [],
    )
    assert (
        "46 hours, 120 objects, 3 models, 0 problems" in command("trader", "store", "verify", cwd=old).stdout
    )
