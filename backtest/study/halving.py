"""Successive halving of trials that learn in epochs, rung by rung: all trials of a batch learn up to a rung's epoch, then the
better half of them goes on.

Optuna's own pruner judges, but never before all losses of the rung are there. So who finishes first changes nothing (ADR 26).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import optuna

from backtest.executors.futures import InFlight, first_done
from backtest.study.rounds import TrialOutcome
from backtest.study.space import TrialPlan
from backtest.study.sweep import RungScore, TrialResult
from backtest.study.tasks import WindowLearnt
from trader.core.errors import DataError
from trader.core.text import plural
from trader.core.types import Matrix

# Of the trials that reach a rung, one in so many goes on; the epoch of the next rung is as many times later.
REDUCTION = 2
FIRST_RUNG = 1
# Tasks given out for each that is computed: so many that nobody waits, and so few that progress can be told.
GIVEN_AHEAD = 2


def rungs_of_epochs(most: int) -> tuple[int, ...]:
    """The epochs at which trials are judged, ascending: 1, 2, 4, ... below the last."""
    found, at = [], FIRST_RUNG
    while at < most:
        found.append(at)
        at *= REDUCTION
    return tuple(found)


def goes_on(loss: float, others: Sequence[float], rung: int) -> bool:
    """Optuna's rule of successive halving, asked as if this trial were the last to reach the rung (an epoch)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rung, reduction_factor=REDUCTION)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    pruned = False
    for value in (*others, loss):
        trial = study.ask()
        trial.report(value, rung)
        pruned = trial.should_prune()
    return not pruned


def share_kept(trials: int) -> int:
    """How many of so many trials go on from a rung, unless losses are equal."""
    return max(1, trials // REDUCTION)


@dataclass(frozen=True, slots=True)
class RungProgress:
    """How far a batch is. rung: from 1, of `rungs`; the last is the end of the training. epoch: up to which it learns. trials:
    that reached it. done, of: epochs of all windows in this batch, as many as are planned while the better half goes on."""

    rung: int
    rungs: int
    epoch: int
    trials: int
    done: int
    of: int


class LearningEvaluator(Protocol):
    """What a batch needs of `Evaluation`."""

    @property
    def capacity(self) -> int:
        """How many tasks are computed at the same time."""

    def learn(self, plan: TrialPlan, k: int, epochs: Sequence[int], *, last: bool) -> Future[WindowLearnt]:
        """Window k up to the last of these epochs, from the state at an earlier one of them."""

    def forget(self, plan: TrialPlan, epochs: Sequence[int]) -> None:
        """The trial has ended: no state of its windows is needed any more."""

    def finish(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[tuple[RungScore, TrialResult]]:
        """A verdict on all windows, and the trial's result."""


@dataclass(slots=True, eq=False)
class _Learning:
    """A trial that has not ended: what each window had learnt at the newest rung, by its number, and its losses at the rungs."""

    plan: TrialPlan
    found: dict[int, WindowLearnt | DataError] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    epochs: int = 0


def planned(trials: int, windows: int, most: int) -> int:
    """Epochs of all windows that a batch of so many trials learns, where of each rung the better half goes on."""
    total, before = 0, 0
    for epoch in (*rungs_of_epochs(most), most):
        total += trials * windows * (epoch - before)
        trials, before = share_kept(trials), epoch
    return total


class HalvingBatch:
    """Evaluates plans. ended: the losses at the rungs of every trial of this study that has ended, by its number; those of this
    batch among them, where it was interrupted. told: is told of every window that has learnt up to a rung."""

    def __init__(
        self,
        evaluator: LearningEvaluator,
        windows: int,
        most: int,
        ended: Mapping[int, Sequence[float]],
        told: Callable[[RungProgress], None] = lambda _: None,
    ) -> None:
        self._evaluator, self._windows, self._most = evaluator, windows, most
        self._rungs, self._ended, self._told = rungs_of_epochs(most), ended, told
        self._stages = (*self._rungs, most)
        self._running: list[_Learning] = []
        self._done, self._of = 0, 0

    def run(self, plans: Sequence[TrialPlan]) -> Iterator[TrialOutcome]:
        """In the order in which they end: rung by rung, within a rung by number. Raises WorkerLost if a task's workers were lost
        again and again."""
        self._running = [_Learning(plan) for plan in plans]
        self._of = planned(len(plans), self._windows, self._most)
        for i in range(len(self._rungs)):
            self._learn(i)
            yield from self._failed()
            yield from self._judged(i)
        self._learn(len(self._rungs))
        yield from self._failed()
        yield from self._finished()

    def _learn(self, i: int) -> None:
        """All windows of all running trials up to rung i, or to the end."""
        given = iter([(trial, k) for trial in self._running for k in range(self._windows)])
        capacity = self._evaluator.capacity
        ahead = capacity * GIVEN_AHEAD if capacity > 1 else 1
        waiting: InFlight[tuple[_Learning, int]] = InFlight()
        try:
            self._give(waiting, islice(given, ahead), i)
            while len(waiting):
                for future, (trial, k) in waiting.done():
                    trial.found[k] = _learnt(future)
                    self._tell(i)
                self._give(waiting, islice(given, ahead - len(waiting)), i)
        finally:
            waiting.cancel()

    def _give(
        self, waiting: InFlight[tuple[_Learning, int]], todo: Iterable[tuple[_Learning, int]], i: int
    ) -> None:
        epochs, last = self._stages[: i + 1], i == len(self._rungs)
        for trial, k in todo:
            waiting.add(self._evaluator.learn(trial.plan, k, epochs, last=last), (trial, k))

    def _tell(self, i: int) -> None:
        """A window has learnt up to rung i."""
        stages, trials = self._stages, len(self._running)
        self._done += stages[i] - (stages[i - 1] if i else 0)
        self._told(RungProgress(i + 1, len(stages), stages[i], trials, min(self._done, self._of), self._of))

    def _failed(self) -> Iterator[TrialOutcome]:
        """Those with a window that cannot be trained on; of the others, their loss at this rung is noted."""
        for trial in list(self._running):
            parts = [trial.found[k] for k in range(self._windows)]
            errors = [(k, part) for k, part in enumerate(parts) if isinstance(part, DataError)]
            if errors:
                k, error = errors[0]
                yield self._ended_as(trial, "failed", str(error), windows_run=k)
                continue
            learnt = [part for part in parts if isinstance(part, WindowLearnt)]
            trial.losses.append(statistics.fmean(part.loss for part in learnt))
            trial.epochs = max(part.epochs for part in learnt)

    def _judged(self, i: int) -> Iterator[TrialOutcome]:
        """Those that do not go on from rung i, after the losses of all are there."""
        earlier = [losses[i] for losses in self._ended.values() if len(losses) > i]
        here = [(trial, trial.losses[i]) for trial in self._running]
        for trial, loss in here:
            others = [*earlier, *(other for beside, other in here if beside is not trial)]
            if goes_on(loss, others, self._rungs[i]):
                continue
            count = len(others) + 1
            reason = (
                f"its held-back loss of {loss:.4f} after {plural(self._rungs[i], 'epoch')} was not among the best "
                f"{share_kept(count)} of {plural(count, 'trial')}"
            )
            yield self._ended_as(trial, "pruned", reason)

    def _finished(self) -> Iterator[TrialOutcome]:
        """Those that are left, traded over all hours."""
        todo = list(self._running)
        waiting = [self._evaluator.finish(trial.plan, self._parts(trial)) for trial in todo]
        for trial, future in zip(todo, waiting, strict=True):
            first_done([future])
            verdict, result = future.result()
            if math.isfinite(result.value):
                yield self._ended_as(trial, "complete", "", self._windows, verdict, result)
            else:
                reason = f"its objective is not a number after {plural(self._windows, 'window')}"
                yield self._ended_as(trial, "failed", reason, self._windows)

    def _parts(self, trial: _Learning) -> list[Matrix]:
        parts = [trial.found[k] for k in range(self._windows)]
        return [part.p_up for part in parts if isinstance(part, WindowLearnt) and part.p_up is not None]

    def _ended_as(
        self,
        trial: _Learning,
        state: str,
        reason: str,
        windows_run: int = 0,
        verdict: RungScore | None = None,
        result: TrialResult | None = None,
    ) -> TrialOutcome:
        self._running.remove(trial)
        self._evaluator.forget(trial.plan, self._rungs)
        losses = tuple(trial.losses)
        return TrialOutcome(trial.plan, state, windows_run, (), verdict, result, reason, trial.epochs, losses)


def _learnt(future: Future[WindowLearnt]) -> WindowLearnt | DataError:
    try:
        return future.result()
    except DataError as error:
        return error
