"""The trees of an XGBoost model, for its exported form: float32 throughout, a row goes left where x < threshold."""

from __future__ import annotations

import numpy as np

from trader.forecasters.trees import LEAF, Trees
from trader.forecasters.xgboost_trees import read_trees


def trees_of(model: bytes, source: str) -> Trees:
    """Raises DataError, naming `source`, for bytes that are no such model."""
    read = read_trees(model, source)
    it, root = read.nodes.arrays, read.nodes.root
    is_leaf = it["left_children"] == LEAF
    left, right = (np.where(is_leaf, LEAF, it[name] + root) for name in ("left_children", "right_children"))
    # XGBoost keeps a leaf's value where a split has its threshold.
    conditions = it["split_conditions"].astype(np.float64)
    return Trees(
        features=read.features,
        base=log_odds(read.base_score),
        is_below=True,
        in_double=False,
        tree=read.nodes.tree,
        left=left,
        right=right,
        feature=np.where(is_leaf, 0, it["split_indices"]),
        threshold=np.where(is_leaf, 0.0, conditions),
        missing_left=(it["default_left"] == 1) & ~is_leaf,
        value=np.where(is_leaf, conditions, 0.0),
    )


def log_odds(base_score: float) -> float:
    """What XGBoost begins its sum with: -log(1 / p - 1), each step in float32."""
    one = np.float32(1)
    return float(-np.log(one / np.float32(base_score) - one, dtype=np.float32))
