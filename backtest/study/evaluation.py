"""A study's tasks, given to an executor; folds that are kept are not given to it again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from backtest.executors.futures import Derived
from backtest.executors.protocol import Executor
from backtest.study.cache import FoldCache
from backtest.study.space import TrialPlan
from backtest.study.sweep import RungScore, TrialResult
from backtest.study.tasks import StudyTasks, WindowLearnt, finished_of, predictions_of, verdict_of
from backtest.study.trainings import Trainings
from backtest.study.trial_context import TrialContext
from trader.core.errors import DataError
from trader.core.types import Matrix


class Evaluation:
    """What a trial needs, as futures. This process alone reads and writes the cache."""

    def __init__(self, context: TrialContext, executor: Executor) -> None:
        self._tasks, self._executor = StudyTasks.of(context), executor
        self._cache = FoldCache(context.cache) if context.cache else None
        self._trainings = Trainings(self._cache)

    @property
    def capacity(self) -> int:
        """How many tasks are computed at the same time."""
        return self._executor.capacity

    def fit(self, plan: TrialPlan, k: int) -> Future[Matrix]:
        """P(up) of window k's hours, (numbers of stages, hours) float32. Raises DataError where it cannot be trained."""
        done: Future[Matrix] = Future()
        try:
            task = self._tasks.fit(plan, k)
        except DataError as error:
            done.set_exception(error)
            return done
        kept = self._cache.get(task.key, len(plan.stages)) if self._cache else None
        if kept is not None:
            done.set_result(kept)
            return done

        def keep(result: bytes) -> Matrix:
            p_up = predictions_of(result, plan)
            if self._cache:
                self._cache.put(task.key, p_up)
            return p_up

        return Derived(self._executor.submit(task), keep)

    def learn(self, plan: TrialPlan, k: int, epochs: Sequence[int], *, last: bool) -> Future[WindowLearnt]:
        """Window k up to the last of these epochs, going on from the state at the latest of them that is kept; with `last` to the
        end, with its predictions. Raises DataError where it cannot be trained."""
        done: Future[WindowLearnt] = Future()
        try:
            fold = self._tasks.context.key(plan, self._tasks.context.window(plan, k))
        except DataError as error:
            done.set_exception(error)
            return done
        kept = self._trainings.found(fold, epochs[-1], len(plan.stages), last=last)
        if kept is not None:
            done.set_result(kept)
            return done
        task = self._tasks.learn(plan, k, epochs[-1], self._trainings.state(fold, epochs[:-1]), last=last)

        def keep(result: bytes) -> WindowLearnt:
            learnt = WindowLearnt.of(result)
            self._trainings.keep(fold, epochs, learnt)
            return learnt

        return Derived(self._executor.submit(task), keep)

    def forget(self, plan: TrialPlan, epochs: Sequence[int]) -> None:
        """No state of the trial's windows is needed any more."""
        for k in range(self._tasks.context.windows):
            with suppress(DataError):  # a window that cannot be trained on has none
                fold = self._tasks.context.key(plan, self._tasks.context.window(plan, k))
                self._trainings.forget(fold, epochs)

    def score(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[RungScore]:
        """Every configuration over the windows so far."""
        return Derived(self._executor.submit(self._tasks.score(plan, parts)), verdict_of)

    def finish(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[tuple[RungScore, TrialResult]]:
        """The same over all windows, and the best one traded exactly."""
        return Derived(self._executor.submit(self._tasks.finish(plan, parts)), finished_of)
