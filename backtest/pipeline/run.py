"""A pipeline's run: whatever is not up to date, in an order that the stages need, independent ones at the same time."""

from __future__ import annotations

import errno
import json
import os
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest.executors.futures import InFlight
from backtest.executors.protocol import Executor
from backtest.pipeline.counted import count_look
from backtest.pipeline.folder import CannotWrite, PipelineFolder
from backtest.pipeline.job import Job
from backtest.pipeline.judge import Judge, StageStatus
from backtest.pipeline.record import Record
from trader.core.errors import ConfigError, DataError, TraderError
from trader.core.text import plural

if TYPE_CHECKING:
    from backtest.pipeline.stage_run import StageRun

_MOST_AT_ONCE = 64
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
Ended = tuple[Record, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Progress:
    """After a stage: done of all, what ended, its seconds (None where it was up to date), and the seconds left, None while
    nobody knows how long stages take."""

    done: int
    of: int
    stage: str
    seconds: float | None
    left_s: float | None


@dataclass(slots=True)
class Outcome:
    """ran: what was computed. kept: names of what was up to date. failed: why, by name. blocked: what waits for those.
    restored: of how many the outputs were put back. verdicts: of all that is up to date by now."""

    ran: list[Record] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    restored: int = 0
    verdicts: dict[str, StageStatus] = field(default_factory=dict)

    def raise_failure(self) -> None:
        """The first failure, with how many more there are and what was kept."""
        if not self.failed:
            return
        name, error = next(iter(self.failed.items()))
        if not isinstance(error, TraderError):
            raise error
        more = f" {len(self.failed) - 1} more failed." if len(self.failed) > 1 else ""
        waits = f" {len(self.blocked)} that need them did not run." if self.blocked else ""
        done = len(self.ran) + len(self.kept)
        raise _with_text(
            error,
            f"stage {name} failed: {_sentence(error)} Kept: {plural(done, 'stage')}.{more}{waits}",
        )


def _sentence(error: TraderError) -> str:
    text = str(error)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _with_text(error: TraderError, text: str) -> TraderError:
    """The same kind of error, which says more."""
    kind = DataError if isinstance(error, DataError) else type(error)
    try:
        return kind(text)
    except TypeError:
        return ConfigError(text)


class PipelineRun:
    """One run of some jobs, which are in an order that their needs allow."""

    def __init__(
        self,
        jobs: Sequence[Job],
        judge: Judge,
        folder: PipelineFolder,
        executor: Executor,
        evidence: Path,
        bring: Callable[[Job], None],
        tell: Callable[[Progress], None],
        known: Mapping[str, StageStatus] | None = None,
    ) -> None:
        """known: of jobs that are up to date and not among these; None: these are all."""
        self._jobs, self._judge, self._folder = jobs, judge, folder
        self._executor, self._evidence, self._tell = executor, evidence, tell
        self._stop, self._whole = threading.Event(), known is None
        self._bring = bring
        self._verdicts: dict[str, StageStatus] = dict(known or {})
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._left_of = Counter(job.kind for job in jobs)
        for job in jobs:
            if last := judge.newest(job.name):
                self._seconds[job.kind].append(last.seconds)
        self._began = False
        self.outcome = Outcome()

    @cached_property
    def _stage(self) -> StageRun:
        """What stages are computed with: its imports take longer than a run that has nothing to do."""

        from backtest.pipeline.stage_run import StageRun, Stoppable

        own = threading.Semaphore(max(1, min(self._executor.capacity, os.cpu_count() or 1)))
        stoppable = Stoppable(self._executor, self._stop)
        return StageRun(self._folder, stoppable, self._evidence, self._stop, own, self._bring)

    def to_the_end(self) -> Outcome:
        """Everything that can be done. Raises KeyboardInterrupt, CannotWrite; other failures stand in the outcome."""
        threads = ThreadPoolExecutor(min(self._executor.capacity, _MOST_AT_ONCE))
        flying: InFlight[tuple[Job, StageStatus]] = InFlight()
        waiting = list(self._jobs)
        try:
            while waiting or len(flying):
                waiting = self._begin(waiting, threads, flying)
                for future, (job, verdict) in flying.done():
                    self._end(job, verdict, future)
        finally:
            self._stop.set()
            if len(flying):
                self._executor.close()
            threads.shutdown(cancel_futures=True)
        if self._whole and len(self.outcome.verdicts) == len(self._jobs):
            self._folder.forget_work()
        return self.outcome

    def _begin(
        self, waiting: list[Job], threads: ThreadPoolExecutor, flying: InFlight[tuple[Job, StageStatus]]
    ) -> list[Job]:
        """Begin what can be begun; what is left has to wait."""
        left = []
        for job in waiting:
            if any(it in self.outcome.failed or it in self.outcome.blocked for it in job.needs):
                self.outcome.blocked.append(job.name)
            elif not all(it in self._verdicts for it in job.needs):
                left.append(job)
            else:
                self._judge_and_begin(job, threads, flying)
        return left

    def _judge_and_begin(
        self, job: Job, threads: ThreadPoolExecutor, flying: InFlight[tuple[Job, StageStatus]]
    ) -> None:
        try:
            verdict = self._judge.of(job, self._verdicts)
        except TraderError as error:
            self.outcome.failed[job.name] = error
            return
        if verdict.missing:
            self.outcome.failed[job.name] = ConfigError(
                f"{verdict.missing} is not there; put it back, or change the pipeline's file"
            )
        elif verdict.record is not None:
            if not verdict.up_to_date:
                self._folder.link(job.name, verdict.record.outputs)
                self.outcome.restored += 1
            self._up_to_date(job, verdict.record)
            self.outcome.kept.append(job.name)
            self._told(job, None)
        else:
            if not self._began:
                self._began = True
                self._stage.expect(self._reached_by(job))
            flying.add(threads.submit(self._stage.compute, job, verdict), (job, verdict))

    def _reached_by(self, first: Job) -> list[Job]:
        """It, and the jobs that need it."""
        reached = {first.name: first}
        for job in self._jobs:
            if any(it in reached for it in job.needs):
                reached[job.name] = job
        return list(reached.values())

    def _end(self, job: Job, verdict: StageStatus, future: Future[Ended]) -> None:
        error = future.exception()
        if isinstance(error, (KeyboardInterrupt, CannotWrite)):
            raise error
        if isinstance(error, OSError) and error.errno in _FULL:
            with self._folder.errors():
                raise error
        if isinstance(error, Exception):
            self.outcome.failed[job.name] = error
            return
        record, said = future.result()
        if "look" in said:
            count_look(self._evidence, said["look"])
        self._folder.finished(record)
        self._folder.link(job.name, record.outputs)
        self._folder.done_with(job.name, record.key)
        self._judge.finished(record)
        self._up_to_date(job, record)
        self.outcome.ran.append(record)
        self._seconds[job.kind].append(record.seconds)
        self._told(job, record.seconds)

    def _up_to_date(self, job: Job, record: Record) -> None:
        verdict = StageStatus(job, True, (), record.basis, None, record)
        self._verdicts[job.name] = self.outcome.verdicts[job.name] = verdict
        self._left_of[job.kind] -= 1

    def _told(self, job: Job, seconds: float | None) -> None:
        done = len(self.outcome.ran) + len(self.outcome.kept)
        self._tell(Progress(done, len(self._jobs), job.name, seconds, self._left()))

    def _left(self) -> float | None:
        """By what stages of the same kind took, at the speed of as many at once as there are workers."""
        left = {kind: count for kind, count in self._left_of.items() if count}
        if not left:
            return 0.0
        if any(not self._seconds[kind] for kind in left):
            return None
        total = sum(count * statistics.median(self._seconds[kind]) for kind, count in left.items())
        return total / min(self._executor.capacity, sum(left.values()))


def is_described(manifest: Path, verdicts: Sequence[StageStatus]) -> bool:
    """Whether a manifest names these very stages; one that cannot be read names none."""
    try:
        told = [Record.of_json(it) for it in json.loads(manifest.read_text(encoding="utf-8"))["stages"]]
    except (OSError, ValueError, KeyError, TypeError, DataError):
        return False
    known = {it.job: (it.key, it.outputs) for it in told}
    return known == {it.job.name: (it.record.key, it.record.outputs) for it in verdicts if it.record}


def manifest_of(
    file: str, verdicts: Sequence[StageStatus], program: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """Everything that reproduces a finished run."""
    stages = [{"stage": it.job.name, **it.record.as_json()} for it in verdicts if it.record is not None]
    return {
        "schema": "pipeline-manifest/1",
        "file": file,
        "program": dict(program),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 3),
        "stages": stages,
    }
