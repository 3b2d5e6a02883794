"""A telling that has to be stopped, or dies, is counted against the observer it was telling, and said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observers.conftest import HOURS, START, Told
from tests.support.rig import command
from trader.app.cursors import read_cursor, write_cursor
from trader.config import Settings, load_settings
from trader.core.records import Cursor
from trader.core.types import HOUR_MS, iso
from trader.observers import process
from trader.observers.turn import QUEUE, turn
from trader.observers.turn import _locked as turn_lock

LAST = START + (HOURS - 1) * HOUR_MS


@pytest.fixture
def settings(told: Told, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a bot whose MLflow has heard everything but the last two hours."""
    monkeypatch.chdir(told.store.parent)
    write_cursor(told.journal, "mlflow", Cursor(hour_ms=LAST - 2 * HOUR_MS, events={"champion": 1}))
    return load_settings(
        store=told.store,
        tracker_dir=told.tracking,
        trackers="mlflow",
        observer_patience_s=1,
        wait_for_observers=True,
    )


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program in the place of `trader observe`: what is written here is run as its shell script, with the descriptor
    of its steps as $steps. Its process id lies beside it; whoever still runs at the end is ended."""
    body, program, pid = tmp_path / "body.sh", tmp_path / "observe", tmp_path / "pid"
    program.write_text(
        f'#!/bin/sh\necho $$ > {pid}\nwhile [ "$1" != --steps ]; do shift; done\nsteps=$2\n. {body}\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    yield body
    if pid.exists() and Path(f"/proc/{pid.read_text().strip()}").exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)
        raise AssertionError("a telling outlived its parent's patience")


def step(name: str) -> str:
    """The shell's way to say whom it is telling."""
    return f"""echo '{{"telling": "{name}"}}' > /dev/fd/$steps\n"""


def trouble(told: Told, name: str = "mlflow") -> tuple[int, str]:
    """What the cursor counts."""
    cursor = read_cursor(told.journal, name)
    return cursor.failures, cursor.trouble


def test_one_that_hangs_is_stopped_counted_and_named(
    told: Told, settings: Settings, child: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A child that sleeps for ever while it tells: its cursor counts each stop and stays where it is, so that nothing is
    lost and only what it had not taken in comes again."""
    before = read_cursor(told.journal, "mlflow")
    child.write_text(step("notices") + step("") + step("mlflow") + "exec sleep 600\n")
    for n in (1, 2):
        process.tell_after_tick(settings, told.journal, LAST, closed=True)
        since = iso(LAST - HOUR_MS)
        words = (
            f"observer mlflow: stopped after 1 s; behind since {since}; it is told again with the next tick"
        )
        assert capsys.readouterr().err == f"{words}, after the others\n"
        assert trouble(told) == (n, "stopped after 1 s")
        assert read_cursor(told.journal, "mlflow").hour_ms == before.hour_ms == LAST - 2 * HOUR_MS
        assert read_cursor(told.journal, "mlflow").events == before.events
    assert trouble(told, "notices") == (0, "")


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("kill -9 $$", "the observer process was ended by signal 9"),
        ("exit 1", "the observer process ended with exit code 1"),
    ],
)
def test_one_that_dies_of_itself_is_counted_too(
    told: Told, settings: Settings, child: Path, capsys: pytest.CaptureFixture[str], end: str, why: str
) -> None:
    """A machine without memory ends a process without a word; so does a library that crashes."""
    child.write_text(step("mlflow") + end + "\n")
    process.tell_observers(settings)
    assert trouble(told) == (1, why)
    assert f"observer mlflow: {why}; behind since" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["exit 0", "exit 3", "exit 130"])
def test_one_that_ends_as_it_should_is_not(told: Told, settings: Settings, child: Path, end: str) -> None:
    """Done, trouble that was counted inside, an interruption by a person."""
    child.write_text(step("mlflow") + step("") + end + "\n")
    process.tell_observers(settings)
    assert trouble(told) == (0, "")


def test_a_process_that_never_began_blames_nobody(
    told: Told, settings: Settings, child: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too slow to start, or stopped between two observers: said, and no observer is at fault."""
    for steps in ("", step("mlflow") + step(""), "echo nonsense > /dev/fd/$steps\n"):
        child.write_text(steps + "exec sleep 600\n")
        process.tell_observers(settings)
        assert capsys.readouterr().err == "observers: stopped after 1 s; the next tick goes on with them\n"
    assert trouble(told) == (0, "")


def test_one_process_tells_and_one_waits_for_its_turn(told: Told, settings: Settings, child: Path) -> None:
    """What is recorded while another process tells is told by the one that waits for it; a third has nothing to add."""
    child.write_text(f"echo told >> {told.store.parent}/tellings\n")
    tellings = told.store.parent / "tellings"
    with turn(settings.tracker_dir) as mine:
        assert mine
        waiting = threading.Thread(target=process.tell_observers, args=(settings,))
        waiting.start()
        while not held(settings.tracker_dir / QUEUE):
            time.sleep(0.01)
        process.tell_observers(settings)
        assert not tellings.exists(), "the third came back at once and told nobody"
        assert waiting.is_alive()
    waiting.join(30)
    assert tellings.read_text() == "told\n"


def held(lock: Path) -> bool:
    """Whether anybody holds a lock."""
    with turn_lock(lock, 0.0, threading.Event()) as free:
        return free is None


def test_a_service_counts_as_well_and_goes_on(
    told: Told, settings: Settings, child: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the background; the next tick starts the next telling. One that is ended with the service is not at fault."""
    child.write_text(step("mlflow") + "exec sleep 600\n")
    with process.BackgroundObservers(settings) as observers:
        for n in (1, 2):
            observers.tell(told.journal, LAST, closed=True)
            ((_, thread),) = observers._running
            thread.join(60)
            assert trouble(told) == (n, "stopped after 1 s")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "GRACE_S", 0.1)
            for _ in range(3):
                observers.tell(told.journal, LAST, closed=True)
            assert len(observers._running) == 2, (
                "one tells, one waits for its turn, a third has nothing to add"
            )
            observers.__exit__()
    assert trouble(told)[0] == 2
    assert "observer mlflow: stopped after 1 s" in capfd.readouterr().err


def test_the_real_one_says_whom_it_tells(told: Told, settings: Settings) -> None:
    """Each observer in turn, and the end of each; a descriptor that nobody reads any more does no harm."""
    read, write = os.pipe()
    environment = {
        "PATH": os.defpath,
        "TRADER_TRACKERS": "none",
        "TRADER_COPIES": "true",
        "TRADER_HEARTBEAT_URL": "http://127.0.0.1:9/",
        "TRADER_VENUE_URL": "http://127.0.0.1:9",
    }
    observe = [sys.executable, "-m", "trader.cli", "observe", "--store", str(told.store), "--steps"]
    child = subprocess.run(
        [*observe, str(write)],
        env=environment,
        pass_fds=(write,),
        cwd=told.store.parent,
        check=False,
        timeout=60,
    )
    os.close(write)
    with os.fdopen(read) as steps:
        lines = steps.read().splitlines()
    assert child.returncode == 3
    assert [json.loads(line)["telling"] for line in lines] == ["heartbeat", "", "copies", ""]
    done = command(
        *("trader", "observe", "--store", str(told.store), "--steps", "250"),
        cwd=told.store.parent,
        check=False,
        **{name: value for name, value in environment.items() if name != "PATH"},
    )
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)


def test_a_telling_whose_parent_is_gone_ends_by_itself() -> None:
    """Or it would hold the lock for ever, and nobody would be told of anything."""
    code = "import time; from trader.observers.process import limit_life; limit_life(0.2); time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", code], timeout=50, check=False)
    assert done.returncode == -signal.SIGALRM


def test_the_venues_keys_stay_with_the_bot(
    told: Told, settings: Settings, child: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Observers read the store and never ask the venue: their process gets no key of it, and everything else."""
    for name in ("TRADER_API_KEY", "TRADER_API_SECRET", "TRADER_NOTIFY"):
        monkeypatch.setenv(name, f"value of {name}")
    child.write_text(f"env > {tmp_path}/environment\n")
    process.tell_after_tick(settings, told.journal, LAST, closed=True)
    seen = (tmp_path / "environment").read_text()
    assert "value of TRADER_NOTIFY" in seen
    assert "TRADER_API" not in seen
