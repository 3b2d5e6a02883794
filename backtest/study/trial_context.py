"""What every trial of a study is evaluated on: the history, which every window is a part of, and the names of fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.evidence.ledger import data_hash
from backtest.executors.protocol import Array
from backtest.study.cache import code_hash, content_hash, fold_key
from backtest.study.objectives import Objective
from backtest.study.space import LONGEST_LOOK_BACK_DAYS, Space, TrialPlan
from trader.core.features import anchor_of
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.training import usable_rows
from trader.core.types import HOUR_MS, Bars, Filters
from trader.core.windows import Refit, refit_of, refits, require_history


@dataclass(frozen=True, slots=True, eq=False)
class SearchTask:
    """What every trial is evaluated on. Hours start <= T < stop, UTC ms. others: bars of the further symbols that a fit sees."""

    forecaster: Forecaster
    bars: Bars
    base: Params
    filters: Filters
    start: int
    stop: int
    source: str
    others: tuple[Bars, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class TrialContext:
    """A task with its history, features and labels computed once for all trials."""

    task: SearchTask
    space: Space
    objective: Objective
    begin: int
    history: History
    code: str
    cache: Path | None
    _contents: dict[Refit, str] = field(default_factory=dict)

    @staticmethod
    def of(
        task: SearchTask, space: Space, objective: Objective, cache: Path | None, warm: Sequence[Params] = ()
    ) -> TrialContext:
        """Raises DataError where the bars begin after the training of the longest look-back does."""
        longest = max([LONGEST_LOOK_BACK_DAYS, *(params.look_back_days for params in warm)])
        widest = task.base.model_copy(update={"look_back_days": longest})
        first = refit_of(widest, 0, task.start)
        require_history(task.bars, first, widest, task.source)
        history = History.of(task.forecaster, task.bars, task.base, first.train_from, task.stop, task.others)
        return TrialContext(
            task, space, objective, first.train_from, history, code_hash(task.forecaster), cache
        )

    @property
    def windows(self) -> int:
        """How many a trial runs to its end; they are the same hours for every look-back."""
        return len(refits(self.task.base, self.task.start, self.task.stop))

    def window(self, plan: TrialPlan, k: int) -> Refit:
        """The window k of a trial."""
        return refit_of(plan.params, k, self.task.start)

    def served_until(self, window: Refit) -> int:
        """The hour after the last that a window serves, UTC ms."""
        return min(window.serve_until, self.task.stop)

    def bars_identity(self) -> dict[str, Any]:
        """What must be equal for a study to go on, of the bars."""
        used = self.task.bars.span(anchor_of(self.begin), self.task.stop + HOUR_MS)
        beside = {it.symbol: data_hash(it) for it in self.history.others}
        said = {"data": data_hash(used), "symbol": self.task.bars.symbol}
        return {**({"others": beside} if beside else {}), **said}

    def filters_identity(self) -> dict[str, Any]:
        """Of the symbol."""
        return self.task.filters.as_json()

    def key(self, plan: TrialPlan, window: Refit) -> str:
        """The hash of all that a fit's predictions follow from. Raises DataError where it cannot be trained."""
        # Trials of one look-back share their windows, and thousands of hours are hashed once.
        known = self._contents.get(window)
        if known is None:
            known = self._contents[window] = content_hash(self._seen(plan, window))
        return fold_key(known, plan.params, plan.stages, self.code)

    def _seen(self, plan: TrialPlan, window: Refit) -> tuple[Array, ...]:
        """Every array that a fit is trained on or predicts: they follow from the window, since all trials have the features, the
        horizon and the label of the task."""
        panel, y = self.history.training(window, plan.params)
        seen = self.history.seen_by(window.train_until, window.serve_from, self.served_until(window))
        if panel.X:
            # Among rows of several symbols it matters whose hours are predicted.
            place = np.array([panel.symbols.index(seen.symbols[0])]) if len(panel.symbols) > 1 else None
            whose = () if place is None else (place,)
            return (*usable_rows(panel, y, window.train_until), seen.X[0], *whose)
        return tuple(column for it in (*panel.bars, *seen.bars) for column in _series(it))


def _series(bars: Bars) -> tuple[Array, ...]:
    """What a family that reads the series can see."""
    return bars.close_time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.flagged
