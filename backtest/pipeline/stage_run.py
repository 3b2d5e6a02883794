"""One stage, computed: its inputs read, its function called where its fits belong, its outputs kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backtest.executors.protocol import Executor, Expecting, Placement, SharedArrays, Task, resolved
from backtest.pipeline.folder import PipelineFolder, sha256_of
from backtest.pipeline.job import Job
from backtest.pipeline.judge import StageStatus
from backtest.pipeline.own_process import run_own
from backtest.pipeline.record import Record
from backtest.pipeline.stage_inputs import REFUSAL, Given, Made, Work
from trader.core.errors import DataError, Retry
from trader.core.families import own_family
from trader.core.features import preset_named
from trader.forecasters.libraries import modules_of

# Stages that give out fits, a task each; any other is one task: files in, files out.
COORDINATED = ("tune", "predict")


class Stopped(Exception):  # no error: somebody wants no more
    """The run ends; nothing new is begun."""


class Stoppable:
    """An executor that takes no more tasks once the run ends."""

    def __init__(self, inner: Executor, stop: threading.Event) -> None:
        self._inner, self._stop = inner, stop

    @property
    def capacity(self) -> int:
        """The inner one's."""
        return self._inner.capacity

    def submit(self, task: Task) -> Future[bytes]:
        """The inner one's. Raises Stopped."""
        if self._stop.is_set():
            raise Stopped
        return self._inner.submit(task)

    def expect(self, modules: Sequence[str]) -> None:
        """The inner one may begin."""
        if isinstance(self._inner, Expecting):
            self._inner.expect(modules)

    def close(self) -> None:
        """The inner one."""
        self._inner.close()


@dataclass(frozen=True, slots=True)
class StageRun:
    """What stages are computed with. own: how many processes of a person's own stages run at once. bring: brings the bars of a
    symbol from the market into its file."""

    folder: PipelineFolder
    executor: Executor
    evidence: Path
    stop: threading.Event
    own: threading.Semaphore
    bring: Callable[[Job], None]

    def expect(self, jobs: Iterable[Job]) -> None:
        """Workers begin to import what these jobs need."""
        needed = dict.fromkeys(module for job in jobs for module in _modules(job))
        if needed and isinstance(self.executor, Expecting):
            self.executor.expect(list(needed))

    def compute(self, job: Job, verdict: StageStatus) -> tuple[Record, Mapping[str, Any]]:
        """The record of a job that was run, its outputs kept, and what it says beside them. Raises what the stage raises,
        DataError for a model that the stage refuses, and Retry where a file changed meanwhile."""
        assert verdict.basis is not None and verdict.reached is not None  # noqa: PT018, S101  # nothing else is run
        began = time.perf_counter()
        basis, key = verdict.basis, verdict.basis.key
        made = self._made(job, verdict, key)
        self._require_unchanged(job, basis.inputs)
        if REFUSAL in made.said:
            raise DataError(
                f"{made.said[REFUSAL]}. All findings: {self.folder.keep_refused(job.name, made.files)}"
            )
        outputs = {name: self.folder.keep(made.files[name]) for name in job.outputs}
        self.folder.keep_code(verdict.reached.digest, verdict.reached.code)
        seconds = round(time.perf_counter() - began, 3)
        return Record(job.name, key, basis, outputs, seconds, datetime.now(UTC).isoformat()), made.said

    def _made(self, job: Job, verdict: StageStatus, key: str) -> Made:
        assert verdict.basis is not None  # noqa: S101  # as above
        if job.kind == "collect":
            self.bring(job)
            bars: Made = _function(job)(Path(job.hints["file"]), job.params)
            return bars
        if job.run is not None:
            paths = {
                it.name: it.path or self.folder.object(verdict.basis.inputs[it.name]) for it in job.inputs
            }
            with self.own:
                return Made(run_own(job, paths, self.folder.work_of(key), self.stop))
        files = {it.name: self.folder.read_object(verdict.basis.inputs[it.name]) for it in job.inputs}
        arrays, settings = Given.arrays_of(files), {**job.params, **job.hints}
        if job.kind in COORDINATED:
            work = Work(self.executor, self.folder.work_of(key), self.evidence)
            made: Made = _function(job)(Given(arrays, settings), work)
            return made
        shared, placement = SharedArrays({}), _placement(job)
        task = Task(_function(job), settings, shared, arrays, placement, known_key=key, label=job.name)
        return Made.of(self.executor.submit(task).result())

    def _require_unchanged(self, job: Job, inputs: Mapping[str, str]) -> None:
        for it in job.inputs:
            if it.path is not None and sha256_of(it.path) != inputs[it.name]:
                raise Retry(f"{it.path} changed while stage {job.name} read it; run the pipeline again")


def _function(job: Job) -> Callable[..., Any]:
    """What computes a built-in stage, imported when it runs."""
    found: Callable[..., Any] = resolved(job.code[0])
    return found


def _modules(job: Job) -> list[str]:
    """What a process imports that computes a job, or its fits."""
    if not job.code or job.kind == "collect" or _placement(job) == "thread":
        return []
    return [job.code[0].partition(":")[0], *(it for family in job.families for it in modules_of(family))]


def _placement(job: Job) -> Placement:
    """A user's own features and families are known to this process alone."""
    own = any(own_family(it) is not None for it in job.families)
    preset = job.params.get("preset")
    own = own or "features_file" in job.params or (preset is not None and bool(preset_named(preset).source))
    return "thread" if own else "caller" if job.kind == "features" else "process"
