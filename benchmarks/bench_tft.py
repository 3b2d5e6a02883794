"""The Temporal Fusion Transformer, in the environment of `make families`: an epoch over a year of 20 symbols, its loss on months
that it never saw beside naive, a prediction alone, and its network beside pytorch-forecasting."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any

from benchmarks.figure import Figure
from benchmarks.scene import ROOT

HOME = ROOT / ".venv-families"
# A folder of SYMBOL-1h.parquet; without one the markets are made.
BARS = os.environ.get("BENCHMARK_BARS", "")


def run() -> list[Figure]:
    """20 symbols, a year to learn from, three months after it."""
    return _figures(symbols=20, days=365, later=90, epochs=3)


def run_small() -> list[Figure]:
    """Two symbols, a month."""
    return _figures(symbols=2, days=30, later=5, epochs=1)


def _figures(**asked: int) -> list[Figure]:
    told, note = _measured(asked)
    name = f"tft: an epoch, {asked['symbols']} symbols, {asked['days']} days of hours"
    if told is None:
        return [Figure(name, None, "at most", 300, "s", note)]
    windows = f"{told['windows']:,.0f} windows of 63 hours and 24 ahead; {told['markets']}"
    return [
        Figure(name, told["epoch_s"], "at most", 300, "s", note=windows),
        Figure(
            "tft: pinball loss of held-back months, of naive's",
            told["pinball_ratio"],
            "at most",
            1,
            note=f"after {asked['epochs']} epochs, {asked['later']} days that no fit saw, h = 1 to 24",
        ),
        Figure("tft: a prediction alone, of processor time", told["prediction_ms"], unit="ms"),
        Figure("tft: a step of learning, of pytorch-forecasting's network", told["step_ratio"], "at most", 1),
        Figure(
            "tft: the two networks' outputs differ by", told["difference"], "at most", 1e-5, is_result=True
        ),
    ]


def _measured(asked: dict[str, int]) -> tuple[dict[str, Any] | None, str]:
    """What the other interpreter found, or None and why there is none."""
    python = os.environ.get("FAMILIES_PYTHON") or str(HOME / "bin" / "python")
    if not os.access(python, os.X_OK):
        return None, f"{python} is no interpreter; run: make families (or set FAMILIES_PYTHON)"
    with tempfile.TemporaryDirectory() as folder:
        words = [python, "-m", "benchmarks.tft_side", json.dumps(asked | {"folder": BARS, "scratch": folder})]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""
