"""Ensembles of every kind that the two families of trees can be, and a slow twin that walks them node by node."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.rows_made import panel_of
from trader.core.exports import ExportFacts, ProofScene
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import Floats, Matrix
from trader.forecasters.lightgbm import SCHEMA, LightGBMForecaster
from trader.forecasters.trees import LEAF, Trees
from trader.forecasters.xgboost import XGBoostForecaster

FORECASTERS = {"xgboost": XGBoostForecaster(), "lightgbm": LightGBMForecaster()}
QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 8, "max_depth": 3, "learning_rate": 0.3, "gamma": 0},
    "lightgbm": {
        "n_estimators": 8,
        "num_leaves": 6,
        "min_data_in_leaf": 5,
        "learning_rate": 0.3,
        "lambda_l2": 0.0,
    },
}
FEATURES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """A fitted model, and rows like those that it was fitted on."""

    family: str
    model: bytes
    X: Matrix

    @property
    def facts(self) -> ExportFacts:
        """Those of a card that would have it."""
        columns = tuple(f"c{i}" for i in range(self.X.shape[1]))
        digest = hashlib.sha256(self.model).hexdigest()
        return ExportFacts("a-model", digest, "card", self.family, ("BTCUSDT",), "made", columns, 1)

    @property
    def scene(self) -> ProofScene:
        """Real rows, and drawn ones without NaN."""
        panel = panel_of(self.X)
        drawn = np.nan_to_num(self.X[:200] * np.float32(1.5))
        return ProofScene(panel, panel.close_time, is_real=True, drawn=drawn)

    @property
    def trees(self) -> Trees:
        """As the export reads them."""
        return FORECASTERS[self.family].trees(self.model, "a test")

    def exported(self) -> bytes:
        """The ONNX file."""
        return FORECASTERS[self.family].export(self.model, "onnx", self.facts)

    def scores(self, X: Matrix) -> Matrix:
        """P(up) by the library itself."""
        return FORECASTERS[self.family].load(self.model, "a test").scores(X)


def rows(n: int = 400, seed: int = 5) -> Matrix:
    """Features of n hours: normal ones, whole numbers, one that never moves, one of many zeros."""
    X = np.random.default_rng(seed).normal(size=(n, FEATURES)).astype(np.float32)
    X[:, 1] = np.round(2 * X[:, 1])
    X[:, 2] = 7
    X[:, 5] = np.where(X[:, 5] > 0, 0, X[:, 5])
    return X


def labels(X: Matrix, share: float = 0.5, seed: int = 6) -> Floats:
    """1.0 for so many of the rows, by what the features say and by chance."""
    told = np.nan_to_num(X[:, 0] + X[:, 1] * X[:, 3] - X[:, 5])
    noisy = told + np.random.default_rng(seed).normal(size=len(X))
    return (noisy > np.quantile(noisy, 1 - share)).astype(float)


def grown(family: str, X: Matrix, y: Floats, **told: Any) -> Ensemble:
    """A model of these rows, which may have NaN: the bot never fits such, but a model may say where they go."""
    model = {"family": family, **QUICK[family], **told}
    params = params_of({**DEFAULT_PARAMS, "model": model}, "a test")
    forecaster: Any = FORECASTERS[family]
    return Ensemble(family, forecaster.dump(forecaster.train(X, y, params, 7, ["BTCUSDT"])), X)


def sliced(ensemble: Ensemble, trees: int) -> Ensemble:
    """The first trees alone, as early stopping leaves them."""
    import xgboost as xgb

    booster = xgb.Booster()
    booster.load_model(bytearray(ensemble.model))
    part = booster[:trees]
    part.set_attr(symbols="BTCUSDT")
    return Ensemble("xgboost", bytes(part.save_raw("ubj")), ensemble.X)


def lightgbm_of(X: Matrix, y: Floats, **settings: Any) -> Ensemble:
    """A model that LightGBM grows by settings that no parameters here have."""
    import lightgbm as lgb

    told = {
        "objective": "binary",
        "verbosity": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "num_leaves": 6,
        **settings,
    }
    text = lgb.train(told, lgb.Dataset(X, label=y, params=told), 8).model_to_string().encode()
    head = {"schema": SCHEMA, "symbols": ["BTCUSDT"], "sha256": hashlib.sha256(text).hexdigest()}
    return Ensemble("lightgbm", json.dumps(head, sort_keys=True).encode() + b"\n" + text, X)


def walked(trees: Trees, x: Matrix) -> tuple[set[int], float]:
    """One row through every tree, as a reader would: the splits that it passes, and the log-odds."""
    passed, total = set(), trees.base
    for root in trees.roots.tolist():
        at = root
        while trees.left[at] != LEAF:
            passed.add(at)
            value, threshold = float(x[trees.feature[at]]), float(trees.threshold[at])
            if np.isnan(value):
                goes_left = bool(trees.missing_left[at])
            else:
                goes_left = value < threshold if trees.is_below else value <= threshold
            at = int(trees.left[at] if goes_left else trees.right[at])
        total += float(trees.value[at])
    return passed, total


def kinds() -> dict[str, Ensemble]:
    """One of each kind."""
    X = rows()
    y = labels(X)
    sparse = X.copy()
    sparse[np.random.default_rng(8).random(X.shape) < 0.4] = np.nan
    found: dict[str, Ensemble] = {}
    for family in FORECASTERS:
        found |= {
            f"{family}, plain": grown(family, X, y),
            f"{family}, nearly all up": grown(family, X, labels(X, 0.97)),
            f"{family}, nearly none up": grown(family, X, labels(X, 0.03)),
            f"{family}, one tree": grown(family, X, y, n_estimators=1),
            f"{family}, NaN in many places": grown(family, sparse, labels(sparse)),
            f"{family}, features that never move": grown(family, np.full_like(X, 3), y),
            f"{family}, large and tiny numbers": grown(
                family, X * np.array([1e30, 1e-30, 1, 1e-38, 1e20, 1e-36], np.float32), y
            ),
        }
    many = grown("xgboost", X, y, n_estimators=40)
    found |= {
        "xgboost, stopped early": sliced(many, 3),
        "xgboost, deep": grown("xgboost", X, y, max_depth=30, n_estimators=5, learning_rate=1.0),
        "xgboost, stumps": grown("xgboost", X, y, max_depth=1, n_estimators=30),
        "xgboost, nothing to split": grown("xgboost", X, y, gamma=1e6),
        "lightgbm, many leaves": grown("lightgbm", X, y, num_leaves=200, min_data_in_leaf=1, n_estimators=5),
        "lightgbm, nothing to split": grown("lightgbm", X, y, min_data_in_leaf=1_000),
        "lightgbm, missing values not told": lightgbm_of(sparse, labels(sparse), use_missing=False),
    }
    return found
