"""The folds of a certificate's walk-forward: what each window's model says of the hours that it serves, kept by its content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.certificate.subject import Subject
from backtest.engine.history import History
from backtest.engine.walkforward import Fold
from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import (
    Array,
    Arrays,
    Executor,
    SharedArrays,
    Task,
    TaskSettings,
    task_function,
)
from backtest.study.cache import FoldCache, code_hash, content_hash, fold_key
from trader.core.forecast import LEVELS
from trader.core.params import Params
from trader.core.training import usable_rows
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Matrix, Progress
from trader.core.windows import Refit

_UP_BYTES = np.dtype(np.float32).itemsize
_HOUR_BYTES = _UP_BYTES + len(LEVELS) * np.dtype(np.float64).itemsize
# What a fold holds is part of its name: folds of before held P(up) alone.
HELD = "p_up and quantiles"


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """What the windows' models said of m consecutive hours. p_up: (m,) float32, NaN where nothing was said. quantiles: (m, level)
    float64 of the return over the horizon; None for a family that gives P(up) alone."""

    p_up: Matrix
    quantiles: Floats | None

    def within(self, chosen: Bools) -> Walked:
        """Of some of the hours, (m,)."""
        return Walked(self.p_up[chosen], None if self.quantiles is None else self.quantiles[chosen])


def walked(
    subject: Subject,
    todo: Sequence[Fold],
    cache: FoldCache | None,
    executor: Executor | None,
    progress: Progress | None,
) -> tuple[Walked, int]:
    """All folds' hours, and how many folds were kept from before."""
    code, params = code_hash(subject.forecaster), subject.params
    keys = [_key(fold, params, code) for fold in todo]
    kept = {
        key: body
        for key, fold in zip(keys, todo, strict=True)
        if cache and (body := cache.read(key)) is not None and len(body) in _sizes(fold)
    }
    missing = [(key, fold) for key, fold in zip(keys, todo, strict=True) if key not in kept]
    done = len(todo) - len(missing)
    if progress:
        progress(done, len(todo))
    before = len(kept)
    tasks = _tasks([fold for _, fold in missing], params)
    for (key, _), result in zip(missing, in_order(executor or InProcess(), tasks), strict=True):
        kept[key] = result
        if cache:
            cache.keep(key, result)
        done += 1
        if progress:
            progress(done, len(todo))
    return _joined([_opened(fold, kept[key]) for key, fold in zip(keys, todo, strict=True)]), before


@task_function
def fit_and_say(arrays: Arrays, settings: TaskSettings) -> bytes:
    """P(up) of a fold's served hours, float32; then the quantiles of the return over the horizon, float64, where the family gives
    any. NaN where nothing can be said."""
    history, window = History.of_arrays(arrays, settings), Refit(*settings["window"])
    params = Params.model_validate_json(settings["params"])
    model = history.fit(window, params)
    told = history.forecast(model, window.train_until, window.serve_from, settings["serve_until"])
    p_up = told.p_up.astype(np.float32).tobytes()
    if told.quantiles is None:
        return p_up
    return p_up + np.ascontiguousarray(told.quantiles[:, params.horizon_hours - 1], np.float64).tobytes()


def _tasks(todo: Sequence[Fold], params: Params) -> list[Task]:
    if not todo:
        return []
    history = todo[0].history
    shared, text = SharedArrays(history.arrays()), params.model_dump_json()
    settings = {**history.settings(), "params": text}
    return [
        Task(
            fit_and_say,
            settings | {"window": it.window.numbers(), "serve_until": it.serve_until},
            shared,
            placement="thread",
            label=f"window {it.window.k} of the certificate",
        )
        for it in todo
    ]


def _hours(fold: Fold) -> int:
    return (fold.serve_until - fold.window.serve_from) // HOUR_MS


def _sizes(fold: Fold) -> tuple[int, int]:
    """How many bytes a fold has: of P(up) alone, and with quantiles."""
    return _hours(fold) * _UP_BYTES, _hours(fold) * _HOUR_BYTES


def _opened(fold: Fold, body: bytes) -> Walked:
    count = _hours(fold)
    p_up = np.frombuffer(body, np.float32, count)
    if len(body) == count * _UP_BYTES:
        return Walked(p_up, None)
    return Walked(p_up, np.frombuffer(body, np.float64, offset=p_up.nbytes).reshape(count, len(LEVELS)))


def _joined(parts: Sequence[Walked]) -> Walked:
    quantiles = [it.quantiles for it in parts if it.quantiles is not None]
    whole = np.concatenate(quantiles) if len(quantiles) == len(parts) else None
    return Walked(np.concatenate([it.p_up for it in parts]), whole)


def _key(fold: Fold, params: Params, code: str) -> str:
    """The name of a fold: of every array that its fit is trained on or predicts, of parameters and code."""
    history, window = fold.history, fold.window
    panel, y = history.training(window, params)
    seen = history.seen_by(window.train_until, window.serve_from, fold.serve_until)
    arrays: tuple[Array, ...]
    if panel.X:
        arrays = (*usable_rows(panel, y, window.train_until), seen.X[0])
    else:
        arrays = tuple(column for it in (*panel.bars, *seen.bars) for column in _series(it))
    return fold_key(content_hash(arrays), params, (), f"{code} {HELD}")


def _series(bars: Bars) -> tuple[Array, ...]:
    """What a family that reads the series can see."""
    return bars.close_time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.flagged
