"""Is this text a model that LightGBM would write of trees that can be walked? Asked before LightGBM reads it.

LightGBM trusts a model: a child or a size beyond what is there ends the process. Every line is matched, every number is one, and
the trees are trees. What follows them (importances, parameters) decides nothing and must only look as it always does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.types import Bools, Ints
from trader.forecasters.refusal import InvalidModel, not_a_model

KIND = "a LightGBM model"
MOST_BYTES = 1 << 30
MOST_TREES = 10_000
MOST_FEATURES = 10_000
MOST_LEAVES = 1_024  # of a tree; as the parameters allow
LARGEST_LEAF = 1e30  # in log-odds; the sum of all trees stays finite
LARGEST = 1e300  # of every other number; what LightGBM writes for more

_WHOLE, _REAL = rb"-?[0-9]{1,9}", rb"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?"
_WHOLES = re.compile(rb"%b(?: %b)*" % (_WHOLE, _WHOLE))
_REALS = re.compile(rb"%b(?: %b)*" % (_REAL, _REAL))
_INFO = rb"(?:none|\[%b:%b\])" % (_REAL, _REAL)
_INFOS = re.compile(rb"%b(?: %b)*" % (_INFO, _INFO))
_HEAD = re.compile(
    rb"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=([0-9]{1,4})\n"
    rb"objective=binary sigmoid:1\nfeature_names=(.*)\nfeature_infos=(.*)\ntree_sizes=(.*)\n\n"
)
_REST = re.compile(
    rb"end of trees\n\nfeature_importances:\n(?:Column_[0-9]{1,4}=[0-9]{1,9}\n)*\nparameters:\n"
    rb"(?:\[[a-z0-9_]{1,60}: [A-Za-z0-9_.,+-]{0,200}\]\n){1,500}\nend of parameters\n\npandas_categorical:null\n"
)
# The lines of a tree that hold an item for each split, or for each leaf, and whether they are whole numbers.
_OF_SPLITS, _OF_LEAVES = True, False
_LINES = (
    ("split_feature", _OF_SPLITS, int),
    ("split_gain", _OF_SPLITS, float),
    ("threshold", _OF_SPLITS, float),
    ("decision_type", _OF_SPLITS, int),
    ("left_child", _OF_SPLITS, int),
    ("right_child", _OF_SPLITS, int),
    ("leaf_value", _OF_LEAVES, float),
    ("leaf_weight", _OF_LEAVES, float),
    ("leaf_count", _OF_LEAVES, int),
    ("internal_value", _OF_SPLITS, float),
    ("internal_weight", _OF_SPLITS, float),
    ("internal_count", _OF_SPLITS, int),
)
_TREE = re.compile(
    rb"Tree=([0-9]{1,4})\nnum_leaves=([0-9]{1,4})\nnum_cat=0\n"
    + b"".join(name.encode() + rb"=(.*)\n" for name, _, _ in _LINES)
    + rb"is_linear=0\nshrinkage=(%b)\n\n\n" % _REAL
)
# Splits by size, where a missing value is none, zero or NaN and goes either way; the first bit would be a category's.
_DECISIONS = (0, 2, 4, 6, 8, 10)


def require_trees(text: bytes, source: str) -> int:
    """How many features a row has, once it is known that LightGBM can read the model and walk its trees: every P(up) of finite
    features is finite. Raises DataError, naming `source`, the tree, and what is wrong with it."""
    return read_trees(text, source).features


@dataclass(frozen=True, slots=True)
class Booster:
    """features: how many a row has. leaves: of each tree. lines: the numbers of each line of all trees, by the line's name."""

    features: int
    leaves: Ints
    lines: dict[str, Numbers]


def read_trees(text: bytes, source: str) -> Booster:
    """What a model's text holds, checked as `require_trees` says. Raises DataError."""
    try:
        return _checked(text)
    except InvalidModel as error:
        raise not_a_model(source, KIND, text, error) from None


def _checked(text: bytes) -> Booster:
    if len(text) > MOST_BYTES:
        raise InvalidModel(f"more than {MOST_BYTES >> 20:,} MiB")
    head = _HEAD.match(text)
    if head is None:
        raise InvalidModel("its beginning is not that of a binary booster of trees")
    features = int(head[1]) + 1
    if head[2] != b" ".join(b"Column_%d" % i for i in range(features)) or not _many(
        _INFOS, head[3], features
    ):
        raise InvalidModel(f"it does not name {features:,} features")
    sizes = head[4].split(b" ")
    if not _WHOLES.fullmatch(head[4]) or len(sizes) > MOST_TREES:
        raise InvalidModel(f"it has not 1 to {MOST_TREES:,} trees")
    at, trees = head.end(), []
    for number, size in enumerate(map(int, sizes)):
        found = _TREE.fullmatch(text, at, at + max(0, size))
        if found is None or int(found[1]) != number:
            raise InvalidModel(f"tree {number}: it is not what LightGBM writes")
        at += size
        trees.append(found)
    if not _REST.fullmatch(text, at):
        raise InvalidModel("its end is not what LightGBM writes")
    return _read(trees, features)


def _many(of: re.Pattern[bytes], line: bytes, items: int) -> bool:
    """Whether a line holds so many, a space between two."""
    return line.count(b" ") == items - 1 and of.fullmatch(line) is not None


@dataclass(frozen=True, slots=True)
class Numbers:
    """One line of every tree: its numbers (n,), and the tree of each."""

    values: Any
    tree: Ints

    def require(self, holds: Bools, otherwise: str) -> None:
        """Raises Refused, naming the first tree of which a number does not hold what it must."""
        if not holds.all():
            raise InvalidModel(f"tree {self.tree[int(np.argmin(holds))]}: {otherwise}")


def _read(trees: list[re.Match[bytes]], features: int) -> Booster:
    leaves = np.array([int(found[2]) for found in trees])
    if leaves.min() < 1 or leaves.max() > MOST_LEAVES:
        raise InvalidModel(f"a tree has not 1 to {MOST_LEAVES:,} leaves")
    lines = {}
    for group, (name, of, kind) in enumerate(_LINES, start=3):
        lines[name] = _numbers(name, [found[group] for found in trees], leaves - of, kind)
        largest = LARGEST_LEAF if name == "leaf_value" else LARGEST
        lines[name].require(np.abs(lines[name].values) <= largest, f"{name} is not finite")
    feature, decision = lines["split_feature"], lines["decision_type"]
    known = (feature.values >= 0) & (feature.values < features)
    feature.require(known, f"it splits by a feature beyond its {features:,}")
    decision.require(np.isin(decision.values, _DECISIONS), "it does not split by size")
    _check_shape(lines["left_child"], lines["right_child"], leaves)
    return Booster(features, leaves, lines)


def _numbers(name: str, lines: list[bytes], items: Ints, kind: Any) -> Numbers:
    """The numbers of a line of every tree. Raises Refused unless there are as many as its tree needs."""
    pattern = _WHOLES if kind is int else _REALS
    for number, (line, wanted) in enumerate(zip(lines, items.tolist(), strict=True)):
        if line if not wanted else not _many(pattern, line, wanted):
            raise InvalidModel(f"tree {number}: {name} does not hold {wanted:,} numbers")
    values = np.fromiter(map(kind, b" ".join(lines).split()), kind)
    return Numbers(values, np.repeat(np.arange(len(lines)), items))


def _check_shape(left: Numbers, right: Numbers, leaves: Ints) -> None:
    """Raises Refused unless every split's two children are later splits of its tree or leaves (-1 is the first), and each is
    the child of one split: so no way leads back."""
    splits, tree = leaves - 1, left.tree
    node = np.arange(len(tree)) - np.repeat(np.cumsum(splits) - splits, splits)
    most = leaves[tree]
    children = []
    for child in (left, right):
        later = (child.values > node) & (child.values < most - 1)
        leaf = (child.values < 0) & (child.values >= -most)
        child.require(later | leaf, "a child is neither a later split nor a leaf")
        children.append(np.where(leaf, most - 2 - child.values, child.values))
    first = np.cumsum(2 * leaves) - 2 * leaves  # each tree's own places: its splits, then its leaves
    places = np.concatenate(children) + np.tile(first[tree], 2)
    named = np.bincount(places, minlength=int(2 * leaves.sum()))
    left.require(named[places][: len(tree)] == 1, "two splits have one child")
    right.require(named[places][len(tree) :] == 1, "two splits have one child")
