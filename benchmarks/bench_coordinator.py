"""The coordinator's own limit: a study and a selection whose workers compute nothing.

1,000 simulated workers of half a second a task give 2,000 results a second. What a coordinator that cannot follow shows is that
answers wait for it, longer and longer.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from backtest.commands.select import counted
from backtest.select.candidates import Candidate, candidates_of
from backtest.select.folder import SelectionFolder
from backtest.select.row_tasks import Row
from backtest.select.selection import Selection
from backtest.select.spec import BarsFile, FileFacts, SelectionSpec, common_stop
from backtest.study.trials import Trial
from backtest.study.tune import SearchTask, tune
from benchmarks.figure import Figure
from benchmarks.scene import START, bars
from benchmarks.simulated_workers import SimulatedWorkers
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import DAY_MS, Filters
from trader.forecasters.registry import forecaster_of
from trader.forecasters.xgboost import XGBoostForecaster

SERVICE_S = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """Workers; trials of a study, windows of each and trials a batch; series and candidates of a selection."""

    workers: int
    trials: int
    windows: int
    batch: int
    series: int
    candidates: int


@dataclass(frozen=True, slots=True)
class Served:
    """What a coordinator did: results and seconds, lateness of answers in s, and the process's memory in MB after a quarter and
    at the end."""

    results: int
    seconds: float
    late_s: list[float]
    early_mb: float
    last_mb: float

    @property
    def rate(self) -> float:
        """Results a second."""
        return self.results / self.seconds

    def late_ms(self, first: float, last: float) -> float:
        """The 99th percentile of lateness in a part of the work, ms."""
        part = self.late_s[int(len(self.late_s) * first) : int(len(self.late_s) * last)]
        return float(np.percentile(part, 99)) * 1000


def run() -> list[Figure]:
    """1,000 workers, 24,000 windows and 24,000 candidates."""
    return _figures(Size(1_000, 500, 48, 100, 1_200, 20))


def run_small() -> list[Figure]:
    """20 workers, 60 windows, 60 candidates."""
    return _figures(Size(20, 12, 5, 6, 12, 5))


def _figures(size: Size) -> list[Figure]:
    offered, figures = size.workers / SERVICE_S, []
    works = (
        ("study", study, size.trials * (size.windows + 1)),
        ("selection", selection, size.series * size.candidates),
    )
    for name, work, expected in works:
        alone, paced = work(size, 0.0), work(size, SERVICE_S)
        busy = f"while all {size.workers:,} workers are busy they give {offered:,.0f} a second"
        figures += [
            Figure(f"{name}: results", paced.results, "exactly", expected, is_result=True),
            Figure(f"{name}: results a second, answered at once", alone.rate, "at least", 2_000.0),
            Figure(f"{name}: results a second, of these workers", paced.rate, note=busy),
            Figure(
                f"{name}: an answer waits, 99th percentile of the first quarter",
                paced.late_ms(0, 1 / 4),
                unit="ms",
            ),
            Figure(
                f"{name}: of the last quarter",
                paced.late_ms(3 / 4, 1),
                "at most",
                SERVICE_S * 1000,
                unit="ms",
            ),
            Figure(
                f"{name}: memory at the end beside a quarter's",
                paced.last_mb / paced.early_mb,
                "at most",
                1.1,
            ),
        ]
    return figures


class Memory:
    """What the process holds after a quarter of the work and at its end, in MB."""

    def __init__(self, whole: int) -> None:
        self._at, self._done = [whole // 4, whole], 0
        self.found: list[float] = []

    def more(self, ended: int = 1) -> None:
        """So much has ended since."""
        self._done += ended
        while self._at and self._done >= self._at[0]:
            self._at.pop(0)
            gc.collect()
            self.found.append(resident_mb())


def study(size: Size, service_s: float) -> Served:
    """A study by these workers, its folds and journal on the disk as always."""
    params = params_of({**DEFAULT_PARAMS, "step_days": 30}, "a benchmark")
    with TemporaryDirectory() as name:
        folder = Path(name)
        series, memory = bars(folder), Memory(size.trials)
        filters = Filters.derived(float(series.close[series.row(START)]))
        stop = START + size.windows * 30 * DAY_MS
        task = SearchTask(XGBoostForecaster(), series, params, filters, START, stop, "bars")

        def ended(_: Trial) -> None:
            memory.more()

        def work(executor: SimulatedWorkers) -> None:
            tune(
                task,
                trials=size.trials,
                seed=1,
                executor=executor,
                batch=size.batch,
                prune=False,
                folder=folder / "study",
                on_trial=ended,
            )

        return _served(work, size, service_s, memory)


def selection(size: Size, service_s: float) -> Served:
    """A selection by these workers, counted and kept on the disk as always; its candidates are one family under many names."""
    base = params_of(DEFAULT_PARAMS, "a benchmark")
    with TemporaryDirectory() as name:
        folder, memory = Path(name), Memory(size.series * size.candidates)
        series = bars(folder).until(START)
        (naive,) = candidates_of([], base, "1d", forecaster_of)
        candidates = [
            Candidate(f"naive-{n}", naive.params.model_copy(update={"seed": n}), naive.forecaster)
            for n in range(size.candidates)
        ]
        files = [BarsFile(Path(f"S{n}"), f"S{n}", f"{n:064x}", lambda: series) for n in range(size.series)]
        facts = {
            it.symbol: FileFacts(it.symbol, series.first, series.last, len(series), f"{n:016x}")
            for n, it in enumerate(files)
        }
        spec = SelectionSpec("1d", "pinball", 1, 30, common_stop(facts, "1d", None))
        kept = SelectionFolder(folder / "out")
        with kept.held():
            whole = Selection(kept, spec, candidates, files, facts)

            def ended(rows: Sequence[Row]) -> None:
                counted(whole, folder / "evidence", rows)
                memory.more(len(rows))

            whole.on_rows = ended
            return _served(whole.run, size, service_s, memory)


def _served(
    work: Callable[[SimulatedWorkers], object], size: Size, service_s: float, memory: Memory
) -> Served:
    workers = SimulatedWorkers(size.workers, service_s)
    began = time.perf_counter()
    try:
        work(workers)
    finally:
        workers.close()
    took = time.perf_counter() - began
    return Served(len(workers.late_s), took, workers.late_s, memory.found[0], memory.found[-1])


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
