"""An hour is traded exactly once: killed at every step, stopped past the horizon, raced by eight."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.crew import Scene, a_bot, crew, racer, run_trapped, scene, trapped_tick
from tests.crash.test_killed_after_the_order import first_order
from trader.app.tick import tick
from trader.core.errors import Halt, TraderError
from trader.core.types import HOUR_MS

MOST_STEPS = 40


@pytest.fixture(scope="module")
def begun(gappy_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A store of a bot that has begun at an hour with an order, and that hour."""
    folder = tmp_path_factory.mktemp("begun")
    hour = first_order(folder, gappy_bars)
    with scene(gappy_bars, folder, hour) as made:
        return made.store, hour


@pytest.fixture
def fresh(gappy_bars: Path, tmp_path: Path, begun: tuple[Path, int]) -> Iterator[Scene]:
    """That bot again, at an exchange of its own."""
    store, hour = begun
    with scene(gappy_bars, tmp_path, hour, store) as made:
        yield made


def finish(made: Scene) -> None:
    """What the next tick of the schedule does, until the hour is closed; then the books agree with one order."""
    with made.bot() as bot:
        for _ in range(5):
            try:
                tick(bot)
                break
            except TraderError:
                bot.clock.sleep(60)
        assert bot.journal.record(made.start) is not None
        assert tick(bot).outcome == "done"
    made.check_books()
    assert len(made.executed()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["write", "request"])
def test_killed_at_every_step(
    kind: str, when: str, gappy_bars: Path, tmp_path: Path, begun: tuple[Path, int]
) -> None:
    """SIGKILL just before and just after every write and every request of a tick with an order: one order, one record."""
    store, hour = begun
    killed = 0
    for n in range(1, MOST_STEPS):
        with scene(gappy_bars, tmp_path / str(n), hour, store) as made:
            if not run_trapped(made, kind, n, when):
                break
            killed += 1
            finish(made)
    else:
        pytest.fail("a tick has more steps than this test tries")
    assert killed >= (4 if kind == "write" else 6)


def test_stopped_past_the_horizon(fresh: Scene) -> None:
    """SIGSTOP after the attempt was stored, SIGCONT past its horizon: the stale bytes are refused (-1021), then one order."""
    child = crew.Process(
        target=trapped_tick, args=(fresh.url, fresh.store, "write", 3, "after", signal.SIGSTOP)
    )
    child.start()
    try:
        wait_until_stopped(child.pid or 0)
        assert fresh.journal().attempt(fresh.start, 1) is not None
        assert fresh.executed() == []
        fresh.sim("/sim/clock", {"to": fresh.start + 30_000})
        os.kill(child.pid or 0, signal.SIGCONT)
        child.join(60)
    finally:
        child.kill()  # a stopped child would be waited for at exit
        child.join(10)
    outcome = fresh.journal().outcome(fresh.start, 1)
    assert outcome is not None
    assert (outcome["kind"], "-1021" in outcome["said"]) == ("absent", True)
    finish(fresh)


def wait_until_stopped(pid: int) -> None:
    """Until the kernel says that a process is stopped."""
    deadline = time.monotonic() + 30
    while "T (stopped)" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "the child never stopped"
        time.sleep(0.01)


def test_eight_processes_on_one_hour(fresh: Scene) -> None:
    """Eight long-lived bots tick the same hours at the same moments: every hour has one record and at most one order."""
    rounds, rivals = 200, 8
    barrier = crew.Barrier(rivals + 1)
    children = [
        crew.Process(target=racer, args=(fresh.url, fresh.store, rounds, barrier)) for _ in range(rivals)
    ]
    for child in children:
        child.start()
    for i in range(rounds):
        fresh.sim("/sim/clock", {"to": fresh.start + i * HOUR_MS})
        barrier.wait(60)
        barrier.wait(60)
    for child in children:
        child.join(60)
    with fresh.bot() as bot:
        tick(bot)
    hours = [record["close_time"] for record in fresh.journal().records()]
    assert hours == list(range(fresh.start, fresh.start + rounds * HOUR_MS, HOUR_MS))
    orders = fresh.executed()
    assert len({order["clientOrderId"] for order in orders}) == len(orders) >= 2
    fresh.check_books()


def test_two_stores_on_one_account_halt_the_second(
    fresh: Scene, tmp_path: Path, begun: tuple[Path, int]
) -> None:
    """A second bot of the same name with a store of its own finds the first one's order and halts; one order stays."""
    with fresh.bot() as first:
        tick(first)
    shutil.copytree(begun[0], tmp_path / "second")
    (tmp_path / "second" / "state" / "store").unlink(missing_ok=True)
    with a_bot(fresh.url, tmp_path / "second") as second, pytest.raises(Halt) as caught:
        tick(second)
    assert caught.value.reason == "two_stores"
    assert len(fresh.executed()) == 1
