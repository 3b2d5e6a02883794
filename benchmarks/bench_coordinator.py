"""The coordinator's own limit: a study and a selection whose workers compute nothing.

1,000 simulated workers of half a second a task give 2,000 results a second. What a coordinator that cannot follow shows is that
answers wait for it, longer and longer.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from backtest.study.trials import Trial
from backtest.study.tune import SearchTask, tune
from benchmarks.figure import Figure
from benchmarks.scene import START, bars
from benchmarks.simulated_workers import SimulatedWorkers
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import DAY_MS, Filters
from trader.forecasters.xgboost import XGBoostForecaster

SERVICE_S = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """Workers, and trials of a study of so many windows, in batches that keep all workers busy."""

    workers: int
    trials: int
    windows: int
    batch: int


@dataclass(frozen=True, slots=True)
class Served:
    """One study: results and seconds, lateness of answers in s, and the process's memory in MB after a quarter and at the end."""

    results: int
    seconds: float
    late_s: list[float]
    early_mb: float
    last_mb: float

    def late(self, first: float, last: float) -> float:
        """The 99th percentile of lateness in a part of the study, ms."""
        part = self.late_s[int(len(self.late_s) * first) : int(len(self.late_s) * last)]
        return float(np.percentile(part, 99)) * 1000


def run() -> list[Figure]:
    """1,000 workers, 24,000 windows."""
    return _figures(Size(1_000, 500, 48, 100))


def run_small() -> list[Figure]:
    """20 workers, 60 windows."""
    return _figures(Size(20, 12, 5, 6))


def _figures(size: Size) -> list[Figure]:
    alone, paced = served(size, 0.0), served(size, SERVICE_S)
    expected = size.trials * (size.windows + 1)
    offered = size.workers / SERVICE_S
    quarter, end = paced.late(0, 1 / 4), paced.late(3 / 4, 1)
    return [
        Figure("results", paced.results, "exactly", expected, is_result=True),
        Figure("results a second, answers at once", alone.results / alone.seconds, "at least", 2_000.0),
        Figure(
            f"results a second of {size.workers:,} workers",
            paced.results / paced.seconds,
            note=f"they give {offered:,.0f} a second while all are busy; between two batches they are not",
        ),
        Figure("answers wait, 99th percentile of the first quarter", quarter, unit="ms"),
        Figure("of the last quarter", end, "at most", SERVICE_S * 1000, unit="ms"),
        Figure(
            "memory at the end beside that after a quarter", paced.last_mb / paced.early_mb, "at most", 1.1
        ),
    ]


def served(size: Size, service_s: float) -> Served:
    """A study by these workers, its folds and journal on the disk as always."""
    params = params_of({**DEFAULT_PARAMS, "step_days": 30}, "a benchmark")
    memory: list[float] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        series = bars(folder)
        filters = Filters.derived(float(series.close[series.row(START)]))
        stop = START + size.windows * 30 * DAY_MS
        task = SearchTask(XGBoostForecaster(), series, params, filters, START, stop, "bars")

        def ended(trial: Trial) -> None:
            if trial.number in (size.trials // 4, size.trials - 1):
                gc.collect()
                memory.append(resident_mb())

        workers = SimulatedWorkers(size.workers, service_s)
        began = time.perf_counter()
        try:
            tune(
                task,
                trials=size.trials,
                seed=1,
                executor=workers,
                batch=size.batch,
                prune=False,
                folder=folder / "study",
                on_trial=ended,
            )
        finally:
            workers.close()
        return Served(len(workers.late_s), time.perf_counter() - began, workers.late_s, memory[0], memory[-1])


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
