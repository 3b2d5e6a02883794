"""The 20 published parameter sets: the same bytes as a plain loop on one thread, in how much of its time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xgboost as xgb

from backtest.seed.reproduce import (
    AFTER_LAST,
    FIRST,
    PublishedTrial,
    SeedRows,
    published_trials,
    reproduce,
    rows_of,
)
from benchmarks.figure import Figure
from benchmarks.scene import bars
from trader.core.types import Matrix

WORKERS = 2


def plain_loop(rows: SeedRows, trial: PublishedTrial) -> Matrix:
    """What one writes without this project: xgb.train per window, one thread."""
    p = trial.params.model
    settings = {
        "objective": "binary:logistic",
        "max_depth": p.max_depth,
        "learning_rate": p.learning_rate,
        "subsample": p.subsample,
        "colsample_bytree": p.colsample_bytree,
        "gamma": p.gamma,
        "nthread": 1,
    }
    parts, a, span = [], 0, 24 * trial.params.look_back_days
    while a + span < len(rows):
        b = a + span
        train = xgb.QuantileDMatrix(rows.X[a:b], label=rows.up[a:b], nthread=1)
        booster = xgb.train(settings, train, num_boost_round=p.n_estimators)
        parts.append(booster.inplace_predict(rows.X[b : min(b + 720, len(rows))]))
        a += 720
    return np.concatenate(parts)


def run() -> list[Figure]:
    """All twenty."""
    return _figures(published_trials())


def run_small() -> list[Figure]:
    """The two cheapest: what two trials correlate with says nothing, so it is left out."""
    cheap = sorted(published_trials(), key=lambda it: it.params.xgboost.n_estimators)
    return [figure for figure in _figures(cheap[:2]) if "correlation" not in figure.name]


def _figures(trials: Sequence[PublishedTrial]) -> list[Figure]:
    """Trial by trial, the plain loop and ours in turn."""
    with tempfile.TemporaryDirectory() as name:
        rows = rows_of(bars(Path(name)), "bars", FIRST, AFTER_LAST)
    published, reproduced = [], []
    plain = ours = 0.0
    equal = 0
    for trial in trials:
        began = time.perf_counter()
        want = plain_loop(rows, trial)
        plain += time.perf_counter() - began
        began = time.perf_counter()
        kept: list[Matrix] = []
        report = reproduce(rows, workers=WORKERS, trials=[trial], keep=kept.append)
        ours += time.perf_counter() - began
        equal += kept[0].tobytes() == want.tobytes()
        published.append(trial.published)
        reproduced.append(report["trials"][0]["reproduced"])
    equals = "trials whose every prediction equals the plain loop's"
    best = max(range(len(trials)), key=lambda i: trials[i].published)
    return [
        Figure("rows", len(rows), "exactly", 35_064, is_result=True),
        Figure(equals, equal, "exactly", len(trials), is_result=True),
        Figure(
            "wall, two workers, of the plain loop's",
            ours / plain,
            "at most",
            0.55,
            note=f"{ours:.1f} s against {plain:.1f} s",
        ),
        Figure(
            "correlation with the published scores",
            float(np.corrcoef(published, reproduced)[0, 1]),
            "at least",
            0.84,
        ),
        Figure(
            f"trial {trials[best].number}, published {published[best]:.2f}", reproduced[best], unit="stakes"
        ),
    ]
