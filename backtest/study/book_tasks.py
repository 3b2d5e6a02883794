"""The tasks of a book's study as pure functions: one fit on all symbols, the scores of the whole book, a trial's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.engine.pooled_walk import Pool
from backtest.executors.packing import packed
from backtest.executors.protocol import Arrays, SharedArrays, Task, TaskSettings, task_function
from backtest.study.book_context import BookContext
from backtest.study.book_sweep import BookMarket, finish_book, judge_book
from backtest.study.space import Space, TrialPlan
from backtest.study.tasks import (
    filters_in,
    head_of_result,
    head_of_verdict,
    plan_in,
    said_of_filters,
    said_of_plan,
)
from trader.core.book import BookRules
from trader.core.book_params import BookParams
from trader.core.types import REQUIRED_COLUMNS, Bars, Matrix
from trader.core.windows import Refit

_COLUMNS = ("close_time", "flagged", *REQUIRED_COLUMNS)


@task_function
def fit_window_of_all(arrays: Arrays, settings: TaskSettings) -> bytes:
    """P(up) of a window's hours of every symbol in `served`, one after the other, by each number of stages of one fit: (numbers,
    hours of all) float32. Raises DataError for a window that cannot be trained on."""
    history, plan, window = History.of_arrays(arrays, settings), plan_in(settings), Refit(*settings["window"])
    model = history.fit(window, plan.params)
    each = {it.panel.symbols[0]: it for it in history.of_each()}
    parts = [
        each[symbol].predict_stages(model, window.train_until, window.serve_from, until, plan.stages)
        for symbol, until in settings["served"]
    ]
    return np.concatenate(parts, axis=1).astype(np.float32).tobytes()


@task_function
def score_book(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Every configuration over the windows so far."""
    verdict = judge_book(
        _market(arrays, settings), plan_in(settings), Space(**settings["space"]), arrays["p_up"]
    )
    return packed(head_of_verdict(verdict), {})


@task_function
def finish_book_trial(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The same over all windows, and the best one traded exactly as a book."""
    market, plan = _market(arrays, settings), plan_in(settings)
    verdict = judge_book(market, plan, Space(**settings["space"]), arrays["p_up"])
    done = finish_book(market, plan, verdict, arrays["p_up"])
    return packed({**head_of_verdict(verdict), **head_of_result(done)}, {"returns": done.returns})


@dataclass(frozen=True, slots=True, eq=False)
class BookTasks:
    """The tasks of one study. What a pooled window is fitted on and what trials are traded on is shared."""

    context: BookContext
    rows: SharedArrays
    market: SharedArrays

    @staticmethod
    def of(context: BookContext) -> BookTasks:
        """Of what a study's trials are evaluated on."""
        traded = {
            f"{it.bars.symbol} {name}": getattr(it.bars.extended_to(context.task.stop), name)
            for it in context.task.symbols
            for name in _COLUMNS
        }
        rows = {} if context.pool is None else context.pool.history.arrays()
        return BookTasks(context, SharedArrays(rows), SharedArrays(traded))

    def fit(self, pool: Pool, plan: TrialPlan, k: int) -> Task:
        """Raises DataError for a window that cannot be trained on."""
        window = self.context.window(plan, k)
        settings = {**said_of_plan(plan), **pool.settings(window)}
        key, label = self.context.key(pool, plan, window), f"window {k} of trial {plan.number}"
        return Task(fit_window_of_all, settings, self.rows, known_key=key, label=label)

    def score(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Task:
        """Over the windows so far: (numbers of stages, symbols, hours) each, in their order."""
        return self._traded(score_book, plan, parts, f"scores of trial {plan.number}")

    def finish(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Task:
        """Over all windows."""
        return self._traded(finish_book_trial, plan, parts, f"end of trial {plan.number}")

    def _traded(self, function: Any, plan: TrialPlan, parts: Sequence[Matrix], label: str) -> Task:
        task = self.context.task
        settings = {
            **said_of_plan(plan),
            "space": self.context.space.as_json(),
            "symbols": [it.bars.symbol for it in task.symbols],
            "filters": [said_of_filters(it.filters) for it in task.symbols],
            "book": task.rules.params.model_dump_json(),
            "start": task.start,
            "objective": self.context.objective,
        }
        p_up = {"p_up": np.concatenate(parts, axis=2)}
        return Task(function, settings, self.market, p_up, placement="caller", label=label)


def _market(arrays: Arrays, settings: TaskSettings) -> BookMarket:
    bars = [
        Bars(symbol, **{name: arrays[f"{symbol} {name}"] for name in _COLUMNS})
        for symbol in settings["symbols"]
    ]
    rules = BookRules(BookParams.model_validate_json(settings["book"]), settings["start"])
    return BookMarket(bars, [filters_in(it) for it in settings["filters"]], rules, settings["objective"])
