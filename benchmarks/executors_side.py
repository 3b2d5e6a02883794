"""The executors beside each other, in an environment that has all of them: `python -m benchmarks.executors_side '{...}'`.

A Slurm of one node is started for it; Ray is one of the command's own. Every engine is started, and every worker has imported
what it needs, before a clock is; the start is told beside.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.executors.packing import packed, packed_task
from backtest.executors.protocol import Executor, Task, TaskFunction
from backtest.executors.registry import Setup, open_executor
from backtest.study.tune import SearchTask, tune
from benchmarks.executor_tasks import busy, small
from benchmarks.scene import START, bars
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, Bars, Filters
from trader.forecasters.xgboost import XGBoostForecaster

ENGINES = ("local", "ray", "slurm")
WORKERS = 2
NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Size:
    """Trials and windows of the study, how often; small tasks; seconds of a busy one, how many, pairs of one worker and two."""

    trials: int
    windows: int
    rounds: int
    small: int
    busy_s: float
    busy: int
    pairs: int


class Counted:
    """An executor that counts the bytes of what it is given and gives."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self._shared: set[str] = set()
        self.tasks = self.task_bytes = self.shared_bytes = self.answer_bytes = 0

    @property
    def capacity(self) -> int:
        """The inner one's."""
        return self._inner.capacity

    def submit(self, task: Task) -> Future[bytes]:
        """The inner one's."""
        self.tasks += 1
        self.task_bytes += len(packed_task(task))
        if task.shared.name not in self._shared:
            self._shared.add(task.shared.name)
            self.shared_bytes += len(packed({}, task.shared.arrays))
        future = self._inner.submit(task)
        future.add_done_callback(self._count)
        return future

    def close(self) -> None:
        """The inner one."""
        self._inner.close()

    def _count(self, future: Future[bytes]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.answer_bytes += len(future.result())


def study(series: Bars, size: Size, executor: Executor, trials: int, windows: int) -> str:
    """The hash of all that it found."""
    params: Params = params_of({**DEFAULT_PARAMS, "step_days": 30}, "a benchmark")
    filters = Filters.derived(float(series.close[series.row(START)]))
    task = SearchTask(
        XGBoostForecaster(), series, params, filters, START, START + windows * 30 * DAY_MS, "bars"
    )
    found = tune(task, trials=trials, seed=1, executor=executor)
    rows = [trial.row() for trial in found.trials]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


@contextmanager
def opened(engine: str, folder: Path, workers: int) -> Iterator[Executor]:
    """By its name, in a folder of its own."""
    place = Path(tempfile.mkdtemp(prefix=engine, dir=folder))
    with open_executor(engine, Setup(workers, place)) as executor:
        yield executor


def warm(series: Bars, size: Size, executor: Executor) -> float:
    """Seconds until every worker was there, with what it imports: a short study of other hours."""
    began = time.perf_counter()
    study(series, size, executor, 1, 2 * WORKERS)
    return time.perf_counter() - began


def seconds(executor: Executor, function: TaskFunction, rounds: int, count: int) -> float:
    """Of `count` tasks of so many rounds, none of which was given before: Slurm's keeps the answer of one that was."""
    tasks = [Task(function, {"number": next(NUMBERS), "rounds": rounds}) for _ in range(count)]
    began = time.perf_counter()
    given = [executor.submit(task) for task in tasks]
    for future in given:
        future.result()
    return time.perf_counter() - began


def rounds_in(wanted_s: float) -> int:
    """How many rounds keep a core busy for so long."""
    began = time.process_time()
    busy({}, {"number": 1, "rounds": 200_000})
    return int(200_000 * wanted_s / (time.process_time() - began))


def measured(size: Size, folder: Path) -> dict[str, Any]:
    """By engine: seconds of its start and of the study, ms a small task, one worker beside two, bytes, and what was found."""
    series = bars(folder)
    told: dict[str, dict[str, Any]] = {
        engine: {"study_s": [], "pairs": [], "found": []} for engine in ENGINES
    }
    for _ in range(size.rounds):
        for engine in ENGINES:
            with opened(engine, folder, WORKERS) as inner:
                start_s = warm(series, size, inner)
                executor, began = Counted(inner), time.perf_counter()
                told[engine]["found"].append(study(series, size, executor, size.trials, size.windows))
                told[engine]["study_s"].append(time.perf_counter() - began)
                small_s = seconds(inner, small, 1, size.small)
                told[engine] |= {
                    "start_s": start_s,
                    "task_ms": small_s / size.small * 1000,
                    "tasks": executor.tasks,
                    "task_bytes": executor.task_bytes,
                    "shared_bytes": executor.shared_bytes,
                    "answer_bytes": executor.answer_bytes,
                }
    rounds = rounds_in(size.busy_s)
    for engine in ENGINES:
        with ExitStack() as stack:
            one, two = (stack.enter_context(opened(engine, folder, workers)) for workers in (1, WORKERS))
            for each in (one, two):
                seconds(each, small, 1, 2 * WORKERS)
            for _ in range(size.pairs):
                told[engine]["pairs"].append(
                    seconds(one, busy, rounds, size.busy) / seconds(two, busy, rounds, size.busy)
                )
    return told


def main(size: Size) -> None:
    """Prints what was found."""
    from tests.system.slurm_served import slurm

    with tempfile.TemporaryDirectory(prefix="ex") as name:
        folder = Path(name)
        with slurm(folder / "s") as served:
            os.environ.update(served.environment)
            told = measured(size, folder)
    for engine in told.values():
        engine["study_s"] = statistics.median(engine["study_s"])
        engine["pairs"] = statistics.median(engine["pairs"])
    print(json.dumps(told))


if __name__ == "__main__":
    main(Size(**json.loads(sys.argv[1])))
