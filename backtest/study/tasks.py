"""A study's tasks as pure functions, and how their results are written: fit a window, score the hours so far, finish a
trial. They know nothing of Optuna.

Every fit is one thread, so that a core is a process; which process does what changes no byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.executors.packing import packed, unpacked
from backtest.executors.protocol import (
    Arrays,
    Placement,
    SharedArrays,
    Task,
    TaskSettings,
    task_function,
)
from backtest.study.space import Space, TrialPlan
from backtest.study.sweep import CandidateScore, RungScore, SweepMarket, TrialResult, finish, judge
from backtest.study.trial_context import TrialContext
from trader.core.families import own_family
from trader.core.long_training import LearnsInEpochs
from trader.core.params import Params
from trader.core.types import REQUIRED_COLUMNS, Bars, Filters, Matrix
from trader.core.windows import Refit


@task_function
def fit_window(arrays: Arrays, settings: TaskSettings) -> bytes:
    """P(up) of a window's hours by each number of stages of one fit: (numbers, hours) float32, NaN where nothing can be
    said. Raises DataError for a window that cannot be trained on."""
    history, plan, window = History.of_arrays(arrays, settings), plan_in(settings), Refit(*settings["window"])
    model = history.fit(window, plan.params)
    hours = window.serve_from, settings["serve_until"]
    return history.predict_stages(model, window.train_until, *hours, plan.stages).tobytes()


def predictions_of(result: bytes, plan: TrialPlan) -> Matrix:
    """What `fit_window` gave."""
    return np.frombuffer(result, np.float32).reshape(len(plan.stages), -1)


@task_function
def learn_window(arrays: Arrays, settings: TaskSettings) -> bytes:
    """A window's training up to an epoch, from `state` where there is one; after its last epoch also P(up) of the window's hours.
    Raises DataError for a window that cannot be trained on."""
    history, plan, window = History.of_arrays(arrays, settings), plan_in(settings), Refit(*settings["window"])
    state = arrays["state"].tobytes() if "state" in arrays else b""
    learnt = history.learn(window, plan.params, settings["epochs"], state)
    told = {"epochs": learnt.epochs, "loss": learnt.loss}
    if not settings["serve_until"]:
        return packed(told, {"state": np.frombuffer(learnt.state, np.uint8)})
    model = history.forecaster.load(learnt.model, f"a {history.forecaster.family} model")
    hours = window.serve_from, settings["serve_until"]
    return packed(told, {"p_up": history.predict_stages(model, window.train_until, *hours, plan.stages)})


@dataclass(frozen=True, slots=True, eq=False)
class WindowLearnt:
    """What `learn_window` gave. epochs: how many it went through. loss: on hours held back. p_up: (numbers of stages, hours)
    float32 of a training that has ended, else None. state: from which one that has not goes on."""

    epochs: int
    loss: float
    p_up: Matrix | None = None
    state: bytes = b""

    @staticmethod
    def of(result: bytes) -> WindowLearnt:
        """From a task's result."""
        told, arrays = unpacked(result)
        state = arrays["state"].tobytes() if "state" in arrays else b""
        return WindowLearnt(told["epochs"], told["loss"], arrays.get("p_up"), state)


@task_function
def score(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Every configuration over the windows so far."""
    verdict = judge(_market(arrays, settings), plan_in(settings), Space(**settings["space"]), arrays["p_up"])
    return packed(head_of_verdict(verdict), {})


def verdict_of(result: bytes) -> RungScore:
    """What `score` gave."""
    head, _ = unpacked(result)
    return _verdict(head)


@task_function
def finish_trial(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The same over all windows, and the best one traded exactly."""
    market, plan = _market(arrays, settings), plan_in(settings)
    verdict = judge(market, plan, Space(**settings["space"]), arrays["p_up"])
    done = finish(market, plan, verdict, arrays["p_up"])
    return packed({**head_of_verdict(verdict), **head_of_result(done)}, {"returns": done.returns})


_FIGURES = ("value", "traded_value", "net_return", "orders")


def finished_of(result: bytes) -> tuple[RungScore, TrialResult]:
    """What `finish_trial` gave."""
    head, arrays = unpacked(result)
    figures = {name: head[name] for name in _FIGURES}
    params = Params.model_validate_json(head["params"])
    return _verdict(head), TrialResult(**figures, params=params, returns=arrays["returns"])


@dataclass(frozen=True, slots=True, eq=False)
class StudyTasks:
    """The tasks of one study. What windows are fitted on and what trials are traded on is shared."""

    context: TrialContext
    rows: SharedArrays
    market: SharedArrays

    @staticmethod
    def of(context: TrialContext) -> StudyTasks:
        """Of what a study's trials are evaluated on."""
        bars = context.task.bars
        traded = {name: getattr(bars, name) for name in ("close_time", "flagged", *REQUIRED_COLUMNS)}
        return StudyTasks(context, SharedArrays(context.history.arrays()), SharedArrays(traded))

    def fit(self, plan: TrialPlan, k: int) -> Task:
        """Raises DataError for a window that cannot be trained on."""
        window = self.context.window(plan, k)
        settings = {
            **said_of_plan(plan),
            **self.context.history.settings(),
            "window": window.numbers(),
            "serve_until": self.context.served_until(window),
        }
        key, label = self.context.key(plan, window), f"window {k} of trial {plan.number}"
        return Task(fit_window, settings, self.rows, placement=self._placement, known_key=key, label=label)

    def learn(self, plan: TrialPlan, k: int, epochs: int, state: bytes, *, last: bool) -> Task:
        """Window k's training up to an epoch, with `last` to the last of the trial's own parameters; the result does not depend
        on where it goes on from. Raises DataError for a window that cannot be trained on."""
        window, forecaster = self.context.window(plan, k), self.context.task.forecaster
        most = (
            forecaster.most_epochs(plan.params) if last and isinstance(forecaster, LearnsInEpochs) else epochs
        )
        settings = {
            **said_of_plan(plan),
            **self.context.history.settings(),
            "window": window.numbers(),
            "epochs": most,
            "serve_until": self.context.served_until(window) if last else 0,
        }
        return Task(
            learn_window,
            settings,
            self.rows,
            {"state": np.frombuffer(state, np.uint8)} if state else {},
            placement=self._placement,
            known_key=epochs_key(self.context.key(plan, window), epochs),
            label=f"window {k} of trial {plan.number} to epoch {epochs}",
        )

    @property
    def _placement(self) -> Placement:
        """A worker process imports what its task names, and a user's own file is no module that can be imported: its families
        are fitted on threads of this process, which has run the file."""
        return "process" if own_family(self.context.task.forecaster.family) is None else "thread"

    def score(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Task:
        """Over the windows so far: `fit`'s results, in their order."""
        return self._traded(Task(score, {}, self.market, label=f"scores of trial {plan.number}"), plan, parts)

    def finish(self, plan: TrialPlan, parts: Sequence[Matrix]) -> Task:
        """Over all windows."""
        return self._traded(
            Task(finish_trial, {}, self.market, label=f"end of trial {plan.number}"), plan, parts
        )

    def _traded(self, task: Task, plan: TrialPlan, parts: Sequence[Matrix]) -> Task:
        settings = {
            **said_of_plan(plan),
            "space": self.context.space.as_json(),
            "symbol": self.context.task.bars.symbol,
            "filters": said_of_filters(self.context.task.filters),
            "start": self.context.task.start,
            "objective": self.context.objective,
        }
        p_up = {"p_up": np.concatenate(parts, axis=1)}
        return replace(task, settings=settings, arrays=p_up, placement="caller")


def epochs_key(fold: str, epochs: int) -> str:
    """The name of what a fold's training had learnt by an epoch."""
    return hashlib.sha256(f"{fold} to epoch {epochs}".encode()).hexdigest()


def _market(arrays: Arrays, settings: TaskSettings) -> SweepMarket:
    columns = {name: arrays[name] for name in ("close_time", "flagged", *REQUIRED_COLUMNS)}
    bars = Bars(settings["symbol"], **columns)
    return SweepMarket(bars, filters_in(settings["filters"]), settings["start"], settings["objective"])


def said_of_filters(filters: Filters) -> dict[str, str | None]:
    """As texts."""
    return {name: None if value is None else str(value) for name, value in asdict(filters).items()}


def filters_in(said: Mapping[str, str | None]) -> Filters:
    """From such texts."""
    filters = {name: None if text is None else Decimal(text) for name, text in said.items()}
    return Filters(**filters)  # type: ignore[arg-type]  # None is max_qty's alone


def said_of_plan(plan: TrialPlan) -> dict[str, Any]:
    """A trial as plain values, for a task's settings."""
    exactly = None if plan.exactly is None else plan.exactly.model_dump_json()
    return {
        "number": plan.number,
        "params": plan.params.model_dump_json(),
        "stages": list(plan.stages),
        "exactly": exactly,
    }


def plan_in(settings: TaskSettings) -> TrialPlan:
    """The trial in a task's settings."""
    exactly = None if settings["exactly"] is None else Params.model_validate_json(settings["exactly"])
    params = Params.model_validate_json(settings["params"])
    return TrialPlan(settings["number"], params, tuple(settings["stages"]), exactly)


def head_of_result(done: TrialResult) -> dict[str, Any]:
    """A trial's result as plain values, but for its returns."""
    return {
        "params": done.params.model_dump_json(),
        **{name: getattr(done, name) for name in _FIGURES},
    }


def head_of_verdict(verdict: RungScore) -> dict[str, Any]:
    """A verdict as plain values."""
    candidates = [[it.stages, it.enter_edge, it.exit_edge, it.value, it.sharpe] for it in verdict.candidates]
    return {
        "candidates": candidates,
        "best": next(i for i, it in enumerate(verdict.candidates) if it is verdict.best),
    }


def _verdict(head: dict[str, Any]) -> RungScore:
    candidates = [CandidateScore(*row) for row in head["candidates"]]
    return RungScore(candidates, candidates[head["best"]])
