"""An hour is traded exactly once: killed at every step, stopped past the horizon, raced by eight."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.crew import Begun, Scene, a_bot, racer, run_trapped, trapped
from tests.support.forked import crew
from tests.support.mlflow_made import empty_database
from tests.support.rig import NOTHING_LEFT_BEHIND
from trader.app.halts import announce, resume
from trader.app.tick import tick
from trader.core.errors import Halt
from trader.core.types import HOUR_MS

MOST_STEPS = 40


@pytest.mark.parametrize("when", ["after", pytest.param("before", marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["write", "request"])
def test_killed_at_every_step(kind: str, when: str, tmp_path: Path, begun: Begun) -> None:
    """SIGKILL just after every write and every request of a tick with an order: one order, one record. (Just before one is
    just after the one before it.)"""
    killed = 0
    for n in range(1, MOST_STEPS):
        with begun.again(tmp_path / str(n)) as made:
            if not run_trapped(made, kind, n, when):
                break
            killed += 1
            made.finish()
    else:
        pytest.fail("a tick has more steps than this test tries")
    assert killed >= (4 if kind == "write" else 6)


def test_stopped_past_the_horizon(fresh: Scene) -> None:
    """SIGSTOP after the attempt was stored, SIGCONT past its horizon: the stale bytes are refused (-1021), then one order."""
    child = crew.Process(
        target=trapped, args=(fresh.url, fresh.store, "tick", "write", 2, "after", signal.SIGSTOP)
    )
    child.start()
    try:
        wait_until_stopped(child.pid or 0)
        assert fresh.journal().attempt(fresh.start, 1) is not None
        assert fresh.executed() == []
        fresh.sim("/sim/clock", {"to": fresh.start + 30_000})
        os.kill(child.pid or 0, signal.SIGCONT)
        child.join(200)
    finally:
        child.kill()  # a stopped child would be waited for at exit
        child.join(10)
    outcome = fresh.journal().outcome(fresh.start, 1)
    assert outcome is not None
    assert (outcome.kind, "-1021" in outcome.message) == ("absent", True)
    fresh.finish()


def wait_until_stopped(pid: int) -> None:
    """Until the kernel says that a process is stopped."""
    deadline = time.monotonic() + 200
    while "T (stopped)" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "the child never stopped"
        time.sleep(0.01)


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.long)])
def test_eight_processes_on_one_hour(fresh: Scene, rounds: int) -> None:
    """Eight long-lived bots tick the same hours at the same moments: every hour has one record and at most one order."""
    rivals = 8
    barrier = crew.Barrier(rivals + 1)
    children = [
        crew.Process(target=racer, args=(fresh.url, fresh.store, rounds, barrier)) for _ in range(rivals)
    ]
    for child in children:
        child.start()
    for i in range(rounds):
        fresh.sim("/sim/clock", {"to": fresh.start + i * HOUR_MS})
        barrier.wait(200)
        barrier.wait(200)
    for child in children:
        child.join(200)
    with fresh.bot() as bot:
        tick(bot)
    hours = [record.close_time for record in fresh.journal().records()]
    assert hours == list(range(fresh.start, fresh.start + rounds * HOUR_MS, HOUR_MS))
    orders = fresh.executed()
    assert len({order["clientOrderId"] for order in orders}) == len(orders) >= 2
    fresh.check_books()


def eight_ticks(made: Scene, hour: int, folder: Path) -> set[int | None]:
    """Exit codes of `trader tick`, eight processes at the same moment of `hour`."""
    made.sim("/sim/clock", {"to": hour})
    unwatched = {**surroundings(made), "TRADER_TRACKERS": "none"}
    rivals = [
        forked.start(("trader", "tick"), folder, unwatched, folder / "out", folder / "err") for _ in range(8)
    ]
    try:
        for rival in rivals:
            rival.join(200)
    finally:
        for rival in rivals:
            rival.kill()
            rival.join()
    print((folder / "err").read_text())
    return {rival.exitcode for rival in rivals}


def surroundings(made: Scene) -> dict[str, str]:
    """What tells a command of the scene's bot."""
    at = {"TRADER_VENUE_URL": made.url, "TRADER_STORE": str(made.store)}
    return {"PATH": os.defpath, **NOTHING_LEFT_BEHIND, **at}


@pytest.mark.long
def test_fresh_interpreters_on_one_hour(
    fresh: Scene, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As the eight commands below, but each imports everything anew and tells the tracker, as by default: one record, one order,
    one answer."""
    (tmp_path / "tracking").mkdir()
    shutil.copy(empty_database(tmp_path_factory), tmp_path / "tracking")
    rivals = [
        subprocess.Popen(
            [sys.executable, "-m", "trader.cli", "tick"],
            cwd=tmp_path,
            env=surroundings(fresh),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    try:
        print(*{rival.communicate(timeout=200)[1] for rival in rivals})
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate()
    assert {rival.returncode for rival in rivals} == {0}
    assert [record.close_time for record in fresh.journal().records()] == [fresh.start]
    assert [order["side"] for order in fresh.executed()] == ["BUY"]
    fresh.check_books()
    fresh.check_balances()


def test_eight_commands_on_one_hour(fresh: Scene, tmp_path: Path) -> None:
    """Five rounds: a buy, a halt's sale after hours that nobody was there for, a halted hour, the first after a resume,
    the next. Every hour has one record, every order was sent once, and every process gives the same answer."""
    hours = [fresh.start + i * HOUR_MS for i in (0, 3, 4, 5, 6)]
    assert eight_ticks(fresh, hours[0], tmp_path) == {0}
    announce(fresh.journal(), hours[0], "person", freeze=False, by="person")
    assert eight_ticks(fresh, hours[1], tmp_path) == {Halt.exit_code}
    assert eight_ticks(fresh, hours[2], tmp_path) == {Halt.exit_code}
    resume(fresh.journal(), hours[2], "over")
    assert eight_ticks(fresh, hours[3], tmp_path) == {0}
    last = eight_ticks(fresh, hours[4], tmp_path)
    records = list(fresh.journal().records())
    # The scene's loss limit is tight: whether this hour reaches it is the market's, and all eight must say the same.
    assert last == {Halt.exit_code if records[-1].halted else 0}
    assert [row.close_time for row in records] == list(range(hours[0], hours[-1] + HOUR_MS, HOUR_MS))
    assert [row.line.reason for row in records][:5] == ["enter", "missed", "missed", "halt", "halted"]
    assert [order["side"] for order in fresh.executed()][:2] == ["BUY", "SELL"]
    fresh.check_books()
    fresh.check_balances()


def test_two_stores_on_one_account_halt_the_second(fresh: Scene, tmp_path: Path, begun: Begun) -> None:
    """A second bot of the same name with a store of its own finds the first one's order and halts; one order stays."""
    with fresh.bot() as first:
        tick(first)
    shutil.copytree(begun.store, tmp_path / "second")
    born = tmp_path / "second" / "state" / "store"
    born.write_text(json.dumps({**json.loads(born.read_text()), "id": "zzzz"}))
    with a_bot(fresh.url, tmp_path / "second") as second, pytest.raises(Halt) as caught:
        tick(second)
    assert caught.value.reason == "two_stores"
    assert len(fresh.executed()) == 1
