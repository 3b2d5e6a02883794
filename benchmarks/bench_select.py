"""A selection of 768 candidates: what one costs, what a second worker gains, how much memory a worker needs, and a repeat.

256 series of daily closes, one fit and 24 steps each: windows cut from the hours of BTCUSDT, each scaled to a price of its
own. The candidates are ARIMA and Prophet with additive and multiplicative seasonality where they are installed (`make families`,
then `.venv-families/bin/python -m benchmarks select`), else the naive forecast alone.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.scene import ROOT, bars
from trader.adapters.files import write_bars
from trader.core.bars import bars_from_columns
from trader.core.types import DAY_MS, HOUR_MS, Bars

FAMILIES = "arima,prophet-additive,prophet-multiplicative"
# Days of a series: about what M4's hourly series have of steps.
DAYS = 900
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Size:
    """How many series, of how many days, and what is tried on each."""

    series: int
    days: int
    families: str


def run() -> list[Figure]:
    """32 series; what grows with their number is a ratio."""
    return _figures(Size(32, DAYS, _families()))


def run_full() -> list[Figure]:
    """All 256."""
    return _figures(Size(256, DAYS, _families()))


def run_small() -> list[Figure]:
    """Four series by the naive forecast alone."""
    return _figures(Size(4, 120, "naive"))


def _families() -> str:
    """The three, or the naive forecast where they are not installed."""
    from trader.forecasters.registry import installed

    return FAMILIES if {"arima", "prophet"} <= set(installed()) else "naive"


def _figures(size: Size) -> list[Figure]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        series = folder / "bars"
        series.mkdir()
        _cut(bars(folder), size, series)
        one, peak_one, spent_one = _select(series, folder / "one", size, 1)
        again, _, _ = _select(series, folder / "one", size, 1)
        two, peak_two, spent_two = _select(series, folder / "two", size, 2)
        few = folder / "few"
        few.mkdir()
        for file in sorted(series.iterdir())[: max(1, size.series // 4)]:
            (few / file.name).symlink_to(file)
        _, peak_few, _ = _select(few, folder / "quarter", size, 2)
    tried = size.series * len(one["candidates"])
    best = [[(it["symbol"], it["candidate"], it["gain"]) for it in told["best"]] for told in (one, two)]
    note = "" if size.families != "naive" else "arima and prophet are not installed: make families"
    return [
        Figure("candidates", tried, "exactly", tried, is_result=True, note=note),
        Figure("that failed", one["failed"], "exactly", 0, is_result=True),
        Figure(
            "series whose best differs on two workers",
            float(best[0] != best[1]),
            "exactly",
            0,
            is_result=True,
        ),
        Figure("computed again by a repeat", again["computed"], "exactly", 0, is_result=True),
        Figure("core-seconds a candidate", one["core_seconds"] / tried, unit="s"),
        Figure(
            "a repeat beside the first run",
            again["seconds"] / one["seconds"],
            "at most",
            0.02 if note == "" else None,
        ),
        Figure(
            "two workers beside one", one["seconds"] / two["seconds"], "at least", 1.8 if note == "" else None
        ),
        Figure(
            "processor time of two workers beside one",
            spent_two / spent_one,
            "at most",
            1.1 if note == "" else None,
        ),
        Figure("a worker's start and first fits, of the processor", _start(size), unit="s"),
        Figure("peak of a process, one worker", peak_one, unit="MB"),
        Figure("peak of a worker, all series beside a quarter", peak_two / peak_few, "at most", 1.1),
    ]


# One tiny task a candidate, twice, as a worker process computes it: what the first costs more, and the interpreter before it.
_FIRST_FITS = """
import json, sys, time
from backtest.executors.local_worker import without_drawing
without_drawing()
import numpy as np
from backtest.select.candidates import candidates_of
from backtest.select.tasks import daily_task
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.series import Series
from trader.core.types import DAY_MS
from trader.forecasters.registry import forecaster_of
closes = np.cumsum(np.random.default_rng(1).normal(0, 0.02, 120))
base = params_of(DEFAULT_PARAMS, "a benchmark")
tasks = [daily_task(Series("S", 0, DAY_MS, closes), it, [90 * DAY_MS], it.name)
         for it in candidates_of(sys.argv[1].split(","), base, "1d", forecaster_of)]
took = []
for _ in range(2):
    for task in tasks:
        task.result()
    took.append(time.process_time())
print(took[0] - (took[1] - took[0]))
"""


def _start(size: Size) -> float:
    """Seconds of the processor that a worker spends before it is as quick as it will be: its interpreter and every import."""
    words = [sys.executable, "-c", _FIRST_FITS, size.families]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _select(series: Path, out: Path, size: Size, workers: int) -> tuple[dict[str, Any], float, float]:
    """A selection in a process of its own: what it says, its largest process in MB, and seconds of the processor."""
    words = ["select", "--bars", str(series), "--families", size.families, "--freq", "1d", "--out", str(out)]
    words += ["--workers", str(workers), "--evidence", str(out / "evidence"), "--json"]
    code = f"from benchmarks.bench_select import main; main({words!r})"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    told, used = done.stdout.splitlines()
    peak, spent = json.loads(used)
    return json.loads(told), peak, spent


def main(words: Sequence[str]) -> None:
    """What that process does: the command, then the peak of its largest process, MB, and its seconds of the processor."""
    from backtest.cli import main as command

    sys.argv = ["backtest", *words]
    try:
        command()
    except SystemExit as ended:
        if ended.code:
            raise
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, workers = used
    peak = (workers if workers.ru_maxrss else own).ru_maxrss / 1024
    print(json.dumps([peak, sum(it.ru_utime + it.ru_stime for it in used)]))


def _cut(source: Bars, size: Size, folder: Path) -> None:
    """Windows of the source, evenly spread, all moved to the same hours and scaled to prices of their own."""
    rows = size.days * 24 + 1
    first = -(-source.first // DAY_MS) * DAY_MS
    free = len(source) - rows - 24
    for i in range(size.series):
        begin = free * i // max(1, size.series - 1)
        scale = float(np.exp((i % 7) - 3))
        part = {name: getattr(source, name)[begin : begin + rows] for name in COLUMNS}
        part = {name: values * (scale if name != "volume" else 1.0) for name, values in part.items()}
        times = first - HOUR_MS + HOUR_MS * np.arange(rows, dtype=np.int64)
        write_bars(
            folder / f"S{i:03d}-1h.parquet", bars_from_columns(f"S{i:03d}", times, part, "a benchmark")
        )
