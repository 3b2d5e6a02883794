"""Walk forward: per window fit and predict, joined out-of-fold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from trader.core.features import features, preset_named
from trader.core.model import labels_between, predict_defined, select
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, Matrix, Progress
from trader.core.windows import Refit, refits, require_history


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One window's rows: to train on, to predict, and the newest that it trains on, to score in sample."""

    window: Refit
    X: Matrix
    y: Floats
    X_serve: Matrix
    X_seen: Matrix


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
    bars: Bars, params: Params, start: int, stop: int, source: str, *, in_sample: bool = False
) -> list[Fold]:
    """The windows that serve start <= T < stop, features computed once for all of them; X_seen only if `in_sample`.

    Labels of a window's training rows look at most at the bar that closed `gap` before it serves. Raises DataError
    where the bars begin later than the first window's training.
    """
    windows = refits(params, start, stop)
    require_history(bars, windows[0], params, source)
    begin = windows[0].train_from
    X = features(bars, preset_named(params.features), begin, stop)
    y = labels_between(bars, params, begin, stop)

    def row(close_time: int) -> int:
        return (close_time - begin) // HOUR_MS

    result = []
    for window in windows:
        train = slice(row(window.train_from), row(window.train_until) + 1)
        chosen = select(X[train], y[train], window, source)
        serve = X[row(window.serve_from) : row(min(window.serve_until, stop))]
        seen = X[row(_seen_from(window, params)) : train.stop] if in_sample else X[:0]
        result.append(Fold(window, chosen.X, chosen.y, serve, seen))
    return result


def _seen_from(window: Refit, params: Params) -> int:
    """The newest step of a training span, or all of it where it is shorter."""
    return max(window.train_from, window.train_until + HOUR_MS - params.step_days * DAY_MS)


def fit_and_predict(forecaster: Forecaster, fold: Fold, params: Params) -> tuple[Matrix, Matrix]:
    """P(up) of a fold's served hours and of the newest hours that it was trained on, NaN where a feature is undefined."""
    model = forecaster.fitted(fold.X, fold.y, params)
    return predict_defined(model, fold.X_serve), predict_defined(model, fold.X_seen)


def walk(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    *,
    source: str,
    workers: int = 1,
    progress: Progress | None = None,
) -> Walk:
    """P(up) of every hour start <= T < stop, each by the model that served it, and in sample beside it.

    `workers` changes the time and nothing else: every fit is one thread with one seed. `progress(done, of)` is
    called after each window.
    """
    todo = folds(bars, params, start, stop, source, in_sample=True)
    served: list[Matrix] = []
    seen_from = _seen_from(todo[0].window, params)
    hours_seen = (todo[-1].window.train_until - seen_from) // HOUR_MS + 1
    p_seen = np.full(hours_seen, np.nan, np.float32)
    for fold, (p_up, p_own) in zip(todo, _parts(forecaster, todo, params, workers), strict=True):
        served.append(p_up)
        after = (fold.window.train_until - seen_from) // HOUR_MS + 1
        p_seen[after - len(p_own) : after] = p_own
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
    workers: int = 1,
    progress: Progress | None = None,
) -> Matrix:
    """The out-of-sample half of `walk`, and no more work than that: P(up) of start <= T < stop, (n,) float32."""
    todo = folds(bars, params, start, stop, source)
    served: list[Matrix] = []
    for p_up, _ in _parts(forecaster, todo, params, workers):
        served.append(p_up)
        if progress:
            progress(len(served), len(todo))
    return np.concatenate(served)


def _parts(
    forecaster: Forecaster, todo: list[Fold], params: Params, workers: int
) -> Iterator[tuple[Matrix, Matrix]]:
    """In the order of the folds. Threads, since XGBoost lets go of the interpreter while it works: they share the bars
    and its one import, where a process would begin with a second of both."""
    if workers <= 1 or len(todo) == 1:
        for fold in todo:
            yield fit_and_predict(forecaster, fold, params)
        return
    pool = ThreadPoolExecutor(min(workers, len(todo)))
    try:
        waiting: list[Future[tuple[Matrix, Matrix]]] = [
            pool.submit(fit_and_predict, forecaster, fold, params) for fold in todo
        ]
        for part in waiting:
            yield part.result()
    finally:
        pool.shutdown(cancel_futures=True)
