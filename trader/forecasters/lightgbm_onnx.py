"""The trees of a LightGBM model, for its exported form: float64 throughout, a row goes left where x <= threshold."""

from __future__ import annotations

import numpy as np

from trader.core.errors import DataError
from trader.core.types import Floats, Ints
from trader.forecasters.lightgbm_trees import Booster, read_trees
from trader.forecasters.trees import LEAF, Trees

# LightGBM reads a feature as 0 that is no further from 0 than this: 1e-35 as a float32 (its kZeroThreshold).
ZERO = float(np.float32(1e-35))
# Bits of decision_type: whether a missing value goes left, and what counts as missing.
GOES_LEFT, MISSING_ZERO, MISSING_NAN = 2, 4, 8


def trees_of(text: bytes, source: str) -> Trees:
    """Raises DataError, naming `source`, for a text that is no such model, and for splits that take a zero for a missing value,
    which ONNX cannot say; no model that was trained here has one."""
    read = read_trees(text, source)
    lines = {name: line.values for name, line in read.lines.items()}
    decision, threshold = lines["decision_type"], lines["threshold"]
    if (odd := decision & MISSING_ZERO > 0).any():
        number = int(read.lines["decision_type"].tree[int(np.argmax(odd))])
        raise DataError(
            f"{source}: tree {number} takes a zero for a missing value, which an ONNX tree cannot. Train again: trader retrain"
        )
    # Where nothing counts as missing a NaN is compared as 0.
    missing_left = np.where(decision & MISSING_NAN > 0, decision & GOES_LEFT > 0, threshold >= 0)
    splits, leaves, tree = _places(read)
    n = len(tree)
    left, right = (_child_rows(read, lines[name], n, splits) for name in ("left_child", "right_child"))
    found = Trees(
        features=read.features,
        base=0.0,
        is_below=False,
        in_double=True,
        tree=tree,
        left=left,
        right=right,
        feature=np.zeros(n, np.int64),
        threshold=np.zeros(n),
        missing_left=np.zeros(n, np.bool_),
        value=np.zeros(n),
    )
    found.feature[splits], found.threshold[splits] = lines["split_feature"], beside_zero(threshold)
    found.missing_left[splits], found.value[leaves] = missing_left, lines["leaf_value"]
    return found


def beside_zero(threshold: Floats) -> Floats:
    """Thresholds that compare a feature itself as these compare one that LightGBM reads as 0 within ZERO: a threshold there has
    all of those features on one side."""
    below = np.nextafter(-ZERO, -np.inf)
    return np.where(np.abs(threshold) > ZERO, threshold, np.where(threshold >= 0, ZERO, below))


def _places(read: Booster) -> tuple[Ints, Ints, Ints]:
    """The rows of all splits, those of all leaves, and the tree of each row: of each tree its splits come first."""
    sizes = 2 * read.leaves - 1
    begin = np.cumsum(sizes) - sizes
    of_split, of_leaf = (np.repeat(np.arange(len(sizes)), count) for count in (read.leaves - 1, read.leaves))
    splits = begin[of_split] + _within(read.leaves - 1)
    leaves = begin[of_leaf] + (read.leaves - 1)[of_leaf] + _within(read.leaves)
    return splits, leaves, np.repeat(np.arange(len(sizes)), sizes)


def _within(counts: Ints) -> Ints:
    """0, 1, ... anew for each count."""
    found: Ints = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return found


def _child_rows(read: Booster, children: Ints, n: int, splits: Ints) -> Ints:
    """(n,) the row of each split's child; LEAF for leaves. LightGBM numbers leaves -1, -2, ..."""
    count = np.repeat(read.leaves - 1, read.leaves - 1)
    begin = splits - _within(read.leaves - 1)
    found = np.full(n, LEAF, np.int64)
    found[splits] = begin + np.where(children < 0, count - 1 - children, children)
    return found
