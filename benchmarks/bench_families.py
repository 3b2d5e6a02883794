"""Local families, in the environment of `make families`: a walk-forward of a year on two workers, and a prediction alone."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.scene import ROOT, bars_file

HOME = ROOT / ".venv-families"
FAMILIES = ("arima", "prophet")


def run() -> list[Figure]:
    """A year of each."""
    return [figure for family in FAMILIES for figure in _figures(family, 365, 100)]


def run_small() -> list[Figure]:
    """Thirty days of each, one fit."""
    return [figure for family in FAMILIES for figure in _figures(family, 30, 5)]


def _figures(family: str, days: int, times: int) -> list[Figure]:
    told, note = _measured(family, days, times)
    if told is None:
        return [Figure(f"{family}: a walk-forward of {days} days", None, "at most", 60, "s", note)]
    fit = f"a fit of 59 days takes {told['fit_s']:.2f} s"
    return [
        Figure(f"{family}: a walk-forward of {days} days", told["walk_s"], "at most", 60, "s", note=fit),
        Figure(
            f"{family}: a prediction, filter included, of processor time",
            told["prediction_ms"],
            "at most",
            10,
            "ms",
        ),
        Figure(f"{family}: its hours", told["hours"], "exactly", days * 24, is_result=True),
        Figure(f"{family}: alone as in the walk", told["equal"], "exactly", 1, is_result=True),
    ]


def _measured(family: str, days: int, times: int) -> tuple[dict[str, Any] | None, str]:
    """What the other interpreter found, or None and why there is none."""
    python = os.environ.get("FAMILIES_PYTHON") or str(HOME / "bin" / "python")
    if not os.access(python, os.X_OK):
        return None, f"{python} is no interpreter; run: make families (or set FAMILIES_PYTHON)"
    with tempfile.TemporaryDirectory() as name:
        words = [python, "-m", "benchmarks.families_side", family, str(bars_file(Path(name)))]
        done = subprocess.run(
            [*words, str(days), str(times)], capture_output=True, text=True, check=False, cwd=ROOT
        )
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""
