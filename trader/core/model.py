"""A model as bytes, and its card: what it was trained on, by which code, and from when it may serve.

Bytes are XGBoost's own UBJSON, the card is JSON. Never pickle: a bucket is not a place to run code from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from trader.core.drift import drift_limits
from trader.core.errors import DataError
from trader.core.features import features, preset_named
from trader.core.labels import label_of
from trader.core.params import Params
from trader.core.ports import Predictor
from trader.core.types import HOUR_MS, Bars, Floats, Matrix, iso
from trader.core.windows import Refit

CARD_SCHEMA = "model-card/1"
RANGE_QUANTILES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Times are UTC milliseconds; train_until is inclusive. `rows` counts the labelled rows it was fitted on.

    `ranges` holds, by feature, the RANGE_QUANTILES of those rows: what the model knows, to compare an hour with.
    `reason` says why it was trained: the first, by the calendar, on which breach, or because a person asked.
    `drift_limits` holds what PSI and KS of a window stay below by chance (`trader.core.drift`); empty for few rows.
    """

    schema: str
    model_id: str
    model_sha256: str
    family: str
    features: str
    columns: list[str]
    features_hash: str
    params: dict[str, Any]
    valid_from: int
    train_from: int
    train_until: int
    rows: int
    data_hash: str
    code_version: str
    ranges: dict[str, list[float]]
    reason: str = ""
    drift_limits: dict[str, float] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Readable JSON with sorted keys."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def card_for(
    booster: bytes,
    family: str,
    params: Params,
    window: Refit,
    rows: TrainingSet,
    code_version: str,
    reason: str = "",
) -> ModelCard:
    """The card of freshly fitted bytes. The id follows from model and serving hour, so a repeated training of one
    refit gives the same id."""
    preset = preset_named(params.features)
    digest = hashlib.sha256(booster).hexdigest()
    stamp = iso(window.serve_from)[:13].replace("-", "")
    ranges = ranges_of(rows.X, preset.columns)
    return ModelCard(
        schema=CARD_SCHEMA,
        model_id=f"{stamp}-{digest[:12]}",
        model_sha256=digest,
        family=family,
        features=preset.name,
        columns=list(preset.columns),
        features_hash=preset.code_hash,
        params=params.as_json(),
        valid_from=window.serve_from,
        train_from=window.train_from,
        train_until=window.train_until,
        rows=len(rows.y),
        data_hash=rows.data_hash,
        code_version=code_version,
        ranges=ranges,
        reason=reason,
        drift_limits=drift_limits_of(rows.X, ranges),
    )


def ranges_of(X: Matrix, columns: Sequence[str]) -> dict[str, list[float]]:
    """The RANGE_QUANTILES of each column of X (n, k), without NaN rows, to seven digits."""
    values = np.quantile(X.astype(np.float64), RANGE_QUANTILES, axis=0)
    return {column: [float(f"{value:.7g}") for value in values[:, i]] for i, column in enumerate(columns)}


def drift_limits_of(X: Matrix, ranges: dict[str, list[float]]) -> dict[str, float]:
    """The card's `drift_limits` of its training rows X (n, k), to seven digits."""
    limits = drift_limits(X, list(ranges.values()), RANGE_QUANTILES)
    return {} if limits is None else {"psi": float(f"{limits[0]:.7g}"), "ks": float(f"{limits[1]:.7g}")}


def read_card(text: bytes, booster: bytes, source: str) -> ModelCard:
    """The card, checked against its model's bytes and against this program's feature code. Raises DataError."""
    try:
        values = json.loads(text)
        card = ModelCard(**values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{source}: not a model card ({error}). Train again: trader retrain") from None
    if card.schema != CARD_SCHEMA:
        raise DataError(f"{source}: schema {card.schema!r}, this program reads {CARD_SCHEMA!r}")
    if hashlib.sha256(booster).hexdigest() != card.model_sha256:
        raise DataError(
            f"{source}: the model's bytes do not match its card; it is corrupt or was exchanged. "
            f"Roll back to another model or train again: trader retrain"
        )
    if preset_named(card.features).code_hash != card.features_hash:
        raise DataError(
            f"{source}: features {card.features!r} were computed by other code ({card.features_hash}) than this "
            f"program's ({preset_named(card.features).code_hash}). Train again: trader retrain"
        )
    return card


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """X (n, k) float32 without NaN rows, y (n,) of 0.0 and 1.0, and the hash of both."""

    X: Matrix
    y: Floats

    @property
    def data_hash(self) -> str:
        """Of every byte that a fit sees."""
        digest = hashlib.sha256(np.ascontiguousarray(self.X).tobytes())
        digest.update(self.y.tobytes())
        return digest.hexdigest()[:16]


def select(X: Matrix, y: Floats, window: Refit, source: str) -> TrainingSet:
    """The usable rows of a window's X (n, k) and y (n,): labelled, and every feature defined.

    Raises DataError if fewer than two rows, or one class only, remain.
    """
    usable = ~np.isnan(y)
    usable[np.flatnonzero(np.isnan(X)) // X.shape[1]] = False
    if not usable.all():
        rows = np.flatnonzero(usable)
        X, y = X.take(rows, axis=0), y[rows]
    if len(y) < 2 or y.min() == y.max():
        raise DataError(
            f"{source}: {len(y)} labelled rows between {iso(window.train_from)} and "
            f"{iso(window.train_until)}; a model needs both outcomes. Lengthen look_back_days or give older bars"
        )
    return TrainingSet(X, y)


def training_set(bars: Bars, window: Refit, params: Params) -> TrainingSet:
    """What a window's model is fitted on, by what was known when the window ended.

    Bars later than the window's last label are cut away before anything is computed, so nothing can leak.
    """
    known = bars.until(window.train_until + params.horizon_hours * HOUR_MS)
    preset = preset_named(params.features)
    X = features(known, preset, window.train_from, window.train_until + HOUR_MS)
    y = labels_between(known, params, window.train_from, window.train_until + HOUR_MS)
    return select(X, y, window, bars.symbol)


def labels_between(bars: Bars, params: Params, start: int, stop: int) -> Floats:
    """`label_of` for start <= close_time < stop, NaN where there are no bars: shape ((stop - start) / 1 h,)."""
    result = np.full((stop - start) // HOUR_MS, np.nan)
    part = bars.span(start, stop)
    if len(part):
        offset = (part.first - start) // HOUR_MS
        first = bars.row(part.first)
        result[offset : offset + len(part)] = label_of(bars, params)[first : first + len(part)]
    return result


def predict_defined(predictor: Predictor, X: Matrix) -> Matrix:
    """P(up) of every row whose features are all defined, NaN elsewhere: (n,) float32."""
    defined = ~np.isnan(X).any(axis=1)
    if len(X) and defined.all():
        return predictor.predict(X)
    scores = np.full(len(X), np.nan, dtype=np.float32)
    if defined.any():
        scores[defined] = predictor.predict(X[defined])
    return scores
