"""Walk forward by distributions: what each window's model says 1, 2, ... hours ahead of every hour that it serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backtest.engine.history import History
from backtest.engine.walkforward import Fold, folds
from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import (
    Arrays,
    Executor,
    Placement,
    SharedArrays,
    Task,
    TaskSettings,
    task_function,
)
from trader.core.errors import ConfigError
from trader.core.families import own_family
from trader.core.forecast import LEVELS
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import HOUR_MS, Bars, Floats, Ints, Matrix, Progress
from trader.core.windows import Refit

_HOUR_BYTES = np.dtype(np.float32).itemsize
_STEP_BYTES = len(LEVELS) * np.dtype(np.float64).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class WindowForecast:
    """What the model of one window says. hours: (m,) UTC ms that it serves. p_up: (m,) float32. quantiles: (m, h, level)
    float64 of log(close[T + h] / close[T]); NaN where nothing can be said."""

    hours: Ints
    p_up: Matrix
    quantiles: Floats


def forecast_forward(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    *,
    source: str,
    others: Sequence[Bars] = (),
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Iterator[WindowForecast]:
    """The forecasts of start <= T < stop (UTC ms), out of sample, a window at a time.

    others: bars of the further symbols that `train_symbols` names. The executor changes the time and nothing else.
    `progress(done, of)` is called after each window. Raises ConfigError for a family that gives P(up) alone, DataError where
    the bars begin later than the first window's training.
    """
    todo = folds(forecaster, bars, params, start, stop, source, others=others)
    results = in_order(executor or InProcess(), _tasks(todo, params))
    for done, (fold, result) in enumerate(zip(todo, results, strict=True), start=1):
        yield _opened(fold, result)
        if progress:
            progress(done, len(todo))


@task_function
def fit_and_forecast(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The quantiles of a fold's served hours, float64, then their P(up), float32."""
    history, window = History.of_arrays(arrays, settings), Refit(*settings["window"])
    params = Params.model_validate_json(settings["params"])
    model = history.fit(window, params)
    told = history.forecast(model, window.train_until, window.serve_from, settings["serve_until"])
    if told.quantiles is None:
        raise ConfigError(p_up_alone(params.model.family))
    return told.quantiles.astype(np.float64).tobytes() + told.p_up.astype(np.float32).tobytes()


def p_up_alone(family: str) -> str:
    """The message about a family without a distribution."""
    return (
        f"family {family!r} gives P(up) alone, no distribution that could be shown or scored. Name a family that gives one, "
        f'such as {{"model": {{"family": "naive", "forecast_hours": 24}}}}; see: trader models families'
    )


def _tasks(todo: list[Fold], params: Params) -> Iterator[Task]:
    """One a fold. Processes compute them: a fit of a series is Python for the most part, which two threads cannot share. A
    user's own family is known to this process alone."""
    history = todo[0].history
    shared, text = SharedArrays(history.arrays()), params.model_dump_json()
    placement: Placement = "process" if own_family(history.forecaster.family) is None else "thread"
    for fold in todo:
        settings = {
            **history.settings(),
            "params": text,
            "window": fold.window.numbers(),
            "serve_until": fold.serve_until,
        }
        label = f"window {fold.window.k} of {params.model.family}"
        yield Task(fit_and_forecast, settings, shared, placement=placement, label=label)


def _opened(fold: Fold, result: bytes) -> WindowForecast:
    hours = np.arange(fold.window.serve_from, fold.serve_until, HOUR_MS, dtype=np.int64)
    steps = (len(result) // len(hours) - _HOUR_BYTES) // _STEP_BYTES
    count = len(hours) * steps * len(LEVELS)
    quantiles = np.frombuffer(result, np.float64, count).reshape(len(hours), steps, len(LEVELS))
    return WindowForecast(hours, np.frombuffer(result, np.float32, offset=quantiles.nbytes), quantiles)
