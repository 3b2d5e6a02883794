"""How far the journal's newest hours have moved from what the serving model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trader.core.drift import DRIFT_HOURS, calibration_decay, feature_drift
from trader.core.labels import hurdle_of, is_up
from trader.core.lifecycle import Drift
from trader.core.model import RANGE_QUANTILES, ModelCard
from trader.core.params import Params
from trader.core.records import RecentHour
from trader.core.types import Floats


def drift_of(hours: Sequence[RecentHour], card: ModelCard, params: Params, symbol: str) -> Drift:
    """What DRIFT_HOURS and `horizon_hours` more hours (`recent_hours`) of a symbol, oldest first, show against the card's
    training sample of it: the features of the newest DRIFT_HOURS, the predictions of the oldest, since the newest have no
    outcome yet.
    """
    X = np.array([_row(hour, card.columns) for hour in hours[-DRIFT_HOURS:]], np.float32).reshape(
        -1, len(card.columns)
    )
    ranges = card.known_ranges(symbol)
    edges = [ranges[column] for column in card.columns]
    psi, ks = feature_drift(X, edges, RANGE_QUANTILES, DRIFT_HOURS)
    p_up = np.array([_number(hour.p_up) for hour in hours[: -params.horizon_hours]])
    decay = calibration_decay(p_up, _outcomes(hours, params), DRIFT_HOURS)
    limits = card.known_limits(symbol)
    return Drift(_newest(psi), _newest(ks), _newest(decay), limits.get("psi"), limits.get("ks"))


def _row(hour: RecentHour, columns: Sequence[str]) -> list[float]:
    """An hour's features, NaN where it has none."""
    return [_number(hour.features.get(column)) for column in columns]


def _outcomes(hours: Sequence[RecentHour], params: Params) -> Floats:
    """What became of the predictions that have an outcome, oldest first, NaN where either end has no bar of its own."""
    close = [float(hour.close) for hour in hours]
    hurdle, ahead = hurdle_of(params), params.horizon_hours
    return np.array(
        [
            np.nan
            if hours[i].gap or hours[i + ahead].gap
            else float(is_up(close[i], close[i + ahead], hurdle))
            for i in range(len(hours) - ahead)
        ]
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _newest(values: Floats) -> float | None:
    return None if not len(values) or np.isnan(values[-1]) else float(values[-1])
