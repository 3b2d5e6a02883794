"""The newest data: are the model's parameters worse on the newest hours than on all of the newest half-year?

The error is the Brier score of P(up), out of sample by walk-forward, on the calendar of the model's own refits. Hours depend on
each other, so its interval is that of blocks (`backtest.evidence.block_errors`). Each fold is kept by its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backtest.certificate.subject import Spans, Subject, first_walked
from backtest.engine.walkforward import Fold, fit_and_predict, folds
from backtest.evidence.block_errors import Estimate, block_mean
from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import Array, Executor, SharedArrays, Task
from backtest.study.cache import FoldCache, code_hash, content_hash, fold_key
from trader.core.certificate import CertificatePart, check_of, figures_of
from trader.core.errors import DataError
from trader.core.labels import label_of
from trader.core.params import Params
from trader.core.text import plural
from trader.core.training import usable_rows
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, Ints, Matrix, Progress, iso
from trader.core.windows import refit_of

# Standard errors on either side of a mean: 99 of 100 intervals hold it, so one clean model of two hundred is refused by chance.
Z = 2.576
NAME = "error on the newest hours"


def newest(
    subject: Subject,
    spans: Spans,
    *,
    cache: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CertificatePart:
    """The part `newest`. cache: a folder of folds; None keeps none. It fails where the interval of the newest hours lies wholly
    above the error of all hours."""
    start = _first_with_history(subject, spans.newest_days)
    if start is None:
        words = f"the bars begin at {iso(subject.bars.first)}: too late for one window of a walk-forward, so nothing is compared"
        return CertificatePart("newest", (check_of(NAME, True, words),), figures_of(folds=0))
    try:
        todo = folds(
            subject.forecaster,
            subject.bars,
            subject.params,
            start,
            subject.stop,
            "the bars",
            others=subject.others,
        )
        p_up, kept = _walked(subject, todo, FoldCache(cache) if cache else None, executor, progress)
    except DataError as error:
        return CertificatePart("newest", (check_of(NAME, False, str(error)),), {})
    hours = np.arange(start, subject.stop, HOUR_MS, dtype=np.int64)
    within = hours >= subject.stop - spans.newest_days * DAY_MS
    return _judged(subject, hours[within], p_up[within], spans.newest_share, len(todo), kept)


def _first_with_history(subject: Subject, days: int) -> int | None:
    """The first hour of the walk-forward whose training lies within the bars, UTC ms; None where there is none before `stop`."""
    start = first_walked(subject.card, subject.params, subject.stop, days)
    while start < subject.stop:
        if subject.bars.first <= refit_of(subject.params, 0, start).train_from:
            return start
        start += subject.params.step_days * DAY_MS
    return None


def _judged(
    subject: Subject, hours: Ints, p_up: Matrix, share: float, folds_walked: int, kept: int
) -> CertificatePart:
    loss = brier_of(subject.bars, subject.params, hours, p_up)
    first = len(hours) - max(1, round(len(hours) * share))
    horizon = subject.params.horizon_hours
    every, last = block_mean(loss, hours, horizon), block_mean(loss[first:], hours[first:], horizon)
    low, high = interval_of(last)
    low_all, high_all = interval_of(every)
    figures = figures_of(
        brier=every.value, brier_low=low_all, brier_high=high_all, hours=every.n,
        newest_brier=last.value, newest_brier_low=low, newest_brier_high=high, newest_hours=last.n,
        folds=folds_walked, folds_kept_before=kept,
    )  # fmt: skip  # all hours, then the newest
    if last.value is None or every.value is None:
        return CertificatePart(
            "newest", (check_of(NAME, True, "no hour has a known outcome, so nothing is compared"),), figures
        )
    if low is None:
        words = (
            f"Brier score {last.value:.5f} on the newest {plural(last.n, 'hour')}, {every.value:.5f} on all {every.n:,}: too few "
            "days for an interval, so nothing is judged"
        )
        return CertificatePart("newest", (check_of(NAME, True, words),), figures)
    words = (
        f"Brier score {last.value:.5f} ({low:.5f} to {high:.5f}) on the newest {plural(last.n, 'hour')}, {every.value:.5f} on "
        f"all {every.n:,}"
    )
    return CertificatePart("newest", (check_of(NAME, low <= every.value, words),), figures)


def brier_of(bars: Bars, params: Params, hours: Ints, p_up: Matrix) -> Floats:
    """(P(up) - [the close rose by more than the hurdle])^2 of hours (m,) UTC ms: (m,) float64, NaN where either is unknown.

    Brier, "Verification of Forecasts Expressed in Terms of Probability" (1950).
    """
    label = label_of(bars, params)[(hours - bars.first) // HOUR_MS]
    found: Floats = (p_up.astype(np.float64) - label) ** 2
    return found


def interval_of(estimate: Estimate) -> tuple[float | None, float | None]:
    """The ends of the interval of a mean; None where there are too few blocks for one."""
    if estimate.value is None or estimate.error is None:
        return None, None
    return estimate.value - Z * estimate.error, estimate.value + Z * estimate.error


def _walked(
    subject: Subject,
    todo: Sequence[Fold],
    cache: FoldCache | None,
    executor: Executor | None,
    progress: Progress | None,
) -> tuple[Matrix, int]:
    """P(up) of all folds' hours, and how many folds were kept from before."""
    code, params = code_hash(subject.forecaster), subject.params
    keys = [_key(fold, params, code) for fold in todo]
    kept = {key: found[0] for key in keys if cache and (found := cache.get(key, 1)) is not None}
    missing = [(key, fold) for key, fold in zip(keys, todo, strict=True) if key not in kept]
    done = len(todo) - len(missing)
    if progress:
        progress(done, len(todo))
    before = len(kept)
    tasks = _tasks([fold for _, fold in missing], params)
    for (key, _), result in zip(missing, in_order(executor or InProcess(), tasks), strict=True):
        kept[key] = np.frombuffer(result, np.float32)
        if cache:
            cache.put(key, kept[key].reshape(1, -1))
        done += 1
        if progress:
            progress(done, len(todo))
    return np.concatenate([kept[key] for key in keys]), before


def _tasks(todo: Sequence[Fold], params: Params) -> list[Task]:
    if not todo:
        return []
    history = todo[0].history
    shared, settings = (
        SharedArrays(history.arrays()),
        {**history.settings(), "params": params.model_dump_json()},
    )
    return [
        Task(
            fit_and_predict,
            settings
            | {"window": it.window.numbers(), "serve_until": it.serve_until, "seen_from": it.seen_from},
            shared,
            placement="thread",
            label=f"window {it.window.k} of the certificate",
        )
        for it in todo
    ]


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
    return fold_key(content_hash(arrays), params, (), code)


def _series(bars: Bars) -> tuple[Array, ...]:
    """What a family that reads the series can see."""
    return bars.close_time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.flagged
