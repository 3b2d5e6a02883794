"""A file that differs from its model in one number is refused: each threshold by one float32 step, each leaf, each direction."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from tests.exports.ensembles import FORECASTERS, Ensemble, grown, labels, rows, walked
from trader.core.errors import UnequalExport
from trader.forecasters.split_rows import missing_by_split
from trader.forecasters.trees import LEAF

X = rows()
MODELS = {
    "xgboost": grown("xgboost", X, labels(X), n_estimators=2),
    "lightgbm": grown("lightgbm", X, labels(X), n_estimators=3),
}
Change = Callable[[Any], None]


def prove(it: Ensemble, data: bytes) -> None:
    """As the export does."""
    FORECASTERS[it.family].prove(it.model, data, "onnx", it.facts, it.scene)


def changed(it: Ensemble, change: Change) -> bytes:
    """The file with a changed model."""
    model = onnx.load_from_string(it.exported())
    change(model)
    return bytes(model.SerializeToString())


def attributes(model: Any) -> dict[str, Any]:
    """Those of the operator that holds the trees."""
    (node,) = (it for it in model.graph.node if it.op_type == "TreeEnsembleRegressor")
    return {it.name: it for it in node.attribute}


def in_numbers(name: str, at: int, value: Callable[[float], float]) -> Change:
    """One number of the trees is another: floats of XGBoost, a tensor of doubles of LightGBM, or whole numbers."""

    def change(model: Any) -> None:
        found = attributes(model)
        if f"{name}_as_tensor" in found:
            tensor = found[f"{name}_as_tensor"].t
            numbers = onnx.numpy_helper.to_array(tensor).copy()
            numbers[at] = value(numbers[at])
            tensor.CopyFrom(onnx.numpy_helper.from_array(numbers))
        elif found[name].floats:
            found[name].floats[at] = value(found[name].floats[at])
        else:
            found[name].ints[at] = int(value(found[name].ints[at]))

    return change


def always(value: float) -> Callable[[float], float]:
    """This number, whatever is there."""
    return lambda _: value


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("steps", [-1, 1])
def test_a_threshold_that_is_a_step_off_is_refused(family: str, steps: int) -> None:
    """Every split of every tree, up and down by one float32: of a double threshold from the last float32 that goes left."""
    it = MODELS[family]
    first = 0 if it.trees.in_double else 1
    splits = it.trees.splits
    assert len(splits) >= 10
    base = it.trees.last_left(splits) if it.trees.in_double else it.trees.threshold[splits].astype(np.float32)
    for split, off in zip(
        splits.tolist(), np.nextafter(base, np.float32(steps * np.inf)).tolist(), strict=True
    ):
        data = changed(it, in_numbers("nodes_values", split + first, always(off)))
        with pytest.raises(
            UnequalExport, match=r"at a row that tree \d splits by c\d at .* Nothing was written"
        ):
            prove(it, data)


@pytest.mark.parametrize("family", MODELS)
def test_a_leaf_that_is_off_is_refused(family: str) -> None:
    """Every leaf of every tree, by a hundred-thousandth in log-odds or more."""
    it = MODELS[family]
    for leaf in range(int((it.trees.left == LEAF).sum()) + (0 if it.trees.in_double else 1)):
        with pytest.raises(UnequalExport, match="more than 1e-06 apart"):
            prove(it, changed(it, in_numbers("target_weights", leaf, lambda weight: weight + 3e-5)))


@pytest.mark.parametrize("family", MODELS)
def test_a_missing_value_that_goes_the_other_way_is_refused(family: str) -> None:
    """Every split that a NaN of its feature reaches: above the others the same feature sends it elsewhere."""
    it = MODELS[family]
    trees, first = it.trees, 0 if it.trees.in_double else 1
    reached = 0
    for batch in missing_by_split(trees, it.scene.drawn):
        X, _ = batch.missing()
        for row, split in zip(batch.row.tolist(), batch.split.tolist(), strict=True):
            if split not in walked(trees, X[row])[0]:
                continue
            reached += 1
            turned = in_numbers("nodes_missing_value_tracks_true", split + first, lambda left: 1 - left)
            with pytest.raises(UnequalExport, match="=nan"):
                prove(it, changed(it, turned))
    assert reached > len(trees.splits) // 2


@pytest.mark.parametrize("family", MODELS)
def test_another_feature_or_comparison_is_refused(family: str) -> None:
    """A split by its neighbour's feature; all splits with <= in place of <, or the other way."""
    it = MODELS[family]
    first, split = 0 if it.trees.in_double else 1, int(it.trees.splits[0])
    with pytest.raises(UnequalExport):
        prove(it, changed(it, in_numbers("nodes_featureids", split + first, lambda at: (at + 1) % 6)))

    def compared_otherwise(model: Any) -> None:
        modes = attributes(model)["nodes_modes"].strings
        for i, mode in enumerate(modes):
            modes[i] = {b"BRANCH_LT": b"BRANCH_LEQ", b"BRANCH_LEQ": b"BRANCH_LT"}.get(mode, mode)

    with pytest.raises(UnequalExport):
        prove(it, changed(it, compared_otherwise))


@pytest.mark.parametrize("family", MODELS)
def test_features_in_another_order_are_refused(family: str) -> None:
    """Swapped in the trees, or in what the file says of itself."""
    it = MODELS[family]

    def swapped(model: Any) -> None:
        ids = attributes(model)["nodes_featureids"].ints
        for i, feature in enumerate(ids):
            ids[i] = {0: 1, 1: 0}.get(feature, feature)

    with pytest.raises(UnequalExport, match="more than 1e-06 apart"):
        prove(it, changed(it, swapped))

    def renamed(model: Any) -> None:
        for prop in model.metadata_props:
            if prop.key == "columns":
                prop.value = prop.value.replace('"c0", "c1"', '"c1", "c0"')

    with pytest.raises(UnequalExport, match=r'the exported file says columns \["c1", "c0"'):
        prove(it, changed(it, renamed))


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("name", ["model_sha256", "card_sha256", "model_id", "family"])
def test_a_file_of_another_model_is_refused(family: str, name: str) -> None:
    """Though its trees are these."""
    it = MODELS[family]

    def renamed(model: Any) -> None:
        for prop in model.metadata_props:
            if prop.key == name:
                prop.value = "other"

    with pytest.raises(UnequalExport, match=f"says {name} other, and the card"):
        prove(it, changed(it, renamed))


def test_the_error_tells_the_whole_row() -> None:
    """Feature, threshold, both values and every number of the row."""
    it = MODELS["xgboost"]
    leaf = in_numbers("target_weights", 1, lambda weight: weight + 1.0)
    with pytest.raises(UnequalExport) as refused:
        prove(it, changed(it, leaf))
    text = str(refused.value)
    assert re.search(
        r"a row that tree 0 splits by c\d at \S+ the model says P\(up\) 0\.\d+ and the exported file 0\.\d+",
        text,
    )
    assert all(f"c{i}=" in text for i in range(6))
    assert UnequalExport.exit_code == 1
