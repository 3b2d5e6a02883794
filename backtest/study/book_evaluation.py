"""What a trial of a book needs, as futures: the windows of every symbol, fitted side by side or at once, and the whole book's
verdict."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from backtest.engine.pooled_walk import Pool
from backtest.executors.futures import Derived, Gathered
from backtest.executors.protocol import Executor
from backtest.study.book_context import BookContext
from backtest.study.book_tasks import BookTasks
from backtest.study.cache import FoldCache
from backtest.study.evaluation import Evaluation
from backtest.study.space import TrialPlan
from backtest.study.sweep import RungScore, TrialResult
from backtest.study.tasks import finished_of, predictions_of, verdict_of
from trader.core.errors import DataError
from trader.core.types import Matrix


class BookEvaluation:
    """As `Evaluation`, where a window's predictions are (numbers of stages, symbols, hours), NaN where a symbol's bars have
    ended."""

    def __init__(self, context: BookContext, executor: Executor) -> None:
        self._context, self._executor = context, executor
        self._tasks = BookTasks.of(context)
        self._each = [Evaluation(it, executor) for it in context.each]
        self._cache = FoldCache(context.cache) if context.cache else None

    @property
    def capacity(self) -> int:
        """How many tasks are computed at the same time."""
        return self._executor.capacity

    def fit(self, plan: TrialPlan, k: int) -> Future[Matrix]:
        """P(up) of window k's hours. Raises DataError where it cannot be trained for a symbol."""
        if self._context.pool is not None:
            return self._fit_all(self._context.pool, plan, k)
        there = [i for i, it in enumerate(self._context.each) if k < it.windows]
        futures = [self._each[i].fit(plan, k) for i in there]
        return Gathered(futures, lambda found: self._whole(plan, k, dict(zip(there, found, strict=True))))

    def _fit_all(self, pool: Pool, plan: TrialPlan, k: int) -> Future[Matrix]:
        done: Future[Matrix] = Future()
        try:
            task = self._tasks.fit(pool, plan, k)
        except DataError as error:
            done.set_exception(error)
            return done

        def parted(p_up: Matrix) -> Matrix:
            parts = pool.by_symbol(self._context.window(plan, k), p_up)
            names = [it.bars.symbol for it in self._context.task.symbols]
            return self._whole(plan, k, {names.index(symbol): part for symbol, part in parts.items()})

        kept = self._cache.get(task.key, len(plan.stages)) if self._cache else None
        if kept is not None:
            done.set_result(parted(kept))
            return done

        def keep(result: bytes) -> Matrix:
            p_up = predictions_of(result, plan)
            if self._cache:
                self._cache.put(task.key, p_up)
            return parted(p_up)

        return Derived(self._executor.submit(task), keep)

    def _whole(self, plan: TrialPlan, k: int, parts: dict[int, Matrix]) -> Matrix:
        """The predictions of single symbols as those of all: by the symbol's place."""
        shape = len(plan.stages), len(self._context.task.symbols), self._context.hours(k)
        whole = np.full(shape, np.nan, np.float32)
        for place, part in parts.items():
            whole[:, place, : part.shape[1]] = part
        return whole

    def score(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[RungScore]:
        """Every configuration over the windows so far."""
        return Derived(self._executor.submit(self._tasks.score(plan, parts)), verdict_of)

    def finish(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Future[tuple[RungScore, TrialResult]]:
        """The same over all windows, and the best one traded exactly as a book."""
        return Derived(self._executor.submit(self._tasks.finish(plan, parts)), finished_of)
