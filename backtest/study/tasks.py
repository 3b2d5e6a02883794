"""A study's tasks as pure functions, and how their results are written: fit a window, score the hours so far, finish a
trial. They know nothing of Optuna.

Every fit is one thread, so that a core is a process; which process does what changes no byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.executors.packing import packed, unpacked
from backtest.executors.protocol import (
    Arrays,
    Placement,
    Settings,
    SharedArrays,
    Task,
    task_function,
)
from backtest.study.space import Plan, Space
from backtest.study.sweep import Looked, Market, Result, Verdict, finish, judge
from backtest.study.work import Workshop
from trader.core.families import own_family
from trader.core.params import Params
from trader.core.types import REQUIRED_COLUMNS, Bars, Filters, Matrix
from trader.core.windows import Refit


@task_function
def fit_window(arrays: Arrays, settings: Settings) -> bytes:
    """P(up) of a window's hours by each number of stages of one fit: (numbers, hours) float32, NaN where nothing can be
    said. Raises DataError for a window that cannot be trained on."""
    history, plan, window = History.of_arrays(arrays, settings), _plan(settings), Refit(*settings["window"])
    model = history.fit(window, plan.params)
    hours = window.serve_from, settings["serve_until"]
    return history.predict_stages(model, window.train_until, *hours, plan.stages).tobytes()


def predictions_of(result: bytes, plan: Plan) -> Matrix:
    """What `fit_window` gave."""
    return np.frombuffer(result, np.float32).reshape(len(plan.stages), -1)


@task_function
def score(arrays: Arrays, settings: Settings) -> bytes:
    """Every configuration over the windows so far."""
    verdict = judge(_market(arrays, settings), _plan(settings), Space(**settings["space"]), arrays["p_up"])
    return packed(_of_verdict(verdict), {})


def verdict_of(result: bytes) -> Verdict:
    """What `score` gave."""
    head, _ = unpacked(result)
    return _verdict(head)


@task_function
def finish_trial(arrays: Arrays, settings: Settings) -> bytes:
    """The same over all windows, and the best one traded exactly."""
    market, plan = _market(arrays, settings), _plan(settings)
    verdict = judge(market, plan, Space(**settings["space"]), arrays["p_up"])
    done = finish(market, plan, verdict, arrays["p_up"])
    head = {**_of_verdict(verdict), "params": done.params.model_dump_json()}
    for name in _FIGURES:
        head[name] = getattr(done, name)
    return packed(head, {"returns": done.returns})


_FIGURES = ("value", "traded_value", "net_return", "orders")


def finished_of(result: bytes) -> tuple[Verdict, Result]:
    """What `finish_trial` gave."""
    head, arrays = unpacked(result)
    figures = {name: head[name] for name in _FIGURES}
    params = Params.model_validate_json(head["params"])
    return _verdict(head), Result(**figures, params=params, returns=arrays["returns"])


@dataclass(frozen=True, slots=True, eq=False)
class StudyTasks:
    """The tasks of one study. What windows are fitted on and what trials are traded on is shared."""

    shop: Workshop
    rows: SharedArrays
    market: SharedArrays

    @staticmethod
    def of(shop: Workshop) -> StudyTasks:
        """Of what a study's trials are evaluated on."""
        bars = shop.task.bars
        traded = {name: getattr(bars, name) for name in ("close_time", "flagged", *REQUIRED_COLUMNS)}
        return StudyTasks(shop, SharedArrays(shop.history.arrays()), SharedArrays(traded))

    def fit(self, plan: Plan, k: int) -> Task:
        """Raises DataError for a window that cannot be trained on."""
        window = self.shop.window(plan, k)
        settings = {
            **_of_plan(plan),
            **self.shop.history.settings(),
            "window": window.numbers(),
            "serve_until": self.shop.served_until(window),
        }
        key, label = self.shop.key(plan, window), f"window {k} of trial {plan.number}"
        return Task(fit_window, settings, self.rows, placement=self._placement, known_key=key, label=label)

    @property
    def _placement(self) -> Placement:
        """A worker process imports what its task names, and a user's own file is no module that can be imported: its families
        are fitted on threads of this process, which has run the file."""
        return "process" if own_family(self.shop.task.forecaster.family) is None else "thread"

    def score(self, plan: Plan, parts: Sequence[Matrix]) -> Task:
        """Over the windows so far: `fit`'s results, in their order."""
        return self._traded(Task(score, {}, self.market, label=f"scores of trial {plan.number}"), plan, parts)

    def finish(self, plan: Plan, parts: Sequence[Matrix]) -> Task:
        """Over all windows."""
        return self._traded(
            Task(finish_trial, {}, self.market, label=f"end of trial {plan.number}"), plan, parts
        )

    def _traded(self, task: Task, plan: Plan, parts: Sequence[Matrix]) -> Task:
        settings = {
            **_of_plan(plan),
            "space": self.shop.space.as_json(),
            "symbol": self.shop.task.bars.symbol,
            "filters": {name: _text(value) for name, value in asdict(self.shop.task.filters).items()},
            "start": self.shop.task.start,
            "objective": self.shop.objective,
        }
        p_up = {"p_up": np.concatenate(parts, axis=1)}
        return replace(task, settings=settings, arrays=p_up, placement="caller")


def _market(arrays: Arrays, settings: Settings) -> Market:
    columns = {name: arrays[name] for name in ("close_time", "flagged", *REQUIRED_COLUMNS)}
    filters = {name: None if text is None else Decimal(text) for name, text in settings["filters"].items()}
    bars = Bars(settings["symbol"], **columns)
    return Market(bars, Filters(**filters), settings["start"], settings["objective"])  # type: ignore[arg-type]  # None is max_qty's alone


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _of_plan(plan: Plan) -> dict[str, Any]:
    exactly = None if plan.exactly is None else plan.exactly.model_dump_json()
    return {
        "number": plan.number,
        "params": plan.params.model_dump_json(),
        "stages": list(plan.stages),
        "exactly": exactly,
    }


def _plan(settings: Settings) -> Plan:
    exactly = None if settings["exactly"] is None else Params.model_validate_json(settings["exactly"])
    params = Params.model_validate_json(settings["params"])
    return Plan(settings["number"], params, tuple(settings["stages"]), exactly)


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    looked = [[it.stages, it.enter_edge, it.exit_edge, it.value, it.sharpe] for it in verdict.looked]
    return {
        "candidates": looked,
        "best": next(i for i, it in enumerate(verdict.looked) if it is verdict.best),
    }


def _verdict(head: dict[str, Any]) -> Verdict:
    looked = [Looked(*row) for row in head["candidates"]]
    return Verdict(looked, looked[head["best"]])
