"""An ensemble of boosted trees as arrays, whichever library grew it: what its exported forms are written from, and by which rows
they are proved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trader.core.types import Bools, Floats, Ints, Matrix

LEAF = -1
# Beyond every float32 that a feature can have.
LARGEST = float(np.finfo(np.float32).max)
# Cells of a table of nodes and features that are worked on at once: 64 MiB of float32.
MOST_CELLS = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """The n nodes of all trees, one tree behind the other, a parent before its children, the root first.

    tree: (n,) the tree of a node, from 0 on. left, right: (n,) its children, as rows of these arrays, LEAF (-1) for a leaf.
    feature, threshold: (n,) what a split compares: a row goes left where x < threshold (is_below), else where x <= threshold.
    missing_left: (n,) whether a NaN goes left. value: (n,) what a leaf adds to the log-odds, 0 for a split.
    base: the log-odds before the first tree. in_double: whether thresholds and sums are float64; else both are float32.
    """

    features: int
    base: float
    is_below: bool
    in_double: bool
    tree: Ints
    left: Ints
    right: Ints
    feature: Ints
    threshold: Floats
    missing_left: Bools
    value: Floats

    @property
    def splits(self) -> Ints:
        """The rows of the nodes that are no leaves."""
        found: Ints = np.flatnonzero(self.left != LEAF)
        return found

    @property
    def roots(self) -> Ints:
        """The row of every tree's root."""
        found: Ints = np.flatnonzero(np.diff(self.tree, prepend=-1))
        return found

    def last_left(self, rows: Ints) -> Matrix:
        """(m,) the largest float32 that goes left at these splits."""
        wanted = self.threshold[rows]
        with np.errstate(over="ignore"):
            found = wanted.astype(np.float32)
        if self.is_below:  # the threshold is a float32 itself, and goes right
            return np.nextafter(found, np.float32(-np.inf))
        below = np.nextafter(found, np.float32(-np.inf))
        return np.where(found.astype(np.float64) > wanted, below, found)


def reachable(trees: Trees) -> Iterator[tuple[Ints, Matrix, Matrix]]:
    """Some trees at a time: the splits (m,) that a row can reach, and the lowest and the highest value of each feature, (m, k)
    float32 each, with which a row reaches them: -LARGEST and LARGEST where any value does. The splits above some contradict each
    other, so that no row does."""
    ends = np.append(trees.roots[1:], len(trees.tree))
    begin, most = 0, max(1, MOST_CELLS // max(1, trees.features))
    for end, after in zip(ends, np.append(ends[1:], 2**62), strict=True):
        if end == len(trees.tree) or after - begin > most:
            yield _boxes_of(trees, begin, int(end))
            begin = int(end)


def _boxes_of(trees: Trees, begin: int, end: int) -> tuple[Ints, Matrix, Matrix]:
    low = np.full((end - begin, trees.features), -LARGEST, np.float32)
    high = np.full((end - begin, trees.features), LARGEST, np.float32)
    level = trees.roots[(trees.roots >= begin) & (trees.roots < end)]
    while len(level := level[trees.left[level] != LEAF]):
        feature, last = trees.feature[level], trees.last_left(level)
        here, left, right = level - begin, trees.left[level] - begin, trees.right[level] - begin
        for child in (left, right):
            low[child], high[child] = low[here], high[here]
        first = np.nextafter(last, np.float32(np.inf))
        high[left, feature] = np.minimum(high[left, feature], last)
        low[right, feature] = np.maximum(low[right, feature], first)
        level = np.concatenate([trees.left[level], trees.right[level]])
    splits = np.flatnonzero(trees.left[begin:end] != LEAF)
    there = splits[(low[splits] <= high[splits]).all(axis=1)]
    return there + begin, low[there], high[there]
