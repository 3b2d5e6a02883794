"""Walk forward: per window fit and predict, joined out-of-fold."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from trader.core.features import Matrix, features, preset_named
from trader.core.model import labels_between, predict_defined, select
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import HOUR_MS, Bars, Floats
from trader.core.windows import Refit, refits, require_history

# Starting a process and importing XGBoost in it costs about as much as this many small fits.
WINDOWS_WORTH_A_POOL = 6

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One window's rows: to train on, and to predict."""

    window: Refit
    X: Matrix
    y: Floats
    X_serve: Matrix


def folds(bars: Bars, params: Params, start: int, stop: int, source: str) -> list[Fold]:
    """The windows that serve start <= T < stop, features computed once for all of them.

    Labels of a window's training rows look at most at the bar that closed `gap` before it serves. Raises DataError
    where the bars begin later than the first window's training.
    """
    windows = refits(params, start, stop)
    require_history(bars, windows[0], params, source)
    begin = windows[0].train_from
    X = features(bars, preset_named(params.features), begin, stop)
    y = labels_between(bars, params.horizon_hours, begin, stop)

    def row(close_time: int) -> int:
        return (close_time - begin) // HOUR_MS

    result = []
    for window in windows:
        train = slice(row(window.train_from), row(window.train_until) + 1)
        chosen = select(X[train], y[train], window, source)
        serve = X[row(window.serve_from) : row(min(window.serve_until, stop))]
        result.append(Fold(window, chosen.X, chosen.y, serve))
    return result


def fit_and_predict(forecaster: Forecaster, fold: Fold, params: Params) -> Matrix:
    """P(up) of a fold's served hours: (n,) float32, NaN where a feature is undefined."""
    model = forecaster.fit(fold.X, fold.y, params)
    return predict_defined(forecaster.load(model, "a fresh model"), fold.X_serve)


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
    """P(up) of every hour start <= T < stop, each by the model that served it: (n,) float32.

    `workers` changes the time and nothing else: every fit is one thread with one seed. `progress(done, of)` is
    called after each window.
    """
    todo = folds(bars, params, start, stop, source)
    parts = []
    for part in _parts(forecaster, todo, params, workers):
        parts.append(part)
        if progress:
            progress(len(parts), len(todo))
    return np.concatenate(parts)


def _parts(forecaster: Forecaster, todo: list[Fold], params: Params, workers: int) -> Iterator[Matrix]:
    if workers <= 1 or len(todo) < WINDOWS_WORTH_A_POOL:
        for fold in todo:
            yield fit_and_predict(forecaster, fold, params)
        return
    # Spawned, not forked: the parent may hold threads (a progress bar, an OpenMP pool).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(todo)), mp_context=context) as pool:
        count = len(todo)
        yield from pool.map(fit_and_predict, [forecaster] * count, todo, [params] * count)
