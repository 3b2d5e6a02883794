"""A study: Optuna over the reference's space, every trial a whole walk-forward with costs.

Trials are asked for in batches and told in order, so the same seed and batch size give the same study whatever the
number of workers. No trade has Sharpe 0 and may win.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from backtest.simulate import Run, simulate
from backtest.walkforward import walk_forward
from trader.core.errors import ConfigError
from trader.core.features import Matrix
from trader.core.hours import Rules
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster
from trader.core.summary import net_sharpe
from trader.core.types import Bars, Filters

STARTUP_TRIALS = 8
LONGEST_LOOK_BACK_DAYS = 180
# What a bot's own search trades over: the most recent half year.
STUDY_DAYS = 180

Progress = Callable[[int, int, float], None]


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
class Trial:
    """One configuration that was looked at, in-sample: value is the annualised net Sharpe ratio."""

    number: int
    value: float
    params: Params
    net_return: float
    orders: int


@dataclass(frozen=True, slots=True)
class Study:
    """All trials in the order of their numbers."""

    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The trial of the highest value; the earlier one of equals."""
        return max(self.trials, key=lambda trial: (trial.value, -trial.number))


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The reference's space, and where in the distribution of the out-of-fold P(up) to enter and to leave."""
    return {
        "n_estimators": trial.suggest_int("n_estimators", 350, 1000),
        "max_depth": trial.suggest_int("max_depth", 3, 10),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.10),
        "subsample": trial.suggest_float("subsample", 0.5, 0.9),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.5, 0.9),
        "gamma": trial.suggest_int("gamma", 0, 20),
        "look_back_days": trial.suggest_int("look_back_days", 30, LONGEST_LOOK_BACK_DAYS),
        "enter_quantile": trial.suggest_float("enter_quantile", 0.5, 0.99),
        "exit_quantile": trial.suggest_float("exit_quantile", 0.01, 0.5),
    }


def with_thresholds(params: Params, p_up: Matrix, enter_quantile: float, exit_quantile: float) -> Params:
    """Params whose edges lie at quantiles of the out-of-fold P(up), the entry never below a half."""
    known = p_up[~np.isnan(p_up)].astype(np.float64)
    if not len(known):
        return params
    enter = min(max(float(np.quantile(known, enter_quantile)) - 0.5, 0.0), 0.49)
    leave = min(max(0.5 - float(np.quantile(known, exit_quantile)), -enter), 0.49)
    return params_of(
        {**params.as_json(), "enter_edge": round(enter, 6), "exit_edge": round(leave, 6)}, "a trial"
    )


def evaluate(task: Task, chosen: dict[str, Any]) -> tuple[Params, Run]:
    """Walk forward with a suggestion's trees, then trade at its thresholds."""
    trees = {key: chosen[key] for key in ("n_estimators", "max_depth", "learning_rate", "subsample", "gamma")}
    trees["colsample_bytree"] = chosen["colsample_bytree"]
    values = {**task.base.as_json(), "xgboost": trees, "look_back_days": chosen["look_back_days"]}
    params = params_of(values, "a trial")
    p_up = walk_forward(task.forecaster, task.bars, params, task.start, task.stop, source=task.source)
    params = with_thresholds(params, p_up, chosen["enter_quantile"], chosen["exit_quantile"])
    return params, simulate(task.bars, p_up, Rules(params, task.filters), task.start, task.stop)


def tune(
    task: Task, *, trials: int, seed: int, workers: int = 1, batch: int = 4, progress: Progress | None = None
) -> Study:
    """Run a study. `progress(done, of, best value)` is called after each trial, in the order of their numbers."""
    if trials < 1 or batch < 1:
        raise ConfigError(
            f"a study needs at least one trial and a batch of at least one, not {trials} and {batch}"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    done: list[Trial] = []
    with _mapper(task, workers) as run_all:
        while len(done) < trials:
            asked = [study.ask() for _ in range(min(batch, trials - len(done)))]
            for trial, result in zip(asked, run_all([suggest(trial) for trial in asked]), strict=True):
                value, params, net_return, orders = result
                study.tell(trial, value)
                done.append(Trial(trial.number, value, params, net_return, orders))
                if progress:
                    progress(len(done), trials, max(t.value for t in done))
    return Study(done)


Result = tuple[float, Params, float, int]
_task: Task | None = None  # a worker's own copy, set once when it starts


@contextmanager
def _mapper(task: Task, workers: int) -> Iterator[Callable[[list[dict[str, Any]]], Iterator[Result]]]:
    if workers <= 1:
        yield lambda suggestions: (_result(task, chosen) for chosen in suggestions)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(task,)) as pool:
        yield lambda suggestions: pool.map(_work, suggestions)


def _begin(task: Task) -> None:
    global _task  # the one way to hand a worker its data once instead of with every trial
    _task = task


def _work(chosen: dict[str, Any]) -> Result:
    if _task is None:
        raise RuntimeError("a worker was asked for a trial before it was given its task")
    return _result(_task, chosen)


def _result(task: Task, chosen: dict[str, Any]) -> Result:
    params, run = evaluate(task, chosen)
    allocation = float(params.allocation_usdt)
    net_return = float(run.equity[-1]) / allocation - 1
    return net_sharpe(run.equity, params.allocation_usdt), params, net_return, run.state.ledger.orders
