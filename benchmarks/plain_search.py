"""What a notebook does: twenty trials of TPE, each a whole walk-forward on one thread, scored by the sign of P(up).

One thread, because two were never faster at this size and stalled for minutes whenever a core was busy. The rows, the
labels and the windows are the study's own, and so is the seed: the two differ in how they search, and in nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import xgboost as xgb

from backtest.engine.walkforward import Fold, folds
from backtest.study.objectives import next_moves
from backtest.study.space import suggest
from benchmarks.scene import trees_of
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.training import usable_rows
from trader.core.types import Bars, Floats, Matrix
from trader.forecasters.xgboost import XGBoostForecaster

TRIALS = 20


def sign_rule_params(trees: dict[str, Any] | None = None, look_back_days: int = 59) -> Params:
    """The reference's rule: always on the side of the sign, its ten columns, XGBoost's own seed."""
    rule = {"exposure": "long_short", "enter_edge": 0.0, "exit_edge": 0.0, "features": "seed_code", "seed": 0}
    xgboost = trees or DEFAULT_PARAMS["model"]
    return params_of(
        {**DEFAULT_PARAMS, **rule, "model": xgboost, "look_back_days": look_back_days}, "the sign rule"
    )


@dataclass(frozen=True, slots=True)
class Score:
    """gross: additive, in stakes. net: after 0.1 % a side, two sides for each change of mind."""

    gross: float
    net: float


def score(bars: Bars, p_up: Matrix, start: int) -> Score:
    """Of P(up) of the hours from `start` on: +-|move| of the next hour, right or wrong."""
    side = np.where(p_up >= 0.5, 1.0, -1.0)
    gross = float((side * next_moves(bars, start, len(p_up))).sum())
    return Score(gross, gross - 0.001 * (1 + 2 * int((np.diff(side) != 0).sum())))


def trained(params: Params, X: Matrix, y: Floats) -> xgb.Booster:
    """XGBoost as anybody calls it, on one thread."""
    p = trees_of(params)
    settings = {
        "objective": "binary:logistic",
        "max_depth": p.max_depth,
        "learning_rate": p.learning_rate,
        "subsample": p.subsample,
        "colsample_bytree": p.colsample_bytree,
        "gamma": p.gamma,
        "nthread": 1,
    }
    return xgb.train(settings, xgb.QuantileDMatrix(X, label=y, nthread=1), p.n_estimators)


def fit(fold: Fold, params: Params) -> Matrix:
    """One window, as anybody writes it."""
    history, window = fold.history, fold.window
    X, y = usable_rows(*history.training(window, params), window.train_until)
    booster = trained(params, X, y)
    served = history.seen_by(window.train_until, window.serve_from, fold.serve_until)
    found: Matrix = booster.inplace_predict(served.X[0])
    return found


def walk(bars: Bars, params: Params, start: int, stop: int) -> Matrix:
    """P(up) of every hour start <= T < stop."""
    return np.concatenate(
        [fit(fold, params) for fold in folds(XGBoostForecaster(), bars, params, start, stop, "bars")]
    )


@dataclass(frozen=True, slots=True)
class Found:
    """The best of a search and the seconds it took."""

    gross: float
    params: Params
    wall_s: float


def search(bars: Bars, start: int, stop: int, seed: int, trials: int = TRIALS) -> Found:
    """Ask, walk, score, tell."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.perf_counter()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    best: tuple[float, Params] | None = None
    for _ in range(trials):
        trial = study.ask()
        chosen = suggest(trial, sign_rule_params())
        params = sign_rule_params(
            {"family": "xgboost", **{k: v for k, v in chosen.items() if k != "look_back_days"}},
            chosen["look_back_days"],
        )
        gross = score(bars, walk(bars, params, start, stop), start).gross
        study.tell(trial, gross)
        if best is None or gross > best[0]:
            best = gross, params
    assert best is not None
    return Found(*best, time.perf_counter() - began)
