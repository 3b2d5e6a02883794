"""Walk forward: per window fit and predict, joined out-of-fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import (
    Arrays,
    Executor,
    SharedArrays,
    Task,
    TaskSettings,
    task_function,
)
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import DAY_MS, HOUR_MS, Bars, Matrix, Progress
from trader.core.windows import Refit, refits, require_history


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One window of a history: the hours that its model serves, up to `serve_until`, and from `seen_from` on the newest
    that it is trained on, to score in sample."""

    history: History
    window: Refit
    serve_until: int
    seen_from: int


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """P(up) of consecutive hours, (n,) float32, NaN where a feature is undefined.

    p_up: of start <= T < stop, each hour by the model that served it: out of sample.
    p_seen: of seen_from <= T < seen_from + len(p_seen), each hour by a model that was trained on it: in sample. It
    is the newest step of every window's own training span, so it covers the same months one step earlier.
    """

    start: int
    p_up: Matrix
    seen_from: int
    p_seen: Matrix


def folds(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    source: str,
    *,
    others: Sequence[Bars] = (),
    in_sample: bool = False,
) -> list[Fold]:
    """The windows that serve start <= T < stop, features computed once for all of them; hours are scored in sample only
    if `in_sample`. others: bars of the further symbols that `train_symbols` names.

    Labels of a window's training rows look at most at the bar that closed `gap` before it serves. Raises DataError
    where the bars begin later than the first window's training, or another symbol's do not suit a fit.
    """
    windows = refits(params, start, stop)
    require_history(bars, windows[0], params, source)
    history = History.of(forecaster, bars, params, windows[0].train_from, stop, others)
    history.require_trainable(windows, params, source)
    result = []
    for window in windows:
        seen_from = _seen_from(window, params) if in_sample else window.train_until + HOUR_MS
        result.append(Fold(history, window, min(window.serve_until, stop), seen_from))
    return result


def _seen_from(window: Refit, params: Params) -> int:
    """The newest step of a training span, or all of it where it is shorter."""
    return max(window.train_from, window.train_until + HOUR_MS - params.step_days * DAY_MS)


@task_function
def fit_and_predict(arrays: Arrays, settings: TaskSettings) -> bytes:
    """P(up) of a fold's served hours, then of the newest hours that it was trained on: float32, NaN where nothing can be
    said."""
    history, window = History.of_arrays(arrays, settings), Refit(*settings["window"])
    params = _params(settings["params"])
    model = history.fit(window, params)
    served = history.predict(model, window.train_until, window.serve_from, settings["serve_until"])
    seen_from, seen_until = settings["seen_from"], window.train_until + HOUR_MS
    if seen_from >= seen_until:
        return served.tobytes()
    return served.tobytes() + history.predict(model, window.train_until, seen_from, seen_until).tobytes()


@lru_cache(maxsize=64)
def _params(text: str) -> Params:
    """The same for all windows of a walk."""
    return Params.model_validate_json(text)


def _tasks(todo: list[Fold], *variants: Params) -> Iterator[Task]:
    """One a fold, for one variant of the parameters after the other. Threads do, since the libraries let go of the
    interpreter while they work: they share the bars and one import, where a process would begin with a second of both."""
    shared = SharedArrays(todo[0].history.arrays())
    history = todo[0].history.settings()
    for params in variants:
        text = params.model_dump_json()
        for fold in todo:
            label = f"window {fold.window.k}, seed {params.seed}"
            settings = _settings(fold) | history | {"params": text}
            yield Task(fit_and_predict, settings, shared, placement="thread", label=label)


def _settings(fold: Fold) -> dict[str, Any]:
    return {
        "window": fold.window.numbers(),
        "serve_until": fold.serve_until,
        "seen_from": fold.seen_from,
    }


def walk(
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
) -> Walk:
    """P(up) of every hour start <= T < stop, each by the model that served it, and in sample beside it.

    The executor changes the time and nothing else: every fit is one thread with one seed. `progress(done, of)` is
    called after each window.
    """
    todo = folds(forecaster, bars, params, start, stop, source, others=others, in_sample=True)
    served: list[Matrix] = []
    seen_from = _seen_from(todo[0].window, params)
    hours_seen = (todo[-1].window.train_until - seen_from) // HOUR_MS + 1
    p_seen = np.full(hours_seen, np.nan, np.float32)
    results = in_order(executor or InProcess(), _tasks(todo, params))
    for fold, part in zip(todo, results, strict=True):
        both = np.frombuffer(part, np.float32)
        count = (fold.serve_until - fold.window.serve_from) // HOUR_MS
        served.append(both[:count])
        after = (fold.window.train_until - seen_from) // HOUR_MS + 1
        p_seen[after - len(both) + count : after] = both[count:]
        if progress:
            progress(len(served), len(todo))
    return Walk(start, np.concatenate(served), seen_from, p_seen)


def walk_forward(
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
) -> Matrix:
    """The out-of-sample half of `walk`, and no more work than that: P(up) of start <= T < stop, (n,) float32."""
    todo = folds(forecaster, bars, params, start, stop, source, others=others)
    served: list[Matrix] = []
    for part in in_order(executor or InProcess(), _tasks(todo, params)):
        served.append(np.frombuffer(part, np.float32))
        if progress:
            progress(len(served), len(todo))
    return np.concatenate(served)


@dataclass(frozen=True, slots=True, eq=False)
class SymbolToWalk:
    """What `walk_forward` of one symbol is given: the hours start <= T < stop, UTC ms. source: its file, for messages."""

    forecaster: Forecaster
    bars: Bars
    params: Params
    start: int
    stop: int
    source: str
    others: Sequence[Bars] = ()


def walks_by_symbol(
    symbols: Sequence[SymbolToWalk], executor: Executor | None = None, progress: Progress | None = None
) -> Iterator[Matrix]:
    """`walk_forward` of each symbol, in their order. All windows of all symbols are given to the executor at once."""
    windows = [len(refits(it.params, it.start, it.stop)) for it in symbols]
    results = in_order(executor or InProcess(), _tasks_of_all(symbols))
    done = 0
    for count in windows:
        served: list[Matrix] = []
        for part in islice(results, count):
            served.append(np.frombuffer(part, np.float32))
            done += 1
            if progress:
                progress(done, sum(windows))
        yield np.concatenate(served)


def _tasks_of_all(symbols: Sequence[SymbolToWalk]) -> Iterator[Task]:
    """A symbol's features are computed when the tasks of the one before have been given out."""
    for it in symbols:
        todo = folds(it.forecaster, it.bars, it.params, it.start, it.stop, it.source, others=it.others)
        yield from _tasks(todo, it.params)


def walks_by_seed(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    seeds: Iterable[int],
    *,
    source: str,
    others: Sequence[Bars] = (),
    executor: Executor | None = None,
) -> Iterator[Matrix]:
    """`walk_forward` with each of these random seeds in place of the parameters' own, in their order. All windows of all
    seeds are given to the executor at once."""
    todo = folds(forecaster, bars, params, start, stop, source, others=others)
    seeded = [params.model_copy(update={"seed": seed}) for seed in seeds]
    results = in_order(executor or InProcess(), _tasks(todo, *seeded))
    while parts := [np.frombuffer(part, np.float32) for part in islice(results, len(todo))]:
        yield np.concatenate(parts)
