"""An ensemble of trees as ONNX, written node by node from the very arrays that were read of the model.

The graph is TreeEnsembleRegressor (ai.onnx.ml 3) -> Sigmoid. Of float32 trees every number is the model's own, and the base
comes first, as a tree of one leaf: so a runtime that adds one tree after the other adds as the library does, to the bit. Of
float64 trees the input is widened first. The sigmoid is computed in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trader.core.exports import ExportFacts
from trader.core.types import Floats, Ints
from trader.forecasters.onnx_runtime import INPUT, OUTPUT, require_library
from trader.forecasters.trees import LEAF, Trees

OPSETS = (("", 17), ("ai.onnx.ml", 3))
IR_VERSION = 8


def onnx_of(trees: Trees, facts: ExportFacts) -> bytes:
    """The bytes of the file. Input `features` (n, k) float32, NaN where unknown; output `p_up` (n,) float32."""
    require_library("onnx", "export")
    from onnx import TensorProto, helper

    rows = "doubles" if trees.in_double else INPUT
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor", [rows], ["log_odds"], domain="ai.onnx.ml", **_attributes(trees)
        ),
        helper.make_node("Cast", ["log_odds"], ["log_odds_double"], to=TensorProto.DOUBLE),
        helper.make_node("Sigmoid", ["log_odds_double"], ["p_up_double"]),
        helper.make_node("Cast", ["p_up_double"], ["p_up_column"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["p_up_column", "flat"], [OUTPUT]),
    ]
    if trees.in_double:
        nodes.insert(0, helper.make_node("Cast", [INPUT], [rows], to=TensorProto.DOUBLE))
    graph = helper.make_graph(
        nodes,
        "p_up",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", trees.features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows"])],
        [helper.make_tensor("flat", TensorProto.INT64, [1], [-1])],
    )
    return serialised(graph, facts.as_texts())


def serialised(graph: Any, texts: dict[str, str]) -> bytes:
    """The bytes of a graph with its metadata."""
    from onnx import helper

    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hourly-trader"
    )
    helper.set_model_props(model, dict(sorted(texts.items())))
    return bytes(model.SerializeToString(deterministic=True))


def _attributes(trees: Trees) -> dict[str, Any]:
    """Those of the operator: the nodes of all trees, the values of all leaves."""
    first = 0 if trees.in_double else 1  # the base is the first tree
    is_leaf, number = trees.left == LEAF, _numbers(trees)
    root = np.arange(len(trees.tree)) - number
    children = [np.where(is_leaf, 0, child - root) for child in (trees.left, trees.right)]
    branch = "BRANCH_LT" if trees.is_below else "BRANCH_LEQ"
    leaves = np.flatnonzero(is_leaf)
    base = [0] * first
    found: dict[str, Any] = {
        "nodes_treeids": base + (trees.tree + first).tolist(),
        "nodes_nodeids": base + number.tolist(),
        "nodes_featureids": base + np.where(is_leaf, 0, trees.feature).tolist(),
        "nodes_modes": ["LEAF"] * first + np.where(is_leaf, "LEAF", branch).tolist(),
        "nodes_truenodeids": base + children[0].tolist(),
        "nodes_falsenodeids": base + children[1].tolist(),
        "nodes_missing_value_tracks_true": base + (trees.missing_left & ~is_leaf).astype(int).tolist(),
        "target_treeids": base + (trees.tree[leaves] + first).tolist(),
        "target_nodeids": base + number[leaves].tolist(),
        "target_ids": base + [0] * len(leaves),
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }
    thresholds = np.where(is_leaf, 0.0, trees.threshold)
    weights = trees.value[leaves]
    if trees.in_double:
        return {
            **found,
            **_doubles(nodes_values=thresholds, target_weights=weights, base_values=np.array([trees.base])),
        }
    return {
        **found,
        "nodes_values": [0.0, *thresholds.tolist()],
        "target_weights": [trees.base, *weights.tolist()],
    }


def _doubles(**arrays: Floats) -> dict[str, Any]:
    from onnx import numpy_helper

    return {
        f"{name}_as_tensor": numpy_helper.from_array(it.astype(np.float64)) for name, it in arrays.items()
    }


def _numbers(trees: Trees) -> Ints:
    """(n,) the number of each node within its tree."""
    roots = trees.roots
    sizes = np.diff(np.append(roots, len(trees.tree)))
    found: Ints = np.arange(len(trees.tree)) - np.repeat(roots, sizes)
    return found
