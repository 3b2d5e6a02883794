"""Peak memory of `backtest run` over all the hours there are."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import backtest, bars, bars_file, median, params_file, process
from trader.core.types import DAY_MS, HOUR_MS, iso

ROUNDS = 3
SMALL_DAYS = 90


def run() -> list[Figure]:
    """Everything, the median of whole processes."""
    return _figures(ROUNDS)


def run_small() -> list[Figure]:
    """Three months, once."""
    return _figures(1, SMALL_DAYS)


def _figures(rounds: int, days: int | None = None) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series = bars(folder)
        start = series.first + 60 * DAY_MS
        stop = start + days * DAY_MS if days else series.last
        where = ("--bars", str(bars_file(folder)), "--params", str(params_file(folder, "P")))
        span = ("--from", iso(start), "--to", iso(stop))
        words = backtest("run", *where, *span, "--hours-out", str(folder / "hours.jsonl"), "--json")
        runs = [process(words, cwd=folder) for _ in range(rounds)]
    hours = (stop - start) // HOUR_MS
    title = f"backtest run over {hours:,} hours, peak"
    return [
        Figure(title, median([r.peak_mb for r in runs]), "at most", 300, "MB"),
        Figure("its wall", median([r.wall_s for r in runs]), unit="s"),
        Figure("its hours", json.loads(runs[-1].said)["hours"], "exactly", hours, is_result=True),
    ]
