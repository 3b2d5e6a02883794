"""Ensembles as ONNX: what the file says is what the library says, wherever a row lies; the proof reaches every split."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exports.ensembles import (
    FEATURES,
    FORECASTERS,
    Ensemble,
    grown,
    kinds,
    labels,
    lightgbm_of,
    rows,
    walked,
)
from trader.core.errors import DataError
from trader.core.exports import ExportProof
from trader.core.types import Matrix
from trader.forecasters.lightgbm_onnx import ZERO
from trader.forecasters.onnx_runtime import row_predictor
from trader.forecasters.split_rows import HIGHEST_STEP, LOWEST_STEP, missing_by_split, rows_by_split
from trader.forecasters.trees import LARGEST, Trees

KINDS = cache(kinds)
NAMES = [
    *(
        f"{family}, {kind}"
        for family in FORECASTERS
        for kind in (
            "plain",
            "nearly all up",
            "nearly none up",
            "one tree",
            "NaN in many places",
            "features that never move",
            "large and tiny numbers",
        )
    ),
    "xgboost, stopped early",
    "xgboost, deep",
    "xgboost, stumps",
    "xgboost, nothing to split",
    "lightgbm, many leaves",
    "lightgbm, nothing to split",
    "lightgbm, missing values not told",
]


def proved(it: Ensemble) -> ExportProof:
    """The proof of its own export."""
    return FORECASTERS[it.family].prove(it.model, it.exported(), "onnx", it.facts, it.scene)


def test_every_kind_is_named() -> None:
    """No kind is made and not tested."""
    assert sorted(KINDS()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_export_of_each_kind_is_proved(name: str) -> None:
    """Every split that a row can reach, NaN, real and drawn rows; and rows beside those of the proof say the same."""
    it = KINDS()[name]
    proof = proved(it)
    assert proof.splits == len(it.trees.splits)
    assert (proof.splits == 0) == ("nothing to split" in name or "never move" in name)
    assert proof.p_up_difference <= 1e-6
    X = rows(1_000, seed=99) * np.float32(3)
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    ours, theirs = it.scores(X), row_predictor(it.exported(), "a test").scores(X)
    assert np.abs(ours - theirs).max() <= 1e-6
    assert theirs.dtype == np.float32


@pytest.mark.parametrize(
    "name", ["xgboost, plain", "xgboost, deep", "lightgbm, plain", "lightgbm, many leaves"]
)
def test_each_row_of_the_proof_reaches_its_splits(name: str) -> None:
    """By a twin that walks node by node, though a row asks several splits at once: the last value that goes left does, the next
    one goes right, both through this split; all steps reach it that its own path allows. Every split has a row, and there are
    fewer rows than splits."""
    trees, base = KINDS()[name].trees, rows(50)
    parents = _parents(trees)
    seen: set[int] = set()
    shared = 0
    for batch in rows_by_split(trees, base):
        shared += len(batch.X)
        for steps in range(LOWEST_STEP, HIGHEST_STEP + 1):
            X, asked = batch.at(steps)
            assert asked.tolist() == list(range(len(batch.X)))
            ways = [walked(trees, x)[0] for x in X]
            for row, split in zip(batch.row.tolist(), batch.split.tolist(), strict=True):
                if steps in (0, 1):
                    assert split in ways[row]
                    value, threshold = float(X[row][trees.feature[split]]), trees.threshold[split]
                    assert (value < threshold if trees.is_below else value <= threshold) == (steps == 0)
                elif split not in ways[row]:  # a split above compares the same feature there
                    assert _compares_above(trees, parents, split)
        seen |= set(batch.split.tolist())
    assert seen == set(trees.splits.tolist())
    assert shared < len(seen)


@pytest.mark.parametrize("name", ["xgboost, deep", "lightgbm, many leaves", "lightgbm, NaN in many places"])
def test_each_row_without_a_feature_reaches_its_splits(name: str) -> None:
    """Unless a split above compares the same feature, which has sent the missing value elsewhere."""
    trees, reached = KINDS()[name].trees, 0
    parents = _parents(trees)
    for batch in missing_by_split(trees, rows(50)):
        X, _ = batch.missing()
        ways = [walked(trees, x)[0] for x in X]
        for row, split in zip(batch.row.tolist(), batch.split.tolist(), strict=True):
            assert np.isnan(X[row][trees.feature[split]])
            is_reached = split in ways[row]
            assert is_reached or _compares_above(trees, parents, split)
            reached += is_reached
    assert reached > len(trees.splits) // 2


def _parents(trees: Trees) -> dict[int, int]:
    """The split above each node but the roots."""
    splits = trees.splits.tolist()
    return {int(children[at]): at for at in splits for children in (trees.left, trees.right)}


def _compares_above(trees: Trees, parents: dict[int, int], split: int) -> bool:
    """Whether a split above another compares the same feature."""
    node, feature = split, trees.feature[split]
    while node in parents:
        node = parents[node]
        if trees.feature[node] == feature:
            return True
    return False


@pytest.mark.parametrize("name", ["xgboost, plain", "lightgbm, plain", "lightgbm, NaN in many places"])
def test_the_trees_are_those_of_the_library(name: str) -> None:
    """What the twin sums is what the library says of rows with and without NaN."""
    it = KINDS()[name]
    X = rows(60, seed=3)
    X[::3, 4] = np.nan
    log_odds = np.array([walked(it.trees, x)[1] for x in X])
    assert np.allclose(1 / (1 + np.exp(-log_odds)), it.scores(X), atol=1e-6)


def test_splits_that_contradict_each_other_are_counted() -> None:
    """x < 1, then x < 0, then x < 2: the last two nodes have no row on their right."""
    trees = Trees(
        features=1,
        base=0.0,
        is_below=True,
        in_double=False,
        tree=np.zeros(7, np.int64),
        left=np.array([1, 3, -1, 5, -1, -1, -1]),
        right=np.array([2, 4, -1, 6, -1, -1, -1]),
        feature=np.zeros(7, np.int64),
        threshold=np.array([1.0, 2.0, 0, 0.0, 0, 0, 0]),
        missing_left=np.zeros(7, np.bool_),
        value=np.zeros(7),
    )
    (batch,) = rows_by_split(trees, np.zeros((1, 1), np.float32))
    assert batch.split.tolist() == [0, 1, 3]
    low = np.float32(1)
    trees.threshold[1], trees.left[2], trees.right[2] = 2.0, 5, 6
    trees.left[3] = trees.right[3] = -1
    trees.threshold[2] = np.nextafter(low, np.float32(0))
    (batch,) = rows_by_split(trees, np.zeros((1, 1), np.float32))
    assert batch.split.tolist() == [0, 1, 2]
    assert (batch.last <= LARGEST).all()


def test_what_lightgbm_takes_for_zero_is_taken_for_zero() -> None:
    """A feature of zeros is split at 1e-35, within which LightGBM reads 0: both ends, their neighbours and signs."""
    it = KINDS()["lightgbm, plain"]
    predictor = row_predictor(it.exported(), "a test")
    near = np.array([0.0, -0.0, ZERO, -ZERO, 1e-36, -1e-36, 1e-45, -1e-45, 1e-34, -1e-34], np.float32)
    near = np.concatenate([near, np.nextafter(near, np.float32(1)), np.nextafter(near, np.float32(-1))])
    thresholds = it.trees.threshold[it.trees.splits]
    assert (np.abs(thresholds) <= 2 * ZERO).any()
    for feature in range(FEATURES):
        X = np.repeat(rows(20, seed=2), len(near), axis=0)
        X[:, feature] = np.tile(near, 20)
        assert np.abs(it.scores(X) - predictor.scores(X)).max() <= 1e-6


def test_a_zero_that_is_missing_cannot_be_exported() -> None:
    """No parameters here ask LightGBM for such splits; a file that has them is refused with its tree."""
    X = rows()
    it = lightgbm_of(X, labels(X), zero_as_missing=True)
    with pytest.raises(
        DataError, match="a-model: tree 0 takes a zero for a missing value, which an ONNX tree cannot"
    ):
        it.exported()


def test_equal_models_give_equal_bytes() -> None:
    """So that an export that is repeated is found in the store."""
    for name in ("xgboost, plain", "lightgbm, plain"):
        assert KINDS()[name].exported() == KINDS()[name].exported()


@pytest.mark.parametrize("name", ["xgboost, plain", "lightgbm, many leaves"])
def test_a_row_alone_is_scored_as_among_others(name: str) -> None:
    """To the bit, though its memory is used again: an answer that was given stays, several threads do not mix their rows, and a
    row of another width is refused."""
    predictor = row_predictor(KINDS()[name].exported(), "a test")
    X = rows(200, seed=4)
    X[::7, 3] = np.nan
    together = predictor.scores(X)
    alone = [predictor.scores(X[i : i + 1]) for i in range(len(X))]
    assert np.array_equal(np.concatenate(alone), together)
    with ThreadPoolExecutor(4) as pool:
        asked = list(pool.map(lambda i: predictor.scores(X[i : i + 1]), range(len(X))))
    assert np.array_equal(np.concatenate(asked), together)
    with pytest.raises(Exception, match="invalid dimensions"):
        predictor.scores(X[:1, :1])


@st.composite
def small_ensembles(draw: st.DrawFn) -> Ensemble:
    """A few trees of a few rows, whose features are drawn of few numbers: equal, zero, huge, and for XGBoost missing ones.

    Where a NaN decides alone LightGBM splits at infinity, and such a model is loaded by nobody here.
    """
    special = st.sampled_from([0.0, 1.0, -1.0, 1e-35, -1e-35, 1e30, -1e30, float("nan")])
    pool = draw(st.lists(st.one_of(special, st.floats(-100, 100, width=32)), min_size=2, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.choice(np.array(pool, np.float32), (draw(st.integers(20, 60)), draw(st.integers(1, 3))))
    y = rng.permutation(np.arange(len(X)) % 2.0)
    trees = draw(st.integers(1, 6))
    if draw(st.booleans()):
        return grown("xgboost", X, y, n_estimators=trees, max_depth=draw(st.integers(1, 6)))
    leaves = draw(st.integers(2, 8))
    return grown(
        "lightgbm", np.nan_to_num(X, nan=0.25), y, n_estimators=trees, num_leaves=leaves, min_data_in_leaf=1
    )


@settings(max_examples=25)
@given(it=small_ensembles(), seed=st.integers(0, 2**32 - 1))
def test_small_ensembles_of_any_rows(it: Ensemble, seed: int) -> None:
    """The proof holds, and rows that are mixed of values of the training say the same."""
    proof = proved(it)
    assert proof.p_up_difference <= 1e-6
    rng = np.random.default_rng(seed)
    mixed: Matrix = np.stack([rng.choice(column, 100) for column in it.X.T], axis=1)
    theirs = row_predictor(it.exported(), "a test").scores(mixed)
    assert np.abs(it.scores(mixed) - theirs).max() <= 1e-6
