"""The trials of one batch, side by side: windows are fitted by whoever is free, rungs are judged as they fill.

A rung is a number of early windows after which a trial must be as good as the least of the best completed trials of
earlier batches was there: of four at most, and of fewer if it costs more than most of them did. Where early windows say
little of the end, the best were nothing special in them, and few are pruned. A median of all completed ones would climb:
those complete that began well. Nothing depends on who finishes first.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from backtest.study.space import Plan
from backtest.study.sweep import Result, Verdict
from backtest.study.work import Workshop
from trader.core.errors import DataError, Retry
from trader.core.types import Matrix

SHARES = (1 / 8, 1 / 5, 1 / 3, 1 / 2, 3 / 4)
# Fewer months than these say more about the market than about a trial.
FEWEST_WINDOWS = 3
BEST = 4


def rungs_of(windows: int) -> tuple[int, ...]:
    """Numbers of early windows at which a trial of so many is judged, ascending; none for a short one."""
    found = {max(FEWEST_WINDOWS, round(windows * share)) for share in SHARES}
    return tuple(sorted(rung for rung in found if rung < windows))


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completed trial was worth at each rung and, where it traded, in the end; and what it cost."""

    rungs: tuple[float, ...]
    value: float
    cost: float


def bars_of(earlier: Sequence[Completed], cost: float, company: int) -> tuple[float, ...]:
    """What a trial of this cost must reach at each rung to go on; none while fewer than `company` are completed.

    It is measured by the better half of them, but by `company` at least and by four at most; at twice their median cost
    by half as many.
    """
    if len(earlier) < company:
        return ()
    many = min(BEST, max(company, math.ceil(len(earlier) / 2)))
    share = statistics.median(it.cost for it in earlier) / cost
    best = sorted(earlier, key=lambda it: it.value, reverse=True)[: max(1, min(BEST, round(many * share)))]
    return tuple(min(at) for at in zip(*(it.rungs for it in best), strict=True))


def batches(trials: int, size: int, company: int | None) -> Iterator[range]:
    """The trials that are asked for together, by number. Where trials are pruned the first batch is no larger than the
    company that a bar needs: all of it runs to the end, however bad."""
    first = 0
    while first < trials:
        after = first + (min(size, company) if company and not first else size)
        yield range(first, min(after, trials))
        first = after


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """What became of a trial: complete with a result, pruned with a verdict, or failed with a reason."""

    plan: Plan
    state: str
    windows_run: int
    rungs: tuple[float, ...]
    verdict: Verdict | None
    result: Result | None
    reason: str = ""


@dataclass(slots=True, eq=False)
class _Going:
    """A trial under way: what it must reach, how many windows were begun, what they gave, by their number, and its values
    at the rungs so far."""

    plan: Plan
    bars: tuple[float, ...]
    begun: int = 0
    parts: dict[int, Matrix | DataError] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


@contextmanager
def _alive() -> Iterator[None]:
    """Raises Retry where a worker is no more."""
    try:
        yield
    except BrokenProcessPool:
        raise Retry(
            "a worker of the study was ended from outside, perhaps for want of memory. What has ended is kept; the same "
            "command goes on, with fewer --workers if need be"
        ) from None


class Batch:
    """Evaluates plans. `bars`: what each must reach at the rungs to go on, by its number; nothing where it has none.

    Nobody waits for a verdict: while there is less to do than `workers` could, windows of the next stage are begun. What
    is begun and not needed is forgotten.
    """

    def __init__(
        self,
        submit: Callable[..., Future[Any]],
        windows: int,
        rungs: Sequence[int],
        bars: Mapping[int, tuple[float, ...]],
        workers: int = 1,
    ) -> None:
        self._submit, self._stages = submit, (*rungs, windows)
        self._bars, self._workers = bars, workers
        self._going: list[_Going] = []
        self._waiting: dict[Future[Any], tuple[_Going, int | None]] = {}

    def run(self, plans: Sequence[Plan]) -> Iterator[Ended]:
        """Each as soon as it has ended. Raises Retry if a worker was ended from outside."""
        self._going = [_Going(plan, self._bars.get(plan.number, ())) for plan in plans]
        with _alive():
            for trial in self._going:
                self._begin(trial, self._stages[0])
        while self._going:
            done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
            for future in done:
                waited = self._waiting.pop(future, None)
                if waited is None:
                    continue  # forgotten: its trial has ended since
                trial, window = waited
                with _alive():
                    ended = (
                        self._judged(trial, future) if window is None else self._fitted(trial, window, future)
                    )
                if ended:
                    self._forget(trial)
                    yield ended
            with _alive():
                self._look_ahead()

    def _begin(self, trial: _Going, after: int) -> None:
        """Windows up to this one."""
        for k in range(trial.begun, after):
            self._waiting[self._submit(Workshop.predict, trial.plan, k)] = (trial, k)
        trial.begun = max(trial.begun, after)

    def _look_ahead(self) -> None:
        for trial in self._going:
            while len(self._waiting) < self._workers and trial.begun < self._stages[-1]:
                self._begin(trial, trial.begun + 1)

    def _forget(self, ended: _Going) -> None:
        self._going.remove(ended)
        for future in [it for it, (trial, _) in self._waiting.items() if trial is ended]:
            future.cancel()
            del self._waiting[future]

    def _fitted(self, trial: _Going, window: int, future: Future[Any]) -> Ended | None:
        try:
            trial.parts[window] = future.result()
        except DataError as error:
            trial.parts[window] = error
        stage = self._stages[len(trial.values)]
        if window >= stage or any(k not in trial.parts for k in range(stage)):
            return None
        return self._filled(trial, stage)

    def _filled(self, trial: _Going, stage: int) -> Ended | None:
        """All windows of a stage are there: have them looked at."""
        parts = []
        for k in range(stage):
            part = trial.parts[k]
            if isinstance(part, DataError):
                return Ended(trial.plan, "failed", k, tuple(trial.values), None, None, str(part))
            parts.append(part)
        last = stage == self._stages[-1]
        self._waiting[self._submit(Workshop.end if last else Workshop.look, trial.plan, parts)] = (
            trial,
            None,
        )
        return None

    def _judged(self, trial: _Going, future: Future[Any]) -> Ended | None:
        found, at = future.result(), len(trial.values)
        stage, last = self._stages[at], at == len(self._stages) - 1
        verdict: Verdict = found[0] if last else found
        rungs = tuple(trial.values)
        if math.isnan(verdict.value) or (last and not math.isfinite(found[1].value)):
            reason = f"its objective is not a number after {stage} windows"
            return Ended(trial.plan, "failed", stage, rungs, None, None, reason)
        if last:
            return Ended(trial.plan, "complete", stage, rungs, verdict, found[1])
        trial.values.append(verdict.value)
        if trial.bars and verdict.value < trial.bars[at]:
            return Ended(trial.plan, "pruned", stage, (*rungs, verdict.value), verdict, None)
        stage = self._stages[at + 1]
        self._begin(trial, stage)
        return self._filled(trial, stage) if all(k in trial.parts for k in range(stage)) else None
