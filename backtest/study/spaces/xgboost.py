"""The search space of XGBoost: the published study's, and what its fits cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

from backtest.study.spaces.family import FamilySpace, Range

# In the order of the reference's code, for Optuna draws them in turn.
TREES = {
    "n_estimators": Range(350, 1000, whole=True),
    "max_depth": Range(3, 10, whole=True),
    "learning_rate": Range(0.01, 0.10),
    "subsample": Range(0.5, 0.9),
    "colsample_bytree": Range(0.5, 0.9),
    "gamma": Range(0, 20, whole=True),
}


def fit_cost(values: Mapping[str, float]) -> float:
    """trees x sqrt(days trained on) x exp(2 / (1 + gamma)).

    A tree that may split for nothing grows to its depth; otherwise there are few splits, whatever the depth. Within a
    tenth of the seconds that 280 configurations drawn from the space took on BTCUSDT (ADR 11).
    """
    return values["n_estimators"] * math.sqrt(values["look_back_days"]) * math.exp(2 / (1 + values["gamma"]))


SPACE = FamilySpace(
    family="xgboost",
    ranges=TREES,
    fit_cost=fit_cost,
    stage_key="n_estimators",
    fewest_stages=350,
    stage_step=150,
)
