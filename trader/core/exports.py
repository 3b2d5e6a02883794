"""A model in a form that other programs run, and the proof that this form says what the model says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from trader.core.errors import DataError
from trader.core.panel import Panel
from trader.core.types import Ints, Matrix

ExportForm = Literal["onnx", "torchscript"]
FORMS: tuple[ExportForm, ...] = get_args(ExportForm)
# PyTorch's own documentation calls TorchScript deprecated.
LEGACY_FORMS: tuple[ExportForm, ...] = ("torchscript",)
SCHEMA = "export/1"
# By how much P(up) of an exported form may differ from that of the model.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What an exported file says of itself. columns: the features of a row, in the order of the input; empty for a family that
    reads the series. card_sha256: of the model's card. horizon_hours: what P(up) is about."""

    model_id: str
    model_sha256: str
    card_sha256: str
    family: str
    symbols: tuple[str, ...]
    features: str
    columns: tuple[str, ...]
    horizon_hours: int

    def as_texts(self) -> dict[str, str]:
        """As the metadata of a file, texts by name; lists and numbers as JSON."""
        values = {name: it if isinstance(it, str) else json.dumps(it) for name, it in asdict(self).items()}
        return {"schema": SCHEMA, **values}


def facts_of(texts: Mapping[str, str], source: str) -> ExportFacts:
    """The facts of a file's metadata. Raises DataError, naming `source`, for a file that says something else."""
    try:
        values: dict[str, Any] = {it.name: texts[it.name] for it in fields(ExportFacts)}
        for name in ("symbols", "columns"):
            values[name] = _texts(json.loads(values[name]))
        values["horizon_hours"] = int(values["horizon_hours"])
        found = ExportFacts(**values)
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise not_an_export(source, f"its metadata: {error!r}"[:160]) from None
    if texts.get("schema") != SCHEMA:
        raise not_an_export(source, f"the schema of its metadata is not {SCHEMA}")
    return found


def not_an_export(source: str, why: str) -> DataError:
    """The error of bytes that are no exported model, with the way out."""
    return DataError(f"{source}: not an exported model ({why}). Write it again: trader export")


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
        raise ValueError("no list of texts")
    return tuple(value)


@dataclass(frozen=True, slots=True, eq=False)
class ProofScene:
    """What a proof asks beside the rows that it makes of the model's own splits.

    panel, hours: hours (m,) UTC ms of a panel of one symbol, of bars that were traded (is_real) or of a drawn walk.
    drawn: (n, k) float32 rows drawn from what the model was trained on, and beyond it; (0, 0) for a family that reads the series.
    """

    panel: Panel
    hours: Ints
    is_real: bool
    drawn: Matrix


@dataclass(frozen=True, slots=True)
class ExportProof:
    """What was compared, and how far the two forms were apart at most.

    trees, splits, thresholds: of an ensemble; thresholds counts pairs of feature and value. unreachable_splits: those that no
    row can reach, since the splits above them contradict each other. rows: all that were compared; missing_rows of them had a
    NaN, real_rows came from bars. Differences and tolerances of P(up) are absolute; where a family gives quantiles, theirs are
    relative to the largest quantile of the window.
    """

    form: str
    sha256: str
    rows: int
    real_rows: int
    missing_rows: int
    p_up_difference: float
    p_up_tolerance: float
    seconds: float
    trees: int = 0
    splits: int = 0
    thresholds: int = 0
    unreachable_splits: int = 0
    quantile_difference: float = 0.0
    quantile_tolerance: float = 0.0
