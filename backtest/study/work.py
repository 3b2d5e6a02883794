"""What every trial of a study is evaluated on: bars, features and labels, and which rows a window has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backtest.study.cache import code_hash, fold_key
from backtest.study.objectives import Objective
from backtest.study.space import LONGEST_LOOK_BACK_DAYS, Plan, Space
from trader.core.features import features, preset_named
from trader.core.model import labels_between, select
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import HOUR_MS, Bars, Filters, Floats, Matrix
from trader.core.windows import Refit, refit_of, refits, require_history


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


@dataclass(frozen=True, slots=True)
class Window:
    """A refit, and the rows of X and y that it trains on and serves."""

    refit: Refit
    train: slice
    serve: slice


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

    def window(self, plan: Plan, k: int) -> Window:
        """Where window k's rows lie."""
        refit = refit_of(plan.params, k, self.task.start)
        train = slice(self._row(refit.train_from), self._row(refit.train_until) + 1)
        serve = slice(self._row(refit.serve_from), self._row(min(refit.serve_until, self.task.stop)))
        return Window(refit, train, serve)

    def key(self, plan: Plan, window: Window) -> str:
        """The hash of all that a fit's predictions follow from. Raises DataError where it cannot be trained."""
        chosen = select(self.X[window.train], self.y[window.train], window.refit, self.task.source)
        return fold_key(chosen.X, chosen.y, self.X[window.serve], plan.params, plan.trees, self.code)

    def _row(self, close_time: int) -> int:
        return (close_time - self.begin) // HOUR_MS
