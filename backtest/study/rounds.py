"""The trials of one batch, side by side: windows are fitted by whoever is free, rungs are judged as they fill.

A rung is a number of early windows after which a trial must be as good as the least of the best four completed trials
of earlier batches was there. Where early windows say little of the end, the best were nothing special in them, and few
are pruned. A median of all completed ones would climb: those complete that began well. Nothing depends on who finishes
first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from backtest.study.space import Plan
from backtest.study.sweep import Result, Verdict
from backtest.study.work import Workshop
from trader.core.errors import DataError, Retry
from trader.core.features import Matrix

SHARES = (1 / 8, 1 / 5, 1 / 3, 1 / 2, 3 / 4)
# Fewer months than these say more about the market than about a trial.
FEWEST_WINDOWS = 3
# A bar needs company: one completed trial says nothing about the next.
FEWEST_COMPLETE = 2
BEST = 4


def rungs_of(windows: int) -> tuple[int, ...]:
    """Numbers of early windows at which a trial of so many is judged, ascending; none for a short one."""
    found = {max(FEWEST_WINDOWS, round(windows * share)) for share in SHARES}
    return tuple(sorted(rung for rung in found if rung < windows))


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completed trial was worth at each rung and, where it traded, in the end."""

    rungs: tuple[float, ...]
    value: float


def bars_of(earlier: Sequence[Completed]) -> tuple[float, ...]:
    """What a trial must reach at each rung to go on; none while too few are completed."""
    if len(earlier) < FEWEST_COMPLETE:
        return ()
    best = sorted(earlier, key=lambda it: it.value, reverse=True)[:BEST]
    return tuple(min(at) for at in zip(*(it.rungs for it in best), strict=True))


def batches(trials: int, size: int, prune: bool) -> Iterator[range]:
    """The trials that are asked for together, by number. Where trials are pruned the first batch is no larger than a bar
    needs: all of it runs to the end, however bad."""
    first = 0
    while first < trials:
        after = first + (min(size, FEWEST_COMPLETE) if prune and not first else size)
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
    """A trial under way: what its windows gave, by their number, and its values at the rungs so far."""

    plan: Plan
    parts: dict[int, Matrix | DataError] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


class Batch:
    """Evaluates plans. `earlier` are the completed trials of earlier batches."""

    def __init__(
        self,
        submit: Callable[..., Future[Any]],
        windows: int,
        rungs: Sequence[int],
        earlier: Sequence[Completed],
    ) -> None:
        self._submit, self._stages = submit, (*rungs, windows)
        self._bars = bars_of(earlier)
        self._waiting: dict[Future[Any], tuple[_Going, int | None]] = {}

    def run(self, plans: Sequence[Plan]) -> Iterator[Ended]:
        """Each as soon as it has ended. Raises Retry if a worker was ended from outside."""
        for plan in plans:
            self._next_stage(_Going(plan))
        while self._waiting:
            done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
            for future in done:
                trial, window = self._waiting.pop(future)
                try:
                    ended = (
                        self._fitted(trial, window, future)
                        if window is not None
                        else self._judged(trial, future)
                    )
                except BrokenProcessPool:
                    raise Retry(
                        "a worker of the study was ended from outside, perhaps for want of memory. What has ended is "
                        "kept; the same command goes on, with fewer --workers if need be"
                    ) from None
                if ended:
                    yield ended

    def _next_stage(self, trial: _Going) -> None:
        first, after = len(trial.parts), self._stages[len(trial.values)]
        for k in range(first, after):
            self._waiting[self._submit(Workshop.predict, trial.plan, k)] = (trial, k)

    def _fitted(self, trial: _Going, window: int, future: Future[Any]) -> Ended | None:
        try:
            trial.parts[window] = future.result()
        except DataError as error:
            trial.parts[window] = error
        stage = self._stages[len(trial.values)]
        if len(trial.parts) < stage:
            return None
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
        if self._bars and verdict.value < self._bars[at]:
            return Ended(trial.plan, "pruned", stage, (*rungs, verdict.value), verdict, None)
        self._next_stage(trial)
        return None
