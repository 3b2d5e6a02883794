"""A command waits for none of its observers: they are told by a process that it leaves behind, and what became of that is said
by the next tick and by a status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.observers.conftest import HOURS, START, Told
from tests.observers.test_tick_tells import bot, hours_told, journal, silent_server, tracked, with_database
from tests.support.rig import NOTHING_LEFT_BEHIND, Venue, command
from tests.support.screens import unwrapped
from trader.app.cursors import begin, has_cursor, next_edition, read_cursor, standing, stopped, write_cursor
from trader.commands.tracker import _rebuilt
from trader.config import Settings, load_settings
from trader.core.records import Cursor
from trader.core.types import HOUR_MS, iso
from trader.observers import process
from trader.observers.names import meant
from trader.observers.status_words import _observers

__all__ = ["bot"]  # a fixture
LAST = START + (HOURS - 1) * HOUR_MS
PATIENCE_S = 120


def until(seen: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    began = time.monotonic()
    while not seen():
        assert time.monotonic() - began < PATIENCE_S, what
        time.sleep(0.05)


def test_a_tick_ends_before_its_tracker_and_the_next_one_says_what_became_of_it(
    bot: Venue, mlflow_database: Path
) -> None:
    """A server that never answers: the tick is over while it is still being told, and nothing holds the tick's streams. It is
    stopped and counted by who was left behind; a status and the next tick say so, and the tracker then hears every hour."""
    left = {"TRADER_WAIT_FOR_OBSERVERS": "false", "TRADER_OBSERVER_PATIENCE_S": "12"}
    with silent_server() as silent:
        tracked(bot, "mlflow", TRADER_MLFLOW_URI=silent, **left)
        done = bot.trader("tick")
        assert (done.returncode, done.stderr) == (0, "")
        assert read_cursor(journal(bot), "mlflow").failures == 0, "it is still being told"
        until(lambda: read_cursor(journal(bot), "mlflow").failures == 1, "the failure was not counted")
    trouble = f"stopped after 12 s; behind since {iso(START)} (1 h)"
    said = f"observer mlflow: stopped after 12 s; behind since {iso(START)}"
    until(lambda: said in log_of(bot), "the log does not say so")  # it is written after the count
    assert trouble in unwrapped(bot.trader("status").stdout)
    tracked(bot, "mlflow", **{**left, "TRADER_OBSERVER_PATIENCE_S": "120"})
    with_database(bot, mlflow_database)
    bot.move_to(START + HOUR_MS)
    again = "it is tried again now, details are in tracking/observers.log"
    assert bot.trader("tick").stderr == f"observer mlflow: {trouble}; {again}\n"
    until(lambda: read_cursor(journal(bot), "mlflow").hour_ms == START + HOUR_MS, "it did not hear of both")
    assert hours_told(bot) == [0, 1]


def log_of(made: Venue) -> str:
    """What those who were left behind have said."""
    return (made.folder / "tracking" / process.LOG).read_text()


def test_who_is_left_behind_outlives_the_command_and_holds_nothing_of_it(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads a session of its own, so neither a terminal nor Ctrl-C ends it; it reads nothing, writes to its log, and has
    no key of the venue. A log that has grown too long begins anew."""
    program, seen = tmp_path / "python", tmp_path / "seen"
    program.write_text(
        '#!/bin/sh\nset -- $(cat /proc/$$/stat) $$ "$@"\n'
        f'echo "$6 $1 $(readlink /proc/$$/fd/0) $(readlink /proc/$$/fd/1) $TRADER_API_KEY$TRADER_API_SECRET" > {seen}.tmp\n'
        f"echo said >&2\nmv {seen}.tmp {seen}\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    for name in ("TRADER_API_KEY", "TRADER_API_SECRET"):
        monkeypatch.setenv(name, "secret")
    settings = of(told, wait_for_observers=False)
    log = settings.tracker_dir / process.LOG
    log.parent.mkdir()
    log.write_text("x" * (process.LONGEST_LOG_BYTES + 1))
    process.tell_after_tick(settings, told.journal, LAST, closed=True)
    until(seen.exists, "nobody was left behind")
    session, own, read, written, *keys = seen.read_text().split()
    assert session == own
    assert (read, written, keys) == ("/dev/null", "/dev/null", [])
    assert log.read_text() == "said\n"


def of(told: Told, **more: object) -> Settings:
    """Settings of a bot with this store and MLflow."""
    return load_settings(
        **{"store": told.store, "tracker_dir": told.tracking, "trackers": "mlflow", "copies": False, **more}
    )


def test_a_folder_that_cannot_be_written_costs_the_log_alone(told: Told) -> None:
    """A file where the trackers' folder should be: what is said goes nowhere, and nothing is raised."""
    told.tracking.write_text("")
    descriptor = process._log(told.tracking)
    try:
        assert Path(f"/proc/self/fd/{descriptor}").readlink() == Path(os.devnull)
    finally:
        os.close(descriptor)


def test_a_command_whose_end_would_end_its_observers_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a container or of a systemd unit, and a child of a container's init; any other only if told."""
    for parent, waits in ((0, True), (1, True), (4711, False)):
        monkeypatch.setattr(os, "getppid", lambda parent=parent: parent)
        assert process.waits(load_settings()) is waits
        assert process.waits(load_settings(wait_for_observers=True))
        assert not process.waits(load_settings(wait_for_observers=False))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert process.waits(load_settings())


def test_a_supervisor_imports_the_standard_library_only() -> None:
    """Or every tick would pay for a second interpreter with all libraries."""
    code = (
        "import sys; before = set(sys.modules); import trader.observers.supervisor\n"
        "print([name for name in set(sys.modules) - before if name.partition('.')[0] not in"
        " (*sys.stdlib_module_names, 'trader')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_who_is_late_is_said_and_who_is_told_for_the_first_time_is_not(told: Told) -> None:
    """Late is who failed the last time, or has not even heard of the hour before: who was ended without a word, too."""
    journal = told.journal
    assert begin(journal, ["mlflow"], LAST) == [], "nothing was to be heard before"
    assert has_cursor(journal, "mlflow")
    since = f"behind since {iso(START)} ({HOURS - 1} h)"
    assert begin(journal, ["mlflow"], LAST) == [f"mlflow: {since}"], (
        "a process that was ended could not say so"
    )
    write_cursor(journal, "mlflow", Cursor(hour_ms=LAST - HOUR_MS))
    assert begin(journal, ["mlflow"], LAST) == []
    stopped(journal, "mlflow", "stopped after 60 s")
    assert begin(journal, ["mlflow"], LAST) == ["mlflow: stopped after 60 s"]
    assert read_cursor(journal, "mlflow").hour_ms == LAST - HOUR_MS


def test_a_tracker_that_nobody_meant_is_not_behind(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow is the default where it is installed, and a demo or a replay tells nobody: their status says nothing of it. One
    that was named, or that a tick began to tell, is behind."""
    monkeypatch.delenv("TRADER_TRACKERS", raising=False)
    by_default, named = load_settings(store=told.store), of(told)
    assert meant(by_default, told.journal) == ()
    assert "observers" not in command("trader", "status", "--store", str(told.store), cwd=told.store).stdout
    assert meant(named, told.journal) == ("mlflow",)
    begin(told.journal, ["mlflow"], LAST)
    assert meant(by_default, told.journal) == ("mlflow",)
    rows = _observers(standing(told.journal, ("mlflow",), LAST, START))
    assert rows == [("observers", f"mlflow: behind since {iso(START)} ({HOURS} h)")]
    assert meant(load_settings(trackers="none", copies=True), told.journal) == ("copies",)


def test_the_first_rebuilding_is_the_first_edition(tmp_path: Path) -> None:
    """A later one goes to a fresh place, named in its answer. Only trackers are rebuilt: no notice is sent again."""
    assert next_edition(Cursor()) == 1
    assert next_edition(Cursor(hour_ms=START)) == 2
    assert next_edition(Cursor(events={"champion": 1}, edition=2)) == 3
    assert _rebuilt("mlflow", 1_336, "BTCUSDT", 1) == "MLflow rebuilt: 1,336 hours"
    assert _rebuilt("neptune", 1, "BTCUSDT", 2) == 'Neptune rebuilt: 1 hour, as "BTCUSDT 2"'
    settings = {**NOTHING_LEFT_BEHIND, "TRADER_TRACKERS": "mlflow", "TRADER_COPIES": "true"}
    rebuild = ("trader", "tracker", "rebuild")
    assert command(*rebuild, cwd=tmp_path, check=True, **settings).stdout == "MLflow rebuilt: 0 hours\n"
    said = json.loads(command(*rebuild, "--json", cwd=tmp_path, check=True, **settings).stdout)
    assert said == {"rebuilt": [{"name": "mlflow", "edition": 1, "hours": 0}]}
