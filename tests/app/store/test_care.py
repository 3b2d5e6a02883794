"""`trader store`: a journal that holds together, every kind of damage named with its place, copies either way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.life import HOURS
from tests.support.proxy import Fault, proxy_to
from tests.support.rig import command
from tests.support.s3_kit import Bucketry
from trader.adapters.store_local import LocalStore
from trader.app.codec_events import HALT
from trader.app.journal import Journal
from trader.app.layout import keys_of
from trader.app.store_care import prove, sync
from trader.app.store_check import check
from trader.app.stored import encode
from trader.core.errors import ConfigError
from trader.core.events import HaltEvent, ResumeEvent
from trader.core.ports import Store


def journal_of(store: Store) -> Journal:
    """The bot's journal in a store."""
    return Journal(store, "BTCUSDT")


def objects_of(store: Store) -> dict[str, bytes | None]:
    """Everything that decides."""
    return {key: store.get(key) for key in keys_of(store) if not key.startswith("probe/")}


def key_of(life: Path, ending: str, n: int = 0) -> str:
    """The n-th key with such an ending."""
    return [key for key in keys_of(LocalStore(life)) if key.endswith(ending)][n]


def edit(life: Path, key: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Damage an object of JSON."""
    content = json.loads((life / key).read_bytes())
    change(content)
    (life / key).write_bytes(encode(content))


def test_a_whole_journal_holds_together(traded: Path) -> None:
    """Two days with orders, an outage, a halt, a resume and two models: every hour is read and nothing is wrong."""
    found = check(journal_of(LocalStore(traded)))
    assert found.problems == []
    assert (found.hours, found.models, found.open_hour) == (HOURS, 2, None)
    halts = journal_of(LocalStore(traded)).events(HALT)
    assert [type(event.content) for event in halts] == [HaltEvent, ResumeEvent]


def with_order(life: Path) -> str:
    """The folder of an hour with an order."""
    return key_of(life, "/outcome-1").rsplit("/", 1)[0]


def stray(life: Path, key: str) -> None:
    """Write an event that nothing reads."""
    assert LocalStore(life).create(key, encode({"schema": "halt/1", "kind": "halt"}))


DAMAGE: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "a record gone",
        lambda p: (p / key_of(p, "/record", 5)).unlink(),
        "/record: missing, although later hours",
    ),
    (
        "torn",
        lambda p: (p / key_of(p, "/record", 5)).write_bytes(b'{"schema": "rec'),
        "does not hold 'record/2'",
    ),
    ("schema", lambda p: edit(p, key_of(p, "/decision"), lambda c: c.update(schema="x/9")), "'decision/2'"),
    (
        "cash",
        lambda p: edit(p, key_of(p, "/record", 7), lambda c: c["totals"].update(cash_usdt="1")),
        "record: totals does not",
    ),
    (
        "line",
        lambda p: edit(p, key_of(p, "/record", 7), lambda c: c["line"].update(equity="1")),
        "record: line does not",
    ),
    (
        "before",
        lambda p: edit(p, key_of(p, "/decision", 7), lambda c: c["totals"].update(position="3")),
        "decision: position is 3, but",
    ),
    (
        "hits",
        lambda p: edit(p, key_of(p, "/decision", 7), lambda c: c["totals"].update(hits=99)),
        "decision: hits is 99",
    ),
    (
        "peak",
        lambda p: edit(p, key_of(p, "/decision", 7), lambda c: c["totals"].update(peak_equity_usdt="99999")),
        "decision: peak_equity_usdt is 99999",
    ),
    (
        "doubt",
        lambda p: edit(
            p,
            key_of(p, "/decision", 7),
            lambda c: c["totals"].update(doubt={"close": c["close"], "mark": "7"}),
        ),
        "decision: doubt is not about its close, or its mark",
    ),
    (
        "no decision",
        lambda p: (p / key_of(p, "/decision", 5)).unlink(),
        "decision: missing, although the hour has other",
    ),
    (
        "no outcome",
        lambda p: (p / with_order(p) / "outcome-1").unlink(),
        "outcome-1: missing, although the hour is closed",
    ),
    ("no attempt", lambda p: (p / with_order(p) / "attempt-1").unlink(), "attempt-1: missing"),
    (
        "another quantity",
        lambda p: edit(p, f"{with_order(p)}/attempt-1", lambda c: c.update(qty="7")),
        "attempt-1: another order than the decision's",
    ),
    (
        "filled twice",
        lambda p: edit(p, f"{with_order(p)}/outcome-1", lambda c: c.update(fills=c["fills"] * 2)),
        "more was filled than was decided",
    ),
    (
        "no key",
        lambda p: edit(p, key_of(p, "/decision", 7), lambda c: c.pop("totals")),
        "/decision: totals is missing",
    ),
    (
        "stranger",
        lambda p: (p / key_of(p, "/decision")).with_name("note").write_bytes(b"x"),
        "no object of a journal",
    ),
    ("model", lambda p: (p / key_of(p, "model")).write_bytes(b"x" * 1000), "bytes do not match its card"),
    ("card gone", lambda p: (p / key_of(p, "card")).unlink(), "is incomplete in the store"),
    (
        "event gone",
        lambda p: (p / "state/BTCUSDT/champion/000001").unlink(),
        "state/BTCUSDT/champion/000001: missing",
    ),
    ("strange event", lambda p: stray(p, "state/halt/000001"), "state/halt/000001: no event of BTCUSDT"),
    ("another's", lambda p: stray(p, "state/ETHUSDT/halt/000001"), "no event of BTCUSDT"),
    (
        "history",
        lambda p: edit(p, "state/BTCUSDT/champion/000002", lambda c: c["earlier"][0].update(model_id="x")),
        "what it says of earlier events is not what they say",
    ),
]


@pytest.mark.parametrize(("damage", "said"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_every_damage_is_named(life: Path, damage: Callable[[Path], object], said: str) -> None:
    """An object lost, torn, of another schema or changed by hand is a problem with its place."""
    damage(life)
    problems = check(journal_of(LocalStore(life))).problems
    assert any(said in problem for problem in problems), problems
    assert all(
        problem.split(":")[0].split("/")[0] in ("journal", "models", "state") for problem in problems
    ), problems


def test_a_missing_day_is_a_hole(life: Path) -> None:
    """Whole hours that are gone are one problem at the hour after them."""
    for n in (3, 4):
        folder = LocalStore(life).root / key_of(life, "/record", 3).rsplit("/", 1)[0]
        for file in folder.iterdir():
            file.unlink()
        assert n
    problems = check(journal_of(LocalStore(life))).problems
    assert [problem for problem in problems if "hours are missing" in problem]


def test_the_command_says_it_and_exits_2(life: Path) -> None:
    """`trader store verify`: 0 and one line; after damage every problem and 2; `--json` for machines."""
    good = command("trader", "store", "verify", "--store", str(life), cwd=life.parent)
    assert f"{HOURS} hours" in good.stdout
    assert "0 problems" in good.stdout
    (life / key_of(life, "/record", 5)).unlink()
    bad = command("trader", "store", "verify", "--store", str(life), "--json", cwd=life.parent, check=False)
    assert bad.returncode == 2
    assert len(json.loads(bad.stdout)["problems"]) >= 1
    assert "Traceback" not in bad.stderr


def test_a_copy_into_a_bucket_and_back_is_equal(traded: Path, tmp_path: Path, server: Bucketry) -> None:
    """Folder -> bucket -> folder: the same objects, twice copied changes nothing, and the copy holds together."""
    bucket = server.store(server.bucket(), "bot")
    source, back = LocalStore(traded), LocalStore(tmp_path / "back", durable=False)
    first, again = sync(source, bucket), sync(source, bucket)
    assert (first.copied, first.equal) == (again.equal, again.copied)
    assert again.copied == 0
    assert sync(bucket, back).refused == []
    assert objects_of(source) == objects_of(bucket) == objects_of(back)
    assert check(journal_of(bucket)).problems == []


def test_a_copy_that_was_interrupted_has_not_begun_and_goes_on(traded: Path, tmp_path: Path) -> None:
    """Whatever was copied before an interruption, no event is there yet; the same command copies the rest."""
    source, target = LocalStore(traded), LocalStore(tmp_path / "target", durable=False)

    def interrupt(done: int, of: int) -> None:
        if done == of // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(source, target, interrupt)
    assert target.list("state/") == []
    assert len(keys_of(target)) > 10
    done = sync(source, target)
    assert done.copied > 0
    assert done.equal > 0
    assert objects_of(source) == objects_of(target)


def test_what_decides_is_never_overwritten(traded: Path, life: Path) -> None:
    """Another object under the same key is refused and named, stays as it is, and no event follows it."""
    key = key_of(life, "/record", 3)
    edit(life, key, lambda c: c.update(token="another"))
    (life / "state/BTCUSDT/champion/000002").unlink()
    kept = (life / key).read_bytes()
    done = sync(LocalStore(traded), LocalStore(life))
    assert done.refused == [key]
    assert (life / key).read_bytes() == kept
    assert not (life / "state/BTCUSDT/champion/000002").exists()
    said = command("trader", "store", "sync", str(traded), str(life), cwd=life.parent, check=False)
    assert said.returncode == 2
    assert key in said.stderr


def test_pages_are_renewed(traded: Path, life: Path) -> None:
    """What does not decide, such as a dry tick's page, is taken from the source."""
    LocalStore(life).put("dry/BTCUSDT/x", b"new")
    LocalStore(traded).list("")
    first = sync(LocalStore(life), LocalStore(life.parent / "copy"))
    LocalStore(life).put("dry/BTCUSDT/x", b"newer")
    again = sync(LocalStore(life), LocalStore(life.parent / "copy"))
    assert (first.renewed, again.renewed) == (0, 1)
    assert LocalStore(life.parent / "copy").get("dry/BTCUSDT/x") == b"newer"


def test_stores_of_two_bots_are_never_mixed(traded: Path, tmp_path: Path) -> None:
    """Two bots' stores are told apart before anything is copied."""
    other = LocalStore(tmp_path / "other")
    journal_of(other).store_id()
    with pytest.raises(ConfigError, match="two different bots"):
        sync(LocalStore(traded), other)
    assert other.list("journal/") == []


def test_a_server_that_ignores_the_condition_is_found_out(server: Bucketry, traded: Path) -> None:
    """Behind a proxy that takes `If-None-Match` away: no store is born there, none is copied there, verify says why."""
    with proxy_to(server.url) as proxy:
        proxy.faults[:] = [Fault("stall", "PUT", times=10_000, without="If-None-Match")]
        store = server.store(server.bucket(), "bot", proxy.url)
        for call in (
            lambda: journal_of(store).store_id(),
            lambda: sync(LocalStore(traded), store),
            lambda: check(journal_of(store)),
            lambda: prove(store),
        ):
            with pytest.raises(
                ConfigError, match=r"overwrites what was to be created .*honours If-None-Match"
            ):
                call()
        assert store.list("state/") == store.list("journal/") == []


def test_a_local_store_pays_nothing_for_buckets(traded: Path) -> None:
    """Reading a folder imports neither boto3 nor botocore; naming a bucket does not until it is asked something."""
    code = (
        "import sys; from trader import wiring; from trader.config import load_settings\n"
        f"assert list(wiring.make_journal(load_settings(store={str(traded)!r})).records())\n"
        "wiring.make_store(load_settings(store='s3://bucket/bot'))\n"
        "print([name for name in ('boto3', 'botocore') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_commands_on_a_bucket(traded: Path, tmp_path: Path, server: Bucketry) -> None:
    """`trader store sync` and `verify` by their command lines, a bucket's address as it is written."""
    found = {"TRADER_S3_ENDPOINT_URL": server.url, "TRADER_S3_REGION": "us-east-1", **server.environment}
    bucket = f"s3://{server.bucket()}/a/bot"
    told = command(
        "trader", "store", "sync", str(traded), bucket, "--json", cwd=tmp_path, check=True, **found
    )
    assert json.loads(told.stdout)["refused"] == []
    told = command(
        "trader", "store", "verify", "--store", bucket, "--json", cwd=tmp_path, check=True, **found
    )
    assert json.loads(told.stdout) == {
        "objects": json.loads(told.stdout)["objects"],
        "hours": HOURS,
        "models": 2,
        "open_hour": None,
        "problems": [],
    }
    wrong = command("trader", "status", "--store", "s3://not-there", cwd=tmp_path, check=False, **found)
    assert wrong.returncode == 2
    assert "create it, or correct the store's address" in wrong.stderr
