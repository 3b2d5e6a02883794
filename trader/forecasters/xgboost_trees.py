"""Are these bytes a model that XGBoost would write of trees that can be walked? Asked before XGBoost reads them.

XGBoost trusts a model: a child beyond the nodes, a cycle, an array of another length end the process or never end. So nothing but
the trees is read here at all: what stands before and behind them, and between their arrays, is written anew from the few values
that may differ, and compared. The nodes of all trees are looked at together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

import numpy as np

from trader.core.types import Bools, Ints
from trader.forecasters.refusal import InvalidModel, not_a_model, symbols_of
from trader.forecasters.ubjson import SIZES, Packed, Value, encode, integer, key, length, packed_head

KIND = "an XGBoost model in UBJSON"
MOST_BYTES = 1 << 30
MOST_TREES = 10_000
MOST_FEATURES = 10_000
DEEPEST = 30  # splits above a leaf; all three are bounds of the parameters
LEAST_BASE = 1e-30  # of the base score, a probability whose log-odds are finite in float32
NO_PARENT = 2**31 - 1
# What rows weigh in a node, as a share of all: a leaf is given at least 1 of them. Contributions divide by it.
LEAST_WEIGHT = 1e-7
WEIGHT_ERROR = 1e-3  # of a sum in float32
LARGEST = 1e30  # of a leaf in log-odds; the sum of all trees stays finite in float32

_TAIL_BYTES = 1_024
_TAIL = re.compile(
    rb"base_scoreSL.{8}\[([0-9]{1,20}(?:\.[0-9]{1,20})?(?:E-?[0-9]{1,3})?)\]L.{8}boost_from_averageSL.{8}([01])L.{8}"
    rb"num_classSL.{8}0L.{8}num_featureSL.{8}([1-9][0-9]{0,4})L.*versionL?\[#L.{8}i\x03i(.)i(.)}\Z",
    re.DOTALL,
)


def require_trees(model: bytes, source: str) -> None:
    """Raises DataError, naming `source`, the tree, and what is wrong with it, unless XGBoost can read the model and walk its
    trees: then every P(up) of finite features is finite."""
    read_trees(model, source)


def read_trees(model: bytes, source: str) -> Booster:
    """What a model's bytes hold, checked as `require_trees` says. Raises DataError."""
    try:
        return _read_model(model)
    except InvalidModel as error:
        raise not_a_model(source, KIND, model, error) from None


def _read_model(model: bytes) -> Booster:
    if len(model) > MOST_BYTES:
        raise InvalidModel(f"more than {MOST_BYTES >> 20:,} MiB")
    found = _TAIL.search(model[-_TAIL_BYTES:])
    if found is None:
        raise InvalidModel("its end is not that of a binary:logistic booster of trees")
    score, from_average, features, minor, patch = found.groups()
    if not LEAST_BASE < np.float32(score) < 1:
        raise InvalidModel(f"base_score {score.decode()} is no probability between 0 and 1")
    if int(features) > MOST_FEATURES:
        raise InvalidModel(f"{int(features):,} features; there are at most {MOST_FEATURES:,}")
    tail = _tail(score.decode(), from_average.decode(), int(features), (3, minor[0], patch[0]))
    if not model.endswith(tail):
        raise InvalidModel("its end is not what XGBoost writes")
    symbols, trees = _symbols(model), _number_of_trees(model)
    head = _head(symbols, trees)
    if not model.startswith(head):
        raise InvalidModel("its beginning is not what XGBoost writes")
    nodes = _read(model, len(head), len(model) - len(tail), trees, int(features))
    _check_values(nodes, int(features))
    _check_shape(nodes)
    return Booster(float(np.float32(score)), int(features), nodes)


def _symbols(model: bytes) -> tuple[str, ...]:
    start = b"{" + key("learner") + b"{" + key("attributes") + b"{" + key("symbols") + b"SL"
    if not model.startswith(start):
        return ()
    at = len(start) + 8
    size = int.from_bytes(model[len(start) : at], "big")
    return symbols_of(model[at : at + size].decode("ascii", "replace").split(","))


def _number_of_trees(model: bytes) -> int:
    at = model.find(key("num_trees") + b"SL")
    found = re.compile(rb"[1-9][0-9]{0,4}").match(model, at + len(key("num_trees")) + 10) if at >= 0 else None
    if found is None or int(found[0]) > MOST_TREES:
        raise InvalidModel(f"its number of trees is not 1 to {MOST_TREES:,}")
    return int(found[0])


@lru_cache(maxsize=8)
def _head(symbols: tuple[str, ...], trees: int) -> bytes:
    """All that stands before the first tree."""
    nothing: list[Value] = []
    cats: Value = {"enc": nothing, "feature_segments": Packed(b"l"), "sorted_idx": Packed(b"l")}
    numbers: Value = {"num_parallel_tree": "1", "num_trees": str(trees)}
    model: Value = {
        "cats": cats,
        "gbtree_model_param": numbers,
        "iteration_indptr": list(range(trees + 1)),
        "tree_info": [0] * trees,
    }
    attributes: Value = {"symbols": ",".join(symbols)} if symbols else {}
    before: Value = {"attributes": attributes, "feature_names": nothing, "feature_types": nothing}
    opened = (
        b"{" + key("learner") + _open(before) + key("gradient_booster") + b"{" + key("model") + _open(model)
    )
    return opened + key("trees") + b"[#" + length(trees)


def _open(value: Value) -> bytes:
    """An object that goes on."""
    return encode(value)[:-1]


@lru_cache(maxsize=8)
def _tail(score: str, from_average: str, features: int, version: tuple[int, int, int]) -> bytes:
    """All that stands behind the last tree."""
    param: Value = {
        "base_score": f"[{score}]",
        "boost_from_average": from_average,
        "num_class": "0",
        "num_feature": str(features),
        "num_target": "1",
    }
    objective: Value = {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}
    rest: Value = {"learner_model_param": param, "objective": objective}
    return (
        b"}"
        + key("name")
        + encode("gbtree")
        + b"}"
        + encode(rest)[1:]
        + key("version")
        + encode(list(version))
        + b"}"
    )


ID = "id"
# The arrays of a tree as they follow each other, and whether each has an item a node: those of categories, which no feature
# here has, are empty.
_ARRAYS = (
    ("base_weights", b"d", True),
    ("categories", b"l", False),
    ("categories_nodes", b"l", False),
    ("categories_segments", b"L", False),
    ("categories_sizes", b"L", False),
    ("default_left", b"U", True),
    (ID, b"", False),
    ("left_children", b"l", True),
    ("loss_changes", b"d", True),
    ("parents", b"l", True),
    ("right_children", b"l", True),
    ("split_conditions", b"d", True),
    ("split_indices", b"l", True),
    ("split_type", b"U", True),
    ("sum_hessian", b"d", True),
)
_NUMPY = {b"d": (">f4", np.float32), b"l": (">i4", np.int64), b"U": ("u1", np.uint8)}
_NODES_AT = len(b"{" + key("base_weights") + packed_head(b"d", 0)) - 8
_NODE_BYTES = sum(SIZES[kind] for _, kind, a_node in _ARRAYS if a_node)
_FILLED = [it for it in _ARRAYS if it[0] == ID or it[2]]
_ID_PART = 2 * [name for name, _, _ in _FILLED].index(ID) + 1


@dataclass(frozen=True, slots=True)
class _Layout:
    """A tree of some size in parts: bytes that are the only ones possible and arrays (or the id), by turns."""

    parts: Struct
    constants: tuple[bytes, ...]


@lru_cache(maxsize=512)
def _layout(nodes: int, id_bytes: int, features: int) -> _Layout:
    constants, sizes, before = [], [], b"{"
    for name, kind, a_node in _ARRAYS:
        before += key(name)
        if kind:
            before += packed_head(kind, nodes if a_node else 0)
        if name == ID or a_node:
            constants.append(before)
            sizes.append(id_bytes if name == ID else nodes * SIZES[kind])
            before = b""
    param: Value = {
        "num_deleted": "0",
        "num_feature": str(features),
        "num_nodes": str(nodes),
        "size_leaf_vector": "1",
    }
    constants.append(before + key("tree_param") + encode(param) + b"}")
    parts = [f"{len(constant)}s{size}s" for constant, size in zip(constants, [*sizes, 0], strict=True)]
    return _Layout(Struct("".join(parts)), tuple(constants))


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of all trees, one tree behind the other. tree: each node's (n,); root: where its tree begins (n,)."""

    tree: Ints
    root: Ints
    arrays: Mapping[str, Any]

    def require(self, holds: Bools, otherwise: str) -> None:
        """Raises Refused, naming the first tree of which a node does not hold what it must."""
        if not holds.all():
            raise InvalidModel(f"tree {self.tree[int(np.argmin(holds))]}: {otherwise}")


@dataclass(frozen=True, slots=True)
class Booster:
    """base_score: the probability before the first tree, a float32. features: how many a row has. nodes: of all trees."""

    base_score: float
    features: int
    nodes: Nodes


def _read(model: bytes, at: int, end: int, trees: int, features: int) -> Nodes:
    """The arrays of the trees. Raises Refused for bytes that are not those of XGBoost."""
    sizes, read = np.zeros(trees, np.int64), []
    for number in range(trees):
        count = int.from_bytes(model[at + _NODES_AT : at + _NODES_AT + 8], "big")
        if not 1 <= count <= (end - at) // _NODE_BYTES:
            raise InvalidModel(f"tree {number}: {count:,} nodes do not lie in what is left of the bytes")
        written = integer(number)
        layout = _layout(count, len(written), features)
        parts = layout.parts.unpack_from(model, at) if at + layout.parts.size <= end else ()
        if parts[::2] != layout.constants or parts[_ID_PART] != written:
            raise InvalidModel(f"tree {number}: it is not what XGBoost writes of {count:,} nodes")
        read.append(parts[1::2])
        sizes[number] = count
        at += layout.parts.size
    if at != end:
        raise InvalidModel(f"its {trees:,} trees do not end where they must")
    arrays = {}
    for (name, kind, _), parts in zip(_FILLED, zip(*read, strict=True), strict=False):
        if kind:
            stored, wanted = _NUMPY[kind]
            arrays[name] = np.frombuffer(b"".join(parts), stored).astype(wanted)
    return Nodes(np.repeat(np.arange(trees), sizes), np.repeat(np.cumsum(sizes) - sizes, sizes), arrays)


def _check_values(nodes: Nodes, features: int) -> None:
    """Raises Refused unless every number is one that XGBoost can learn from float32 features without categories."""
    it = nodes.arrays
    for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian"):
        nodes.require(np.abs(it[name]) <= LARGEST, f"{name} are not finite")
    weight = it["sum_hessian"]
    nodes.require((weight > 0) & (weight >= LEAST_WEIGHT * weight[nodes.root]), "sum_hessian is not above 0")
    nodes.require(it["split_type"] == 0, "it splits by categories")
    nodes.require(it["default_left"] <= 1, "default_left is neither 0 nor 1")
    known = (it["split_indices"] >= 0) & (it["split_indices"] < features)
    nodes.require(known, f"it splits by a feature beyond its {features:,}")


def _check_shape(nodes: Nodes) -> None:
    """Raises Refused unless each node has two children behind it that name it as their parent, or none: so every node but
    the first is the child of one, and no way leads back."""
    left, right, parents = (nodes.arrays[name] for name in ("left_children", "right_children", "parents"))
    here = np.arange(len(left))
    node, size = here - nodes.root, np.bincount(nodes.tree)[nodes.tree]
    inner = left != -1
    nodes.require(inner == (right != -1), "a node has one child")
    within = (left > node) & (left < size) & (right > node) & (right < size) & (left != right)
    nodes.require(within | ~inner, "a child is none of the later nodes")
    weight = nodes.arrays["sum_hessian"].astype(np.float64)
    of_children = (
        weight[np.where(inner, left + nodes.root, 0)] + weight[np.where(inner, right + nodes.root, 0)]
    )
    adds_up = np.abs(of_children - weight) <= WEIGHT_ERROR * weight
    nodes.require(adds_up | ~inner, "sum_hessian is not that of its children")
    for child in (left, right):
        named = parents[np.where(inner, child + nodes.root, 0)] == node
        nodes.require(named | ~inner, "a child does not name its parent")
    children = 2 * np.bincount(nodes.tree, weights=inner)[nodes.tree]
    nodes.require(children == size - 1, "a node is nobody's child")
    nodes.require((node > 0) | (parents == NO_PARENT), "its root has a parent")
    above = np.where(
        node > 0, parents + nodes.root, here
    )  # each was named as a child, so a node of this tree
    at = above
    for _ in range(DEEPEST - 1):
        if not (at > nodes.root).any():
            return
        at = above[at]
    nodes.require(at == nodes.root, f"it is deeper than {DEEPEST} splits")
