"""Walk forward: per window fit and predict, joined out-of-fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import islice

import numpy as np

from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import (
    Arrays,
    Executor,
    Settings,
    SharedArrays,
    Task,
    reference_of,
    resolved,
    task_function,
)
from trader.core.features import features, preset_named
from trader.core.model import TrainingSet, labels_between, predict_defined, select
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, Matrix, Progress
from trader.core.windows import Refit, refits, require_history


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One window and its rows of all features (n, k) float32 and labels (n,): those that it trains on, those that it
    serves, and the newest that it trains on, to score in sample."""

    window: Refit
    source: str
    features: Matrix
    labels: Floats
    train: slice
    serve: slice
    seen: slice

    @property
    def training(self) -> TrainingSet:
        """The usable rows to train on. Raises DataError where they hold fewer than two, or one outcome only."""
        return select(self.features[self.train], self.labels[self.train], self.window, self.source)

    @property
    def served(self) -> Matrix:
        """X of the hours served."""
        return self.features[self.serve]

    @property
    def newest(self) -> Matrix:
        """X of the newest hours trained on."""
        return self.features[self.seen]


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
    """The windows that serve start <= T < stop, features computed once for all of them; hours seen only if `in_sample`.

    Labels of a window's training rows look at most at the bar that closed `gap` before it serves. Raises DataError
    where the bars begin later than the first window's training, or a window cannot be trained on.
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
        serve = slice(row(window.serve_from), row(min(window.serve_until, stop)))
        seen = slice(row(_seen_from(window, params)), train.stop) if in_sample else slice(0, 0)
        result.append(Fold(window, source, X, y, train, serve, seen))
        _ = result[-1].training  # before the first fit, not in the middle of the walk
    return result


def _seen_from(window: Refit, params: Params) -> int:
    """The newest step of a training span, or all of it where it is shorter."""
    return max(window.train_from, window.train_until + HOUR_MS - params.step_days * DAY_MS)


@task_function
def fit_and_predict(arrays: Arrays, settings: Settings) -> bytes:
    """P(up) of a fold's served hours, then of the newest hours that it was trained on: float32, NaN where a feature is
    undefined."""
    slices = {name: slice(*settings[name]) for name in ("train", "serve", "seen")}
    fold = Fold(Refit(*settings["window"]), settings["source"], arrays["X"], arrays["y"], **slices)
    params = Params.model_validate_json(settings["params"])
    forecaster: Forecaster = resolved(settings["forecaster"])()
    chosen = fold.training
    model = forecaster.fitted(chosen.X, chosen.y, params)
    return predict_defined(model, fold.served).tobytes() + predict_defined(model, fold.newest).tobytes()


def _tasks(forecaster: Forecaster, todo: list[Fold], *variants: Params) -> Iterator[Task]:
    """One a fold, for one variant of the parameters after the other. Threads do, since XGBoost lets go of the
    interpreter while it works: they share the bars and its one import, where a process would begin with a second of
    both."""
    shared = SharedArrays({"X": todo[0].features, "y": todo[0].labels})
    for params in variants:
        for fold in todo:
            yield _task(forecaster, fold, shared, params)


def _task(forecaster: Forecaster, fold: Fold, shared: SharedArrays, params: Params) -> Task:
    rows = {name: getattr(fold, name) for name in ("train", "serve", "seen")}
    settings = {
        "forecaster": reference_of(type(forecaster)),
        "params": params.model_dump_json(),
        "source": fold.source,
        "window": list(astuple(fold.window)),
        **{name: [part.start, part.stop] for name, part in rows.items()},
    }
    label = f"window {fold.window.k}, seed {params.seed}"
    return Task(fit_and_predict, settings, shared, placement="thread", label=label)


def walk(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    *,
    source: str,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Walk:
    """P(up) of every hour start <= T < stop, each by the model that served it, and in sample beside it.

    The executor changes the time and nothing else: every fit is one thread with one seed. `progress(done, of)` is
    called after each window.
    """
    todo = folds(bars, params, start, stop, source, in_sample=True)
    served: list[Matrix] = []
    seen_from = _seen_from(todo[0].window, params)
    hours_seen = (todo[-1].window.train_until - seen_from) // HOUR_MS + 1
    p_seen = np.full(hours_seen, np.nan, np.float32)
    results = in_order(executor or InProcess(), _tasks(forecaster, todo, params))
    for fold, part in zip(todo, results, strict=True):
        both = np.frombuffer(part, np.float32)
        count = fold.serve.stop - fold.serve.start
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
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """The out-of-sample half of `walk`, and no more work than that: P(up) of start <= T < stop, (n,) float32."""
    todo = folds(bars, params, start, stop, source)
    served: list[Matrix] = []
    for part in in_order(executor or InProcess(), _tasks(forecaster, todo, params)):
        served.append(np.frombuffer(part, np.float32))
        if progress:
            progress(len(served), len(todo))
    return np.concatenate(served)


def walks_by_seed(
    forecaster: Forecaster,
    bars: Bars,
    params: Params,
    start: int,
    stop: int,
    seeds: Iterable[int],
    *,
    source: str,
    executor: Executor | None = None,
) -> Iterator[Matrix]:
    """`walk_forward` with each of these random seeds in place of the parameters' own, in their order. All windows of all
    seeds are given to the executor at once."""
    todo = folds(bars, params, start, stop, source)
    seeded = [params.model_copy(update={"seed": seed}) for seed in seeds]
    results = in_order(executor or InProcess(), _tasks(forecaster, todo, *seeded))
    while parts := [np.frombuffer(part, np.float32) for part in islice(results, len(todo))]:
        yield np.concatenate(parts)
