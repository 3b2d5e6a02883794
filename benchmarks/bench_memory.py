"""Peak memory of `backtest run` over all the hours there are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import backtest, bars, bars_file, median, params_file, process
from trader.core.types import DAY_MS, HOUR_MS, iso

ROUNDS = 3


def run() -> list[Figure]:
    """The median of whole processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series = bars(folder)
        start = series.first + 60 * DAY_MS
        words = backtest(
            *("run", "--bars", str(bars_file(folder)), "--params", str(params_file(folder, "P"))),
            *(
                "--from",
                iso(start),
                "--to",
                iso(series.last),
                "--hours-out",
                str(folder / "hours.jsonl"),
                "--json",
            ),
        )
        runs = [process(words) for _ in range(ROUNDS)]
    hours = (series.last - start) // HOUR_MS
    return [
        Figure(
            f"backtest run over {hours:,} hours, peak",
            median([r.peak_mb for r in runs]),
            "at most",
            300,
            "MB",
        ),
        Figure("its wall", median([r.wall_s for r in runs]), unit="s"),
    ]
