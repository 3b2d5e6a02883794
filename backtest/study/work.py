"""What a study's worker does: fit a window, look at the hours so far. It knows nothing of Optuna.

Every fit is one thread, so that a core is a process; which process does what changes no byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backtest.study.cache import FoldCache, code_hash, fold_key
from backtest.study.objectives import Objective
from backtest.study.space import LONGEST_LOOK_BACK_DAYS, Plan, Space
from backtest.study.sweep import Market, Result, Verdict, finish, judge
from trader.core.errors import DataError
from trader.core.features import features, preset_named
from trader.core.model import TrainingSet, labels_between, select
from trader.core.params import Params
from trader.core.ports import Forecaster, StagedPredictor
from trader.core.types import HOUR_MS, Bars, Filters, Floats, Matrix
from trader.core.windows import refit_of, refits, require_history


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What every trial is evaluated on. Hours start <= T < stop, UTC ms."""

    forecaster: Forecaster
    bars: Bars
    base: Params
    filters: Filters
    start: int
    stop: int
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Workshop:
    """A task with its features and labels, computed once for all trials: X (n, k), y (n,) from hour `begin` on."""

    task: Task
    space: Space
    objective: Objective
    begin: int
    X: Matrix
    y: Floats
    code: str
    cache: Path | None

    @staticmethod
    def of(
        task: Task, space: Space, objective: Objective, cache: Path | None, warm: Sequence[Params] = ()
    ) -> Workshop:
        """Raises DataError where the bars begin after the training of the longest look-back does."""
        longest = max([LONGEST_LOOK_BACK_DAYS, *(params.look_back_days for params in warm)])
        widest = task.base.model_copy(update={"look_back_days": longest})
        first = refit_of(widest, 0, task.start)
        require_history(task.bars, first, widest, task.source)
        begin = first.train_from
        X = features(task.bars, preset_named(task.base.features), begin, task.stop)
        y = labels_between(task.bars, task.base, begin, task.stop)
        return Workshop(task, space, objective, begin, X, y, code_hash(task.forecaster), cache)

    @property
    def windows(self) -> int:
        """How many a trial runs to its end; they are the same hours for every look-back."""
        return len(refits(self.task.base, self.task.start, self.task.stop))

    def predict(self, plan: Plan, k: int) -> Matrix:
        """P(up) of window k's hours by each number of trees of one fit: (numbers, hours) float32, NaN where a feature
        is undefined. Raises DataError for a window that cannot be trained on."""
        chosen, served = self._window(plan, k)
        if self.cache is None:
            return self._fitted(plan, chosen.X, chosen.y, served)
        cache, key = FoldCache(self.cache), self._key(plan, chosen, served)
        kept = cache.get(key, len(plan.trees))
        if kept is None:
            kept = self._fitted(plan, chosen.X, chosen.y, served)
            cache.put(key, kept)
        return kept

    def kept(self, plan: Plan, k: int) -> Matrix | None:
        """What `predict` would find in the cache; None where it would have to fit."""
        if self.cache is None:
            return None
        try:
            chosen, served = self._window(plan, k)
        except DataError:
            return None
        return FoldCache(self.cache).get(self._key(plan, chosen, served), len(plan.trees))

    def _window(self, plan: Plan, k: int) -> tuple[TrainingSet, Matrix]:
        """What window k trains on and the rows that it serves. Raises DataError where it cannot be trained."""
        window = refit_of(plan.params, k, self.task.start)
        train = slice(self._row(window.train_from), self._row(window.train_until) + 1)
        served = self.X[self._row(window.serve_from) : self._row(min(window.serve_until, self.task.stop))]
        return select(self.X[train], self.y[train], window, self.task.source), served

    def _key(self, plan: Plan, chosen: TrainingSet, served: Matrix) -> str:
        return fold_key(chosen.X, chosen.y, served, plan.params, plan.trees, self.code)

    def _fitted(self, plan: Plan, X: Matrix, y: Floats, served: Matrix) -> Matrix:
        model = self.task.forecaster.fitted(X, y, plan.params)
        result = np.full((len(plan.trees), len(served)), np.nan, np.float32)
        defined = ~np.isnan(served).any(axis=1)
        if not defined.any():
            return result
        if isinstance(model, StagedPredictor):
            result[:, defined] = model.predict_stages(served[defined], plan.trees)
        elif len(plan.trees) == 1:
            result[0, defined] = model.predict(served[defined])
        else:
            raise TypeError(f"{self.task.forecaster.family} cannot predict with fewer of its trees")
        return result

    def _row(self, close_time: int) -> int:
        return (close_time - self.begin) // HOUR_MS

    def look(self, plan: Plan, parts: Sequence[Matrix]) -> Verdict:
        """Every configuration over the windows so far."""
        return judge(self._market(), plan, self.space, np.concatenate(parts, axis=1))

    def end(self, plan: Plan, parts: Sequence[Matrix]) -> tuple[Verdict, Result]:
        """The same over all windows, and the best one traded exactly."""
        p_up = np.concatenate(parts, axis=1)
        verdict = judge(self._market(), plan, self.space, p_up)
        return verdict, finish(self._market(), plan, verdict, p_up)

    def _market(self) -> Market:
        return Market(self.task.bars, self.task.filters, self.task.start, self.objective)
