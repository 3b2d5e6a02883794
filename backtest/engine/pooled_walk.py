"""Walk a pooled book forward: of each window one fit on the rows of all symbols, then the hours of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.engine.history import History
from backtest.engine.walkforward import SymbolToWalk
from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import Arrays, Executor, SharedArrays, Task, TaskSettings, task_function
from trader.core.errors import DataError
from trader.core.features import features, preset_named
from trader.core.panel import Panel, on_grid
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.training import labels_between
from trader.core.types import HOUR_MS, Bars, Matrix, Progress
from trader.core.windows import Refit, refits, require_history


@task_function
def fit_once_predict_each(arrays: Arrays, settings: TaskSettings) -> bytes:
    """P(up) of a window's hours of every symbol in `served`, one after the other, by one fit: float32, NaN where nothing can be
    said."""
    history, window = History.of_arrays(arrays, settings), Refit(*settings["window"])
    model = history.fit(window, Params.model_validate_json(settings["params"]))
    each = {it.panel.symbols[0]: it for it in history.of_each()}
    parts = [
        each[symbol].predict(model, window.train_until, window.serve_from, until)
        for symbol, until in settings["served"]
    ]
    return np.concatenate(parts).astype(np.float32).tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The symbols of a pooled book. history: what every window is fitted on. stops: the hour after the last
    that is predicted, UTC ms, by symbol. start: the first hour."""

    history: History
    params: Params
    start: int
    stops: Mapping[str, int]

    @staticmethod
    def of(
        forecaster: Forecaster,
        params: Params,
        series: Sequence[Bars],
        start: int,
        stops: Mapping[str, int],
        source: str,
        longest: Params | None = None,
    ) -> Pool:
        """Features and labels of all symbols, computed once for every window. longest: parameters of the longest look-back, where
        windows of several are fitted. Raises DataError unless the bars of one symbol reach over the first window."""
        widest = params if longest is None else longest
        first = refits(widest, start, max(stops.values()))[0]
        oldest = min(series, key=lambda it: it.first)
        require_history(oldest, first, widest, source)
        stop = max(stops.values())
        history = _history(forecaster, params, series, first.train_from, stop)
        return Pool(history, params, start, stops)

    @property
    def windows(self) -> list[Refit]:
        """Every refit of the book, by the calendar."""
        return refits(self.params, self.start, max(self.stops.values()))

    def served(self, window: Refit) -> list[tuple[str, int]]:
        """The symbols that have hours in a window, and the hour after the last of them."""
        ends = ((it, min(window.serve_until, stop)) for it, stop in sorted(self.stops.items()))
        return [(symbol, until) for symbol, until in ends if until > window.serve_from]

    def require_trainable(self, source: str) -> None:
        """Raises DataError where a window has too few rows, or none of a symbol that it serves."""
        self.history.require_trainable(self.windows, self.params, source)
        for window in self.windows:
            panel, _ = self.history.training(window, self.params)
            if unseen := [it for it, _ in self.served(window) if it not in panel.symbols]:
                raise DataError(f"{source}: the fit of window {window.k} does not see {', '.join(unseen)}")

    def tasks(self, seeds: Sequence[int]) -> Iterator[Task]:
        """One a window, for one random seed of the model after the other."""
        shared, windows = SharedArrays(self.history.arrays()), self.windows
        for seed in seeds:
            text = self.params.model_copy(update={"seed": seed}).model_dump_json()
            for window in windows:
                settings = {**self.settings(window), "params": text}
                label = f"window {window.k}, seed {seed}"
                yield Task(fit_once_predict_each, settings, shared, placement="thread", label=label)

    def settings(self, window: Refit) -> dict[str, Any]:
        """What a task of a window is told, beside the parameters."""
        return {**self.history.settings(), "window": window.numbers(), "served": self.served(window)}

    def by_symbol(self, window: Refit, predicted: Matrix) -> dict[str, Matrix]:
        """A task's predictions (..., hours of all symbols), parted by symbol."""
        served = self.served(window)
        counts = [(until - window.serve_from) // HOUR_MS for _, until in served]
        parts = np.split(predicted, np.cumsum(counts)[:-1], axis=-1)
        return {symbol: part for (symbol, _), part in zip(served, parts, strict=True)}


def _history(
    forecaster: Forecaster, params: Params, series: Sequence[Bars], begin: int, stop: int
) -> History:
    """Of the symbol whose bars reach furthest, the others beside it; each has features by its own bars alone."""
    lead, *others = sorted(series, key=lambda it: (-it.last, it.symbol))
    preset = preset_named(params.features)
    X = [features(it, preset, begin, stop) for it in (lead, *others)]
    y = np.stack([labels_between(it, params, begin, stop) for it in (lead, *others)])
    panel = Panel.of([on_grid(lead, begin, stop)], X[:1])
    beside = tuple(it.span(begin, stop) for it in others)
    return History(forecaster, panel, y, beside, tuple(X[1:]))


def pooled_walks(
    symbols: Sequence[SymbolToWalk], executor: Executor | None = None, progress: Progress | None = None
) -> Iterator[Matrix]:
    """P(up) of each symbol's hours, in their order, as `walks_by_symbol` with a fit of its own for each would give it. Raises
    DataError where the fit of a window would not see a symbol that it serves."""
    for walks in pooled_walks_by_seed(symbols, [symbols[0].params.seed], executor, progress):
        yield from walks


def pooled_walks_by_seed(
    symbols: Sequence[SymbolToWalk],
    seeds: Sequence[int],
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Iterator[list[Matrix]]:
    """The same for each of these random seeds in place of the parameters' own: P(up) of each symbol."""
    one = symbols[0]
    stops = {it.bars.symbol: it.stop for it in symbols}
    pool = Pool.of(one.forecaster, one.params, [it.bars for it in symbols], one.start, stops, "the book")
    pool.require_trainable("the book")
    windows = pool.windows
    results = in_order(executor or InProcess(), pool.tasks(seeds))
    for turn in range(len(seeds)):
        parts: dict[str, list[Matrix]] = {it.bars.symbol: [] for it in symbols}
        for done, window in enumerate(windows, start=turn * len(windows) + 1):
            for symbol, part in pool.by_symbol(window, np.frombuffer(next(results), np.float32)).items():
                parts[symbol].append(part)
            if progress:
                progress(done, len(windows) * len(seeds))
        yield [np.concatenate(parts[it.bars.symbol]) for it in symbols]
