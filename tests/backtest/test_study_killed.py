"""A study as a process: interrupted, killed, gone on with; at its end nobody can tell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.bars_made import bars_made
from trader.adapters.files import write_bars

WORDS = (
    "--from",
    "2021-07-12",
    "--to",
    "2021-07-22",
    "--trials",
    "5",
    "--batch",
    "2",
    "--seed",
    "3",
    "--json",
)
PATIENCE_S = 120


def begin(folder: Path, study: str, workers: int = 2) -> subprocess.Popen[str]:
    """`backtest tune` in a session of its own."""
    words = [
        sys.executable,
        "-m",
        "backtest.cli",
        "tune",
        "--bars",
        "BTCUSDT-1h.parquet",
        "--params",
        "P.json",
    ]
    return subprocess.Popen(
        [*words, *WORDS, "--study", study, "--workers", str(workers)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Whatever is left of it, workers too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def until(what: str, folder: Path, count: int) -> None:
    """Wait until the study has this many files of a kind."""
    stop = time.monotonic() + PATIENCE_S
    while len(list(folder.glob(what))) < count:
        assert time.monotonic() < stop, f"{folder} has not {count} of {what}"
        time.sleep(0.01)


def group(leader: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(folder.name))
    return found


def test_a_killed_study_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Ctrl-C says how to go on and exits 130; kill -9 leaves no worker and loses only fits in flight; a worker that is
    killed is replaced, and its window given again; all files are equal in the end."""
    from trader.core.params import DEFAULT_PARAMS, params_of

    write_bars(tmp_path / "BTCUSDT-1h.parquet", bars_made(5_000, 4))
    params = params_of({**DEFAULT_PARAMS, "step_days": 2}, "a test")
    (tmp_path / "P.json").write_text(params.model_dump_json())
    study = tmp_path / "cut"
    processes = []
    try:
        processes.append(begin(tmp_path, "cut"))
        until("folds/*/*", study, 4)
        os.killpg(processes[-1].pid, signal.SIGINT)
        _, said = processes[-1].communicate(timeout=PATIENCE_S)
        assert processes[-1].returncode == 130, said
        assert "are kept in cut" in said
        assert "the same command goes on" in said
        assert "Traceback" not in said

        folds = {f: f.stat().st_mtime_ns for f in study.glob("folds/*/*")}
        processes.append(begin(tmp_path, "cut"))
        until("folds/*/*", study, len(folds) + 3)
        os.kill(processes[-1].pid, signal.SIGKILL)
        processes[-1].wait(PATIENCE_S)
        stop = time.monotonic() + PATIENCE_S
        while group(processes[-1].pid):
            assert time.monotonic() < stop, "a worker outlived its parent"
            time.sleep(0.05)

        processes.append(begin(tmp_path, "cut"))
        stop = time.monotonic() + PATIENCE_S
        while not (workers := set(group(processes[-1].pid)) - {processes[-1].pid}):
            assert time.monotonic() < stop, "no worker"
            time.sleep(0.01)
        os.kill(workers.pop(), signal.SIGKILL)
        _, said = processes[-1].communicate(timeout=PATIENCE_S)
        assert processes[-1].returncode == 0, said
        assert "ended by SIGKILL; it is given again" in said
        assert len(said.splitlines()) == 1

        processes.append(begin(tmp_path, "whole", 1))
        _, said = processes[-1].communicate(timeout=PATIENCE_S)
        assert processes[-1].returncode == 0, said
    finally:
        for process in processes:
            end(process)
    assert all(f.stat().st_mtime_ns == written for f, written in folds.items()), (
        "a kept fold was fitted again"
    )
    assert contents(study) == contents(tmp_path / "whole")


def contents(study: Path) -> dict[str, list[bytes]]:
    """Every file that is the same whoever computed it, by its lines; the journal's are in the order of their ends."""
    names = [
        "study.json",
        "trials.jsonl",
        "P.json",
        *(f"returns/{it.name}" for it in (study / "returns").iterdir()),
    ]
    found = {name: (study / name).read_bytes().splitlines() for name in names}
    return {**found, "journal.jsonl": sorted((study / "journal.jsonl").read_bytes().splitlines())}
