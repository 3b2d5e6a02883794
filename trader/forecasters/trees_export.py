"""What a family of trees needs to be exportable: it says its trees, and everything else is here."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from trader.core.errors import UnequalExport
from trader.core.exports import TOLERANCE, ExportFacts, ExportForm, ExportProof, ProofScene
from trader.core.text import plural
from trader.core.types import Bools, Ints, Matrix, iso
from trader.forecasters.onnx_runtime import OnnxRowPredictor, row_predictor
from trader.forecasters.rows import RowPredictor
from trader.forecasters.split_rows import SplitRows, missing_by_split, rows_by_split, stepped
from trader.forecasters.trees import Trees
from trader.forecasters.trees_onnx import onnx_of

ROWS_AT_ONCE = 8_192
MISSING_ROWS = 200  # with NaN, at least
NEAR_ZERO = 2e-35
# Of a row (k,) and its number among those that were asked: the row that shows a difference, and what is asked there, in words.
Blame = Callable[[int, Matrix], tuple[Matrix, str]]


class ExportsTrees(ABC):
    """A forecaster of trees whose models can be exported: see `trader.core.ports.Exportable`."""

    export_forms: tuple[ExportForm, ...] = ("onnx",)

    @abstractmethod
    def load(self, model: bytes, source: str) -> RowPredictor:
        """As a forecaster does."""

    @abstractmethod
    def trees(self, model: bytes, source: str) -> Trees:
        """The trees of a model's bytes. Raises DataError for other bytes, and for trees that cannot be exported."""

    def export(self, model: bytes, form: ExportForm, facts: ExportFacts) -> bytes:
        """A model's bytes as ONNX."""
        return onnx_of(self.trees(model, facts.model_id), facts)

    def load_exported(self, data: bytes, form: ExportForm, source: str) -> RowPredictor:
        """A predictor from such bytes, by onnxruntime on one thread."""
        return row_predictor(data, source)

    def prove(
        self, model: bytes, data: bytes, form: ExportForm, facts: ExportFacts, scene: ProofScene
    ) -> ExportProof:
        """Every split that a row can reach is asked at its threshold, at both float32 neighbours and with NaN; then rows with
        NaN in each feature, real and drawn ones."""
        began = time.perf_counter()
        trees, exported = self.trees(model, facts.model_id), row_predictor(data, "the exported file")
        _require_facts(exported, facts)
        comparison = _Comparison(self.load(model, facts.model_id), exported, facts)
        reached = 0
        for batch in rows_by_split(trees, scene.drawn):
            reached += len(batch.split)
            comparison.of_splits(batch, trees)
        for batch in missing_by_split(trees, scene.drawn):
            comparison.of_missing(batch, trees)
        comparison.of_rows(_with_missing(scene.drawn), "a row with missing features")
        comparison.of_rows(scene.drawn, "a drawn row")
        if scene.is_real:
            comparison.of_rows(scene.panel.X[0], "the hour", scene.hours)
        splits = trees.splits
        pairs = np.stack([trees.feature[splits], trees.threshold[splits]])
        return ExportProof(
            form,
            hashlib.sha256(data).hexdigest(),
            comparison.rows,
            comparison.real_rows,
            comparison.missing_rows,
            comparison.largest,
            TOLERANCE,
            round(time.perf_counter() - began, 3),
            trees=len(trees.roots),
            splits=len(splits),
            thresholds=np.unique(pairs, axis=1).shape[1],
            unreachable_splits=len(splits) - reached,
        )


def _require_facts(exported: OnnxRowPredictor, facts: ExportFacts) -> None:
    """Raises UnequalExport for a file that says other things of itself than the card."""
    wanted, found = facts.as_texts(), exported.facts.as_texts()
    odd = [name for name, value in wanted.items() if found[name] != value]
    if odd:
        raise UnequalExport(
            f"{facts.model_id}: the exported file says {odd[0]} {found[odd[0]]}, and the card {wanted[odd[0]]}. Nothing was "
            "written"
        )


def _asked_at(trees: Trees, splits: Ints) -> Iterator[tuple[int, Bools]]:
    """How many steps above the largest value that goes left, and which of the splits are asked there: a threshold that is a
    float32 has two neighbours and itself, one between two of them only these."""
    every = np.ones(len(splits), np.bool_)
    if trees.is_below:
        yield from ((0, every), (1, every), (2, every))
        return
    threshold = trees.threshold[splits]
    with np.errstate(over="ignore"):
        yield -1, threshold == threshold.astype(np.float32)
    yield from ((0, every), (1, every))
    yield 2, np.abs(threshold) < NEAR_ZERO  # LightGBM's own threshold may be the next


def _with_missing(base: Matrix) -> Matrix:
    """Rows without any feature, rows that lack one feature each, and rows that lack half of them."""
    k, rng = base.shape[1], np.random.default_rng(20)
    nothing = np.full((1, k), np.nan, np.float32)
    one = np.repeat(base[: max(1, MISSING_ROWS // k)], k, axis=0)
    one[np.arange(len(one)), np.arange(len(one)) % k] = np.nan
    half = base[:MISSING_ROWS].copy()
    half[rng.random(half.shape) < 0.5] = np.nan
    return np.concatenate([nothing, one, half])


@dataclass(slots=True)
class _Comparison:
    """The model and its exported form, asked the same rows; what was asked so far."""

    model: RowPredictor
    exported: RowPredictor
    facts: ExportFacts
    rows: int = 0
    real_rows: int = 0
    missing_rows: int = 0
    largest: float = field(default=0.0)

    def of_splits(self, batch: SplitRows, trees: Trees) -> None:
        """At the threshold and at both float32 neighbours. Where x < t goes left, the largest value that does is the lower
        neighbour of t; else it is t, or the float32 below a t that is none."""
        for steps, which in _asked_at(trees, batch.split):
            if which.any():
                X, rows = batch.at(steps, which)
                self._of(
                    X, self._blame(batch, trees, rows, np.flatnonzero(which), stepped(batch.last, steps))
                )

    def of_missing(self, batch: SplitRows, trees: Trees) -> None:
        """With NaN in place of the features of the splits."""
        X, rows = batch.missing()
        nothing = np.full(len(batch.split), np.nan, np.float32)
        self._of(X, self._blame(batch, trees, rows, np.arange(len(batch.split)), nothing))

    def of_rows(self, X: Matrix, what: str, hours: Ints | None = None) -> None:
        """Rows as they are. hours: of real ones."""
        self._of(X, lambda row, x: (x, what if hours is None else f"{what} {iso(int(hours[row]))}"))
        self.real_rows += 0 if hours is None else len(X)

    def _blame(self, batch: SplitRows, trees: Trees, rows: Ints, asked: Ints, value: Matrix) -> Blame:
        """Of a row that asks several splits: the first of them that shows a difference by itself, else the first of them in the
        row of all. rows: which rows were asked; asked: which splits; value: (m,) at which value of their features."""

        def blamed(row: int, x: Matrix) -> tuple[Matrix, str]:
            splits = asked[batch.row[asked] == rows[row]]
            for i in splits.tolist():
                alone = batch.alone(i, value[i])
                if _unequal(*self._both(alone)).any():
                    return alone[0], self._words(batch, trees, i)
            others = "" if len(splits) == 1 else f", as {plural(len(splits) - 1, 'other tree')} by theirs,"
            return x, self._words(batch, trees, int(splits[0])) + others

        return blamed

    def _words(self, batch: SplitRows, trees: Trees, i: int) -> str:
        split = int(batch.split[i])
        name, threshold = self.facts.columns[int(batch.feature[i])], float(trees.threshold[split])
        return f"a row that tree {int(trees.tree[split])} splits by {name} at {threshold:.9g}"

    def _both(self, X: Matrix) -> tuple[Matrix, Matrix]:
        return self.model.scores(X), self.exported.scores(X)

    def _of(self, X: Matrix, blame: Blame) -> None:
        for at in range(0, len(X), ROWS_AT_ONCE):
            part = X[at : at + ROWS_AT_ONCE]
            ours, theirs = self._both(part)
            unequal = _unequal(ours, theirs)
            if unequal.any():
                row = int(np.argmax(unequal))
                self._refuse(*blame(at + row, part[row]))
            self.rows += len(part)
            self.missing_rows += int(np.isnan(part).any(axis=1).sum())
            self.largest = max(self.largest, float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0)))

    def _refuse(self, row: Matrix, what: str) -> None:
        (ours,), (theirs,) = self._both(row[None])
        said = ", ".join(
            f"{name}={value:.9g}" for name, value in zip(self.facts.columns, row.tolist(), strict=True)
        )
        raise UnequalExport(
            f"{self.facts.model_id}: at {what} the model says P(up) {ours:.9g} and the exported file {theirs:.9g}, more than "
            f"{TOLERANCE:g} apart. Nothing was written. The row: {said}"
        )


def _unequal(ours: Matrix, theirs: Matrix) -> Bools:
    """Where two answers (m,) are too far apart; a NaN is, too."""
    found: Bools = ~(np.abs(ours.astype(np.float64) - theirs) <= TOLERANCE)
    return found
