"""What makes trees of bytes: each rule of the two families of trees, and that nothing genuine is refused."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.model_mutants import decoded, genuine, rows, signed, sized
from tests.support.rows_made import fit, panel_of
from trader.core.errors import DataError
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.forecasters.lightgbm import LightGBMForecaster
from trader.forecasters.registry import forecaster_of
from trader.forecasters.ubjson import SIZES, Packed, encode
from trader.forecasters.xgboost import XGBoostForecaster

FORMATS = {b"d": "f", b"l": "i", b"U": "B"}


def items(packed: Packed) -> list[Any]:
    """The numbers of a packed array."""
    return list(
        struct.unpack(f">{len(packed.data) // SIZES[packed.kind]}{FORMATS[packed.kind]}", packed.data)
    )


def packed(kind: bytes, values: list[Any]) -> Packed:
    """A packed array of these numbers."""
    return Packed(kind, struct.pack(f">{len(values)}{FORMATS[kind]}", *values))


def xgboost_with(change: Callable[[Any], None]) -> bytes:
    """A model with changed values, written as XGBoost would."""
    values = decoded(genuine("xgboost"))
    change(values)
    return encode(values)


def in_tree(name: str, at: int, value: float) -> Callable[[Any], None]:
    """One number of the second tree is another."""

    def change(values: Any) -> None:
        tree = values["learner"]["gradient_booster"]["model"]["trees"][1]
        numbers = items(tree[name])
        numbers[at] = value
        tree[name] = packed(tree[name].kind, numbers)

    return change


def said(*path: str, value: Any) -> Callable[[Any], None]:
    """One value of the model is another."""

    def change(values: Any) -> None:
        for name in path[:-1]:
            values = values[name]
        values[path[-1]] = value

    return change


LEARNER, MODEL = ("learner",), ("learner", "gradient_booster", "model")
BROKEN = [
    (in_tree("left_children", 0, 10**6), "tree 1: a child is none of the later nodes"),
    (in_tree("right_children", 0, 0), "tree 1: a child is none of the later nodes"),
    (in_tree("left_children", 0, -1), "tree 1: a node has one child"),
    (in_tree("right_children", 0, 1), "tree 1: a child"),
    (in_tree("parents", 1, 2), "tree 1: a child does not name its parent"),
    (in_tree("parents", 0, 0), "tree 1: its root has a parent"),
    (in_tree("split_indices", 0, 9), "tree 1: it splits by a feature beyond its 9"),
    (in_tree("split_indices", 0, -1), "tree 1: it splits by a feature beyond its 9"),
    (in_tree("split_type", 0, 1), "tree 1: it splits by categories"),
    (in_tree("default_left", 0, 2), "tree 1: default_left is neither 0 nor 1"),
    (in_tree("split_conditions", -1, float("nan")), "tree 1: split_conditions are not finite"),
    (in_tree("split_conditions", -1, 3e38), "tree 1: split_conditions are not finite"),
    (in_tree("sum_hessian", 0, 0.0), "tree 1: sum_hessian is not above 0"),
    (in_tree("sum_hessian", 0, 1e9), "tree 1: sum_hessian is not above 0"),
    (in_tree("sum_hessian", 0, 5.0), "tree 1: sum_hessian is not that of its children"),
    (said(*LEARNER, "learner_model_param", "base_score", value="[1E0]"), "base_score 1E0 is no probability"),
    (said(*LEARNER, "learner_model_param", "base_score", value="[9.9999999E-1]"), "is no probability"),
    (said(*LEARNER, "learner_model_param", "num_class", value="3"), "its end is not that of a binary:logistic"),
    (said(*LEARNER, "objective", "name", value="reg:squarederror"), "its end is not what XGBoost writes"),
    (said(*LEARNER, "gradient_booster", "name", value="dart"), "its end is not what XGBoost writes"),
    (said(*LEARNER, "attributes", value={"symbols": "BTC\x1bUSDT"}), "symbols are no names"),
    (said(*LEARNER, "attributes", value={"best_iteration": "3"}), "its beginning is not what XGBoost writes"),
    (said(*MODEL, "tree_info", value=[1] * 12), "its beginning is not what XGBoost writes"),
    (said(*MODEL, "iteration_indptr", value=[0] * 13), "its beginning is not what XGBoost writes"),
    (said(*MODEL, "gbtree_model_param", "num_trees", value="99999"), "its number of trees is not 1 to 10,000"),
    (said(*MODEL, "gbtree_model_param", "num_parallel_tree", value="2"), "its beginning is not what XGBoost"),
    (lambda values: values["learner"]["gradient_booster"]["model"]["trees"].pop(), "its beginning is not what"),
]  # fmt: skip  # read as a table


@pytest.mark.parametrize(("change", "why"), BROKEN)
def test_what_is_no_tree_of_xgboost_is_refused(change: Callable[[Any], None], why: str) -> None:
    """Each rule by its name, the tree's number, and the way out; XGBoost is not asked."""
    way_out = ".*Roll back to another model, or train again: trader retrain$"
    with pytest.raises(DataError, match=f"^here: not an XGBoost model in UBJSON .*{re.escape(why)}{way_out}"):
        XGBoostForecaster().load(xgboost_with(change), "here")


def chain(depth: int) -> bytes:
    """A model whose one tree is a chain of so many splits."""
    nodes = 2 * depth + 1
    inner = range(0, nodes - 1, 2)  # 0, 2, 4, ...: each has a leaf and the next
    left = [at + 1 if at in inner else -1 for at in range(nodes)]
    right = [at + 2 if at in inner else -1 for at in range(nodes)]
    parents = [2**31 - 1, *((at - 1) // 2 * 2 for at in range(1, nodes))]
    values = decoded(genuine("xgboost"))
    model = values["learner"]["gradient_booster"]["model"]
    tree = model["trees"][0]
    for name, numbers in (("left_children", left), ("right_children", right), ("parents", parents)):
        tree[name] = packed(b"l", numbers)
    for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian"):
        tree[name] = packed(b"d", [1.0] * nodes)
    tree["sum_hessian"] = packed(
        b"d", [float((nodes - at + 1) // 2) if at in inner else 1.0 for at in range(nodes)]
    )
    tree["split_indices"] = packed(b"l", [0] * nodes)
    tree["split_type"] = tree["default_left"] = packed(b"U", [0] * nodes)
    tree["tree_param"]["num_nodes"] = str(nodes)
    model |= {"trees": [tree], "tree_info": [0], "iteration_indptr": [0, 1]}
    model["gbtree_model_param"]["num_trees"] = "1"
    return encode(values)


def test_a_tree_may_be_as_deep_as_parameters_allow() -> None:
    """Thirty splits; one more, or a hundred thousand that would end a recursion, are refused."""
    assert XGBoostForecaster().load(chain(30), "here").features == 9
    for depth in (31, 100_000):
        with pytest.raises(DataError, match="tree 0: it is deeper than 30 splits"):
            XGBoostForecaster().load(chain(depth), "here")


@pytest.mark.parametrize("trees", [1, 126, 127, 128, 300])
@pytest.mark.parametrize("depth", [1, 6, 30])
def test_what_xgboost_trains_is_taken(trees: int, depth: int) -> None:
    """Few trees and many, stumps and deep ones: the loaded model predicts what the fitted one does."""
    X = rows()
    y = (np.random.default_rng(depth).random(len(X)) < 0.5).astype(float)
    model = {
        "family": "xgboost",
        "n_estimators": trees,
        "max_depth": depth,
        "learning_rate": 0.3,
        "subsample": 0.9,
    }
    params = params_of({**DEFAULT_PARAMS, "model": model}, "a test")
    forecaster = XGBoostForecaster()
    panel = panel_of(X)
    told = {"horizon": 1, "until": int(panel.close_time[-1]), "seed": 1}
    fitted = forecaster.fitted(panel, y.reshape(1, -1), params, **told)
    loaded = forecaster.load(forecaster.fit(panel, y.reshape(1, -1), params, **told), "here")
    assert loaded.scores(X).tobytes() == fitted.scores(X).tobytes()
    assert (loaded.symbols, loaded.features) == (fitted.symbols, fitted.features) == (("BTCUSDT",), 9)


@pytest.mark.parametrize("family", ["xgboost", "lightgbm"])
def test_labels_without_a_split_are_taken(family: str) -> None:
    """Where nothing can be split, a tree is one leaf."""
    X = np.zeros((200, 9), np.float32)
    y = np.array([0.0, 1.0] * 100)
    forecaster, quick = forecaster_of(family), params_of({**DEFAULT_PARAMS, "model": QUICK[family]}, "x")
    loaded = forecaster.load(fit(forecaster, X, y, quick), "here")
    p_up = loaded.predict(panel_of(X), panel_of(X).close_time[-2:]).p_up
    assert p_up.tolist() == pytest.approx([0.5, 0.5], abs=0.01)


QUICK: dict[str, dict[str, Any]] = {
    "xgboost": {"family": "xgboost", "n_estimators": 3, "max_depth": 3, "learning_rate": 0.1},
    "lightgbm": {"family": "lightgbm", "n_estimators": 3},
}


@pytest.mark.parametrize("family", ["xgboost", "lightgbm"])
def test_rows_of_other_features_are_refused(family: str) -> None:
    """A model of nine features is not asked about eight: the library would raise an error of its own."""
    panel = panel_of(rows()[:, :8])
    with pytest.raises(DataError, match="a model of 9 features says nothing about rows of 8"):
        forecaster_of(family).load(genuine(family), "here").predict(panel, panel.close_time[-1:])


def lightgbm_with(pattern: str, new: str, fit_sizes: bool = True) -> bytes:
    """A model of which the first place that looks so is another, its digest fitting."""
    head, _, text = genuine("lightgbm").partition(b"\n")
    changed = re.sub(pattern, new, text.decode(), count=1, flags=re.MULTILINE)
    assert changed != text.decode()
    lines = changed.split("\n")
    return signed(head, "\n".join(sized(lines) if fit_sizes else lines).encode())


@pytest.mark.parametrize(
    ("pattern", "new", "why"),
    [
        (r"^left_child=\S+", "left_child=99", "tree 0: a child is neither a later split nor a leaf"),
        (r"^left_child=\S+", "left_child=0", "tree 0: a child is neither a later split nor a leaf"),
        (r"^left_child=\S+", "left_child=-99", "tree 0: a child is neither a later split nor a leaf"),
        (r"^right_child=.*$", r"right_child=1 -2 -2 -2 -2 -2 -2", "tree 0: "),
        (r"^split_feature=\S+", "split_feature=9", "tree 0: it splits by a feature beyond its 9"),
        (r"^decision_type=\S+", "decision_type=1", "tree 0: it does not split by size"),
        (r"^leaf_value=\S+", "leaf_value=nan", "tree 0: leaf_value does not hold"),
        (r"^leaf_value=\S+", "leaf_value=1e31", "tree 0: leaf_value is not finite"),
        (r"^threshold=\S+ ", "threshold=", "tree 0: threshold does not hold"),
        (r"^num_leaves=\d+", "num_leaves=2000", "a tree has not 1 to 1,024 leaves"),
        (r"^num_cat=0", "num_cat=1", "tree 0: it is not what LightGBM writes"),
        (r"^is_linear=0", "is_linear=1", "tree 0: it is not what LightGBM writes"),
        (r"^Tree=0", "Tree=1", "tree 0: it is not what LightGBM writes"),
        (r"^objective=.*$", "objective=regression", "its beginning is not that of a binary booster"),
        (r"^max_feature_idx=8", "max_feature_idx=7", "it does not name 8 features"),
        (r"^pandas_categorical:null", "pandas_categorical:[[1]]", "its end is not what LightGBM writes"),
        (r"^\[seed: 7\]", "[seed]", "its end is not what LightGBM writes"),
    ],
)  # fmt: skip  # read as a table
def test_what_is_no_tree_of_lightgbm_is_refused(pattern: str, new: str, why: str) -> None:
    """Each rule by its name, the tree's number, and the way out; LightGBM is not asked."""
    way_out = ".*Roll back to another model, or train again: trader retrain$"
    with pytest.raises(DataError, match=f"^here: not a LightGBM model .*{re.escape(why)}{way_out}"):
        LightGBMForecaster().load(lightgbm_with(pattern, new), "here")


def test_sizes_that_lie_are_refused() -> None:
    """LightGBM jumps by them."""
    with pytest.raises(DataError, match="tree 0: it is not what LightGBM writes"):
        LightGBMForecaster().load(
            lightgbm_with(r"^tree_sizes=\d+", "tree_sizes=999999", fit_sizes=False), "here"
        )
