"""Ctrl-C in the middle of `backtest select`: what has ended is kept, and the same command goes on from there."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.bars_made import bars_made
from trader.adapters.files import write_bars

PATIENCE_S = 200
SERIES = 5


def test_an_interrupted_selection_goes_on(tmp_path: Path) -> None:
    """On two workers, after the first candidate: exit 130 and a sentence; a repeat computes the rest and no more. Six processes
    start for it: above two seconds."""
    (tmp_path / "bars").mkdir()
    for seed in range(SERIES):
        write_bars(tmp_path / "bars" / f"S{seed}-1h.parquet", bars_made(60 * 24, seed, symbol=f"S{seed}"))
    (tmp_path / "P.json").write_text(json.dumps({"look_back_days": 20, "step_days": 5}))
    words = shlex.split(
        "select --bars bars --families naive --score pinball --windows 1 --params P.json --workers 2 --out out"
    )
    command = [sys.executable, "-m", "backtest.cli", *words]
    started = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE_S
    journal = tmp_path / "out" / "journal.jsonl"
    while not (journal.exists() and journal.read_text()):
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: every process of the command hears it
    _, said = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 130, said
    ended = len(journal.read_text().splitlines())
    assert " and are kept in out; the same command goes on from there" in " ".join(said.split())
    assert f"interrupted: {ended} candidate" in said
    assert ended < SERIES, "it was interrupted too late to show anything"
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    told = json.loads(done.stdout)
    assert (told["kept"], told["computed"], told["failed"]) == (ended, SERIES - ended, 0)
