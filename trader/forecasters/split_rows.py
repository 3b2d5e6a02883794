"""Rows that reach the splits of an ensemble, as few as will do: one row reaches many splits of many trees at once.

The splits above a node leave an interval of each feature. A row that lies within the intervals of several splits reaches all of
them, and asks each at its own threshold, as long as no other's interval ends within the steps about that threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trader.core.types import Bools, Ints, Matrix
from trader.forecasters.trees import LARGEST, Trees, reachable

# Rows that are being filled at a time: more of them need fewer rows, and more comparisons.
OPEN = 16
# The float32 steps about the largest value that goes left, within which a split is asked.
LOWEST_STEP, HIGHEST_STEP = -1, 2


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """X: (r, k) float32, rows that reach m splits. row: (m,) which of them reaches a split; split: (m,) rows of `Trees`;
    feature: (m,) what it compares; last: (m,) the largest value of it that goes left, which X has."""

    X: Matrix
    row: Ints
    split: Ints
    feature: Ints
    last: Matrix

    def at(self, steps: int, which: Bools | None = None) -> tuple[Matrix, Ints]:
        """(a, k) the rows with the features of their splits so many float32 steps above the largest value that goes left, or of
        some splits `which` (m,); and (a,) which rows those are."""
        chosen = slice(None) if which is None else which
        return self._with(stepped(self.last[chosen], steps), chosen)

    def missing(self) -> tuple[Matrix, Ints]:
        """(r, k) the rows without the features of their splits, and (r,) which rows those are."""
        return self._with(np.full(len(self.split), np.nan, np.float32), slice(None))

    def alone(self, split: int, value: Matrix | float) -> Matrix:
        """(1, k) the row of one of the m splits, which alone is asked at a value."""
        X: Matrix = self.X[self.row[split]][None].copy()
        X[0, self.feature[split]] = value
        return X

    def _with(self, value: Matrix, which: Bools | slice) -> tuple[Matrix, Ints]:
        X, row = self.X.copy(), self.row[which]
        X[row, self.feature[which]] = value
        asked = np.unique(row)
        return X[asked], asked


def stepped(values: Matrix, steps: int) -> Matrix:
    """The float32 so many steps above each value."""
    found = values
    for _ in range(abs(steps)):
        found = np.nextafter(found, np.float32(np.copysign(np.inf, steps)))
    return found


def rows_by_split(trees: Trees, base: Matrix) -> Iterator[SplitRows]:
    """A row for every split that can be reached, which lies at the largest value of the split's feature that goes left: one of
    `base` (b, k), without NaN, moved no further than the splits ask. In batches."""
    for nodes, low, high in reachable(trees):
        if len(nodes):
            feature, last = trees.feature[nodes], trees.last_left(nodes)
            row, box = _shared(
                feature, last, (stepped(last, LOWEST_STEP), stepped(last, HIGHEST_STEP)), low, high
            )
            X = _within(base, box)
            X[row, feature] = last
            yield SplitRows(X, row, nodes, feature, last)


def missing_by_split(trees: Trees, base: Matrix) -> Iterator[SplitRows]:
    """The same for rows without the split's feature: no split that shares a row asks for this feature above itself."""
    for nodes, low, high in reachable(trees):
        if len(nodes):
            feature, last = trees.feature[nodes], trees.last_left(nodes)
            ends = np.full(len(nodes), -np.inf, np.float32), np.full(len(nodes), np.inf, np.float32)
            row, box = _shared(feature, np.zeros(len(nodes), np.float32), ends, low, high)
            yield SplitRows(_within(base, box), row, nodes, feature, last)


def _within(base: Matrix, box: tuple[Matrix, Matrix]) -> Matrix:
    """(r, k) rows of `base` moved into the boxes (r, k)."""
    found: Matrix = np.clip(base[np.arange(len(box[0])) % len(base)], *box)
    return found


def _shared(
    feature: Ints, value: Matrix, span: tuple[Matrix, Matrix], low: Matrix, high: Matrix
) -> tuple[Ints, tuple[Matrix, Matrix]]:
    """Gives each of m splits a row that it shares with others: (m,), and the lowest and the highest value of each feature in each
    row, (r, k). A split asks its feature at `value` (m,), and no other split of the row may leave off within `span` of it.

    First fit in a fixed random order, with OPEN rows at a time. `most` (rows, 2k) holds of each row how large a lower end of an
    interval may be, then how large a negative upper end: the row's own ends, and where a split asks the feature, that span.
    """
    m, k = low.shape
    here = np.arange(m)
    wanted, ends = np.concatenate([low, -high], axis=1), np.concatenate([high, -low], axis=1)
    wanted[wanted == -LARGEST], ends[ends == LARGEST] = -np.inf, np.inf  # any value
    wanted[here, feature] = wanted[here, k + feature] = -np.inf  # a split need not suit its own feature
    ends[here, feature] = ends[here, k + feature] = np.inf
    most, asked = np.full((OPEN, 2 * k), np.inf, np.float32), np.full((OPEN, k), np.nan, np.float32)
    number, count, closed = np.arange(OPEN), np.zeros(OPEN, np.int64), OPEN
    rows, boxes = np.empty(m, np.int64), np.empty((m + OPEN, 2 * k), np.float32)
    for i in np.random.default_rng(20).permutation(m).tolist():
        at, lowest, highest = feature[i], span[0][i], span[1][i]
        there = asked[:, at]
        fits = (wanted[i] <= most).all(axis=1)
        fits &= (there == value[i]) | (
            np.isnan(there) & (most[:, at] >= highest) & (most[:, k + at] >= -lowest)
        )
        chosen = int(fits.argmax())
        if not fits[chosen]:  # the fullest row makes room
            chosen = int(count.argmax())
            boxes[number[chosen]] = most[chosen]
            most[chosen], asked[chosen] = np.inf, np.nan
            number[chosen], count[chosen], closed = closed, 0, closed + 1
        np.minimum(most[chosen], ends[i], out=most[chosen])
        most[chosen, at], most[chosen, k + at], asked[chosen, at] = lowest, -highest, value[i]
        count[chosen] += 1
        rows[i] = number[chosen]
    boxes[number] = most
    used, row = np.unique(rows, return_inverse=True)
    return row.reshape(-1), _ends_of(boxes[used], k)


def _ends_of(boxes: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """The lowest and the highest value of each feature; where a split asks for it any, since that is put in afterwards."""
    upper, lower = boxes[:, :k], -boxes[:, k:]
    return np.minimum(lower, upper), np.maximum(lower, upper)
