"""`backtest tune` as a process: begun in a folder of bars and parameters, killed, and its files compared."""

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
from trader.core.params import DEFAULT_PARAMS, params_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 200


def study_of_seconds(folder: Path) -> Path:
    """The folder, with bars and parameters that refit every two days."""
    write_bars(folder / "BTCUSDT-1h.parquet", bars_made(5_000, 4))
    params = params_of({**DEFAULT_PARAMS, "step_days": 2}, "a test")
    (folder / "P.json").write_text(params.model_dump_json())
    return folder


def tune_words(*more: str, until: str = "2021-07-22", trials: int = 5) -> list[str]:
    """The command line: a study of the hours from 2021-07-12 on, by P.json and the bars beside it."""
    command = [
        sys.executable,
        "-m",
        "backtest.cli",
        "tune",
        "--bars",
        "BTCUSDT-1h.parquet",
        "--params",
        "P.json",
    ]
    span = ["--from", "2021-07-12", "--to", until, "--trials", str(trials), "--batch", "2", "--seed", "3"]
    return [*command, *span, "--json", *more]


def tuned(folder: Path, words: list[str]) -> subprocess.Popen[str]:
    """The command in a session of its own."""
    return subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
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


def until_files(what: str, folder: Path, count: int) -> None:
    """Wait until the study has this many files of a kind."""
    stop = time.monotonic() + PATIENCE_S
    while len(list(folder.glob(what))) < count:
        assert time.monotonic() < stop, f"{folder} has not {count} of {what}"
        time.sleep(0.01)


def contents(study: Path) -> dict[str, list[bytes]]:
    """Every file that is the same whoever computed it, by its lines; the journal's are in the order of their ends."""
    returns = study / "returns"
    names = [
        "study.json",
        "trials.jsonl",
        "P.json",
        *(f"returns/{it.name}" for it in (returns.iterdir() if returns.exists() else ())),
    ]
    found = {name: (study / name).read_bytes().splitlines() for name in names}
    return {**found, "journal.jsonl": sorted((study / "journal.jsonl").read_bytes().splitlines())}
