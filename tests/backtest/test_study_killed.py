"""A study as a process: interrupted, killed, gone on with; at its end nobody can tell."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.support.rig import command
from tests.support.tuned import PATIENCE_S, contents, end, study_of_seconds, tune_words, tuned, until_files

WHOLE = ("backtest", *tune_words("--study", "whole", "--workers", "1", trials=3)[3:])
CUT = tune_words("--study", "cut", "--workers", "2", trials=3)


def group(leader: int) -> dict[int, int]:
    """Living processes of a session, each with its parent."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def workers_of(coordinator: int) -> list[int]:
    """Its grandchildren: those that its child has forked."""
    there = group(coordinator)
    return [pid for pid, parent in there.items() if there.get(parent) == coordinator]


def test_a_killed_study_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Ctrl-C says how to go on and exits 130; kill -9 leaves no worker and loses only fits in flight; a worker that is
    killed is replaced, and its window given again; all files are equal in the end."""
    study = study_of_seconds(tmp_path) / "cut"
    processes = []
    try:
        processes.append(tuned(tmp_path, CUT))
        until_files("folds/*/*", study, 4)
        os.killpg(processes[-1].pid, signal.SIGINT)
        _, said = processes[-1].communicate(timeout=PATIENCE_S)
        assert processes[-1].returncode == 130, said
        assert "are kept in cut" in said
        assert "the same command goes on" in said
        assert "Traceback" not in said

        folds = {f: f.stat().st_mtime_ns for f in study.glob("folds/*/*")}
        processes.append(tuned(tmp_path, CUT))
        until_files("folds/*/*", study, len(folds) + 3)
        os.kill(processes[-1].pid, signal.SIGKILL)
        processes[-1].wait(PATIENCE_S)
        stop = time.monotonic() + PATIENCE_S
        while group(processes[-1].pid):
            assert time.monotonic() < stop, "a worker outlived its parent"
            time.sleep(0.05)

        processes.append(tuned(tmp_path, CUT))
        stop = time.monotonic() + PATIENCE_S
        while not (workers := workers_of(processes[-1].pid)):
            assert time.monotonic() < stop, "no worker"
            time.sleep(0.01)
        os.kill(workers.pop(), signal.SIGKILL)
        _, said = processes[-1].communicate(timeout=PATIENCE_S)
        assert processes[-1].returncode == 0, said
        assert "ended by SIGKILL; it is given again" in said
        assert len(said.splitlines()) == 1

        command(*WHOLE, cwd=tmp_path)
    finally:
        for process in processes:
            end(process)
    assert all(f.stat().st_mtime_ns == written for f, written in folds.items()), (
        "a kept fold was fitted again"
    )
    assert contents(study) == contents(tmp_path / "whole")
