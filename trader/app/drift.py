"""How far the journal's newest hours have moved from what the serving model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from trader.app.journal import Json
from trader.core.drift import DRIFT_HOURS, calibration_decay, feature_drift
from trader.core.lifecycle import Drift
from trader.core.model import RANGE_QUANTILES, ModelCard
from trader.core.types import Floats


def drift_of(records: Sequence[Json], card: ModelCard) -> Drift:
    """What DRIFT_HOURS + 1 consecutive records, oldest first, show against the card's training sample.

    The features are those of the newest DRIFT_HOURS; the calls those of the oldest, since the newest has no outcome yet.
    """
    X = np.array([_row(record, card.columns) for record in records[-DRIFT_HOURS:]], np.float32).reshape(
        -1, len(card.columns)
    )
    edges = [card.ranges[column] for column in card.columns]
    psi, ks = feature_drift(X, edges, RANGE_QUANTILES, DRIFT_HOURS)
    p_up = np.array([_number(record["line"]["p_up"]) for record in records[:-1]])
    decay = calibration_decay(p_up, _rose(records), DRIFT_HOURS)
    limits = card.drift_limits
    return Drift(_newest(psi), _newest(ks), _newest(decay), limits.get("psi"), limits.get("ks"))


def _row(record: Json, columns: Sequence[str]) -> list[float]:
    """An hour's features, NaN where it has none."""
    return [_number(record["features"].get(column)) for column in columns]


def _rose(records: Sequence[Json]) -> Floats:
    """Whether each record but the last was followed by a higher close, NaN where either has no bar of its own."""
    close = [Decimal(record["close"]) for record in records]
    gap = [record["gap"] for record in records]
    return np.array(
        [np.nan if gap[i] or gap[i + 1] else float(close[i + 1] > close[i]) for i in range(len(records) - 1)]
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _newest(values: Floats) -> float | None:
    return None if not len(values) or np.isnan(values[-1]) else float(values[-1])
