"""The trials of one batch, side by side: windows are fitted by whoever is free, rungs are judged as they fill.

A rung is a number of early windows after which a trial must be as good as the least of the best completed trials of
earlier batches was there: of four at most, and of fewer if it costs more than most of them did. Where early windows say
little of the end, the best were nothing special in them, and few are pruned. A median of all completed ones would climb:
those complete that began well. Nothing depends on who finishes first.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from backtest.executors.futures import InFlight
from backtest.study.space import TrialPlan
from backtest.study.sweep import RungScore, TrialResult
from trader.core.errors import DataError
from trader.core.text import plural
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


def pruning_thresholds(earlier: Sequence[Completed], cost: float, min_completed: int) -> tuple[float, ...]:
    """The value that a trial of this cost must reach at each rung to go on; none while fewer than `min_completed` trials
    are completed.

    It is the least value that the better half of the completed trials had there: of `min_completed` trials at least and
    of four at most; at twice their median cost, of half as many.
    """
    if len(earlier) < min_completed:
        return ()
    many = min(BEST, max(min_completed, math.ceil(len(earlier) / 2)))
    share = statistics.median(it.cost for it in earlier) / cost
    best = sorted(earlier, key=lambda it: it.value, reverse=True)[: max(1, min(BEST, round(many * share)))]
    return tuple(min(at) for at in zip(*(it.rungs for it in best), strict=True))


def batches(trials: int, size: int, min_completed: int | None) -> Iterator[range]:
    """The numbers of the trials of each batch. Where trials are pruned the first batch is no larger than the number of
    completed trials that a pruning threshold needs: all of its trials run to the end, however bad."""
    first = 0
    while first < trials:
        after = first + (min(size, min_completed) if min_completed and not first else size)
        yield range(first, min(after, trials))
        first = after


@dataclass(frozen=True, slots=True, eq=False)
class TrialOutcome:
    """What became of a trial: complete with a result, pruned with a verdict, or failed with a reason. Of a family that learns in
    epochs: how many epochs, and the held-back loss at each rung; pruned with a reason."""

    plan: TrialPlan
    state: str
    windows_run: int
    rungs: tuple[float, ...]
    verdict: RungScore | None
    result: TrialResult | None
    reason: str = ""
    epochs: int = 0
    losses: tuple[float, ...] = ()


@dataclass(slots=True, eq=False)
class RunningTrial:
    """A trial that has not ended: its pruning thresholds, how many windows were begun, their predictions by the window's
    number, and its values at the rungs so far."""

    plan: TrialPlan
    thresholds: tuple[float, ...]
    begun: int = 0
    parts: dict[int, Matrix | DataError] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)


class Evaluator(Protocol):
    """What a batch needs of `Evaluation`."""

    @property
    def capacity(self) -> int:
        """How many tasks are computed at the same time."""

    def fit(self, plan: TrialPlan, k: int) -> Future[Matrix]:
        """Window k's predictions."""

    def score(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[RungScore]:
        """A verdict on the windows so far."""

    def finish(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[tuple[RungScore, TrialResult]]:
        """A verdict on all windows, and the trial's result."""


class Batch:
    """Evaluates plans. `thresholds`: a plan's pruning thresholds by its number; it is not pruned where it has none.

    No worker waits for a verdict: while there is less to do than the executor could, windows of the next stage are
    begun. What is begun and not needed is cancelled.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        windows: int,
        rungs: Sequence[int],
        thresholds: Mapping[int, tuple[float, ...]],
    ) -> None:
        self._evaluator, self._stages = evaluator, (*rungs, windows)
        self._thresholds = thresholds
        self._running: list[RunningTrial] = []
        self._waiting: InFlight[tuple[RunningTrial, int | None]] = InFlight()

    def run(self, plans: Sequence[TrialPlan]) -> Iterator[TrialOutcome]:
        """Each as soon as it has ended. Raises WorkerLost if a task's workers were lost again and again."""
        self._running = [RunningTrial(plan, self._thresholds.get(plan.number, ())) for plan in plans]
        try:
            for trial in self._running:
                self._begin(trial, self._stages[0])
            while self._running:
                yield from self._next()
        finally:
            self._waiting.cancel()

    def _next(self) -> Iterator[TrialOutcome]:
        """Wait until something is done; the trials that have ended with it."""
        for future, (trial, window) in self._waiting.done():
            outcome = self._judged(trial, future) if window is None else self._fitted(trial, window, future)
            if outcome:
                self._forget(trial)
                yield outcome
        self._look_ahead()

    def _begin(self, trial: RunningTrial, after: int) -> None:
        """Windows up to this one."""
        for k in range(trial.begun, after):
            self._waiting.add(self._evaluator.fit(trial.plan, k), (trial, k))
        trial.begun = max(trial.begun, after)

    def _look_ahead(self) -> None:
        for trial in self._running:
            while len(self._waiting) < self._evaluator.capacity and trial.begun < self._stages[-1]:
                self._begin(trial, trial.begun + 1)

    def _forget(self, ended: RunningTrial) -> None:
        self._running.remove(ended)
        self._waiting.cancel(lambda waited: waited[0] is ended)

    def _fitted(self, trial: RunningTrial, window: int, future: Future[Any]) -> TrialOutcome | None:
        try:
            trial.parts[window] = future.result()
        except DataError as error:
            trial.parts[window] = error
        stage = self._stages[len(trial.values)]
        if window >= stage or any(k not in trial.parts for k in range(stage)):
            return None
        return self._filled(trial, stage)

    def _filled(self, trial: RunningTrial, stage: int) -> TrialOutcome | None:
        """All windows of a stage are there: have them looked at."""
        parts = []
        for k in range(stage):
            part = trial.parts[k]
            if isinstance(part, DataError):
                return TrialOutcome(trial.plan, "failed", k, tuple(trial.values), None, None, str(part))
            parts.append(part)
        judge = self._evaluator.finish if stage == self._stages[-1] else self._evaluator.score
        self._waiting.add(judge(trial.plan, parts), (trial, None))
        return None

    def _judged(self, trial: RunningTrial, future: Future[Any]) -> TrialOutcome | None:
        found, at = future.result(), len(trial.values)
        stage, last = self._stages[at], at == len(self._stages) - 1
        verdict: RungScore = found[0] if last else found
        rungs = tuple(trial.values)
        if math.isnan(verdict.value) or (last and not math.isfinite(found[1].value)):
            reason = f"its objective is not a number after {plural(stage, 'window')}"
            return TrialOutcome(trial.plan, "failed", stage, rungs, None, None, reason)
        if last:
            return TrialOutcome(trial.plan, "complete", stage, rungs, verdict, found[1])
        trial.values.append(verdict.value)
        if trial.thresholds and verdict.value < trial.thresholds[at]:
            return TrialOutcome(trial.plan, "pruned", stage, (*rungs, verdict.value), verdict, None)
        stage = self._stages[at + 1]
        self._begin(trial, stage)
        return self._filled(trial, stage) if all(k in trial.parts for k in range(stage)) else None
