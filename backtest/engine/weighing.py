"""What the model of the newest window looks at, for a family that says so: it is fitted once more, and asked about the newest of
the hours that it served."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from backtest.engine.history import History
from backtest.engine.walkforward import folds
from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import Arrays, Executor, SharedArrays, Task, TaskSettings, task_function
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import HOUR_MS, Bars
from trader.core.weights import Weights
from trader.core.windows import Refit

# A week: every hour of a day, and every day.
HOURS_WEIGHED = 168


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """weights: the mean over the hours start <= T < stop, UTC ms."""

    weights: Weights
    start: int
    stop: int


@task_function
def weigh_window(arrays: Arrays, settings: TaskSettings) -> bytes:
    """A window's model, fitted, and what it looked at in some of its hours. Raises DataError where it can say nothing of them."""
    history, window = History.of_arrays(arrays, settings), Refit(*settings["window"])
    model = history.fit(window, Params.model_validate_json(settings["params"]))
    found = history.weights(model, window.train_until, settings["start"], settings["stop"])
    return json.dumps({**asdict(found), "attention": found.attention.tolist()}).encode()


def weighed(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    *,
    source: str,
    others: Sequence[Bars] = (),
    executor: Executor | None = None,
) -> Weighed | None:
    """Of the window that serves the last of start <= T < stop (UTC ms); None for a family that does not say what it looks at.
    Raises DataError as `walk`, and where nothing can be said of any of the hours."""
    if not forecaster.traits.weighs:
        return None
    last = folds(forecaster, bars, params, start, stop, source, others=others)[-1]
    first = max(last.window.serve_from, last.serve_until - HOURS_WEIGHED * HOUR_MS)
    settings = {
        **last.history.settings(),
        "window": last.window.numbers(),
        "params": params.model_dump_json(),
        "start": first,
        "stop": last.serve_until,
    }
    shared = SharedArrays(last.history.arrays())
    task = Task(weigh_window, settings, shared, placement="thread", label="what the newest model looks at")
    (result,) = in_order(executor or InProcess(), [task])
    told = json.loads(result)
    weights = Weights(**{**told, "attention": np.array(told["attention"])})
    return Weighed(weights, first, last.serve_until)
