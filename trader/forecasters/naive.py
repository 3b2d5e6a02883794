"""The rolling distribution of the newest returns: it learns nothing, and is what every other family must beat.

A return over h hours is as likely as it was among those that ended in the last WINDOW_HOURS.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from trader.core.forecast import LEVELS, Forecast, Traits, probability_above
from trader.core.labels import hurdle_of
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.params import Params
from trader.core.series import Series
from trader.core.types import Floats, Ints
from trader.forecasters.refusal import InvalidModel, not_a_model, symbols_of
from trader.forecasters.series import SeriesForecaster, SeriesPredictor

FAMILY, KIND = "naive", "a naive model"
SCHEMA = "naive/1"
WINDOW_HOURS = 168
# Of fewer returns the outer quantiles say nothing.
FEWEST_RETURNS = 40
LONGEST_HORIZON_HOURS = 24
MOST_BYTES = 1 << 20
_KEYS = {"schema", "symbols", "horizon_hours", "hurdle", "forecast_hours"}


@dataclass(frozen=True, slots=True)
class NaivePredictor(SeriesPredictor):
    """horizon_hours: steps that P(up) is about. steps: how far the quantiles reach. hurdle: the share that a close must rise by
    to count as up."""

    symbols: tuple[str, ...]
    horizon_hours: int
    steps: int
    hurdle: float

    def forecast_series(self, series: Series, times: Ints) -> Forecast:
        """P(up) and the quantiles of r for 1 to `steps` steps; NaN after fewer than FEWEST_RETURNS."""
        rows = series.rows(times)
        quantiles = np.stack([rolling_quantiles(series, rows, h) for h in range(1, self.steps + 1)], axis=1)
        above = probability_above(quantiles[:, self.horizon_hours - 1], math.log1p(self.hurdle))
        return Forecast(above.astype(np.float32), quantiles)


def rolling_quantiles(series: Series, rows: Ints, steps: int) -> Floats:
    """The LEVELS of r = log(close[t] / close[t - steps]) over the WINDOW_HOURS returns that end at each of `rows` (m,), by
    linear interpolation: (m, level) float64. A return from or to a missing close is none; NaN where fewer than
    FEWEST_RETURNS are left."""
    known = series.log_close
    returns = np.full(len(series) + WINDOW_HOURS - 1, np.nan)
    returns[WINDOW_HOURS - 1 + steps :] = known[steps:] - known[: max(0, len(series) - steps)]
    windows = sliding_window_view(returns, WINDOW_HOURS)[rows]
    found = np.full((len(rows), len(LEVELS)), np.nan)
    there = ~np.isnan(windows)
    whole = there.all(axis=1)
    if whole.any():
        found[whole] = np.quantile(windows[whole], LEVELS, axis=1).T
    for i in np.flatnonzero(~whole & (there.sum(axis=1) >= FEWEST_RETURNS)).tolist():
        found[i] = np.quantile(windows[i][there[i]], LEVELS)
    return found


class NaiveForecaster(SeriesForecaster):
    """Its model is what it is asked about, as JSON."""

    family = FAMILY
    format = "json"
    libraries: Sequence[str] = ("numpy",)
    traits = Traits("local", "series", WINDOW_HOURS + LONGEST_FORECAST_HOURS, "none")

    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """Nothing is learnt: no close changes the model."""
        model = {
            "schema": SCHEMA,
            "symbols": [series.symbol],
            "horizon_hours": horizon,
            "hurdle": hurdle_of(params),
        }
        further = {"forecast_hours": steps} if steps > horizon else {}
        return json.dumps(model | further, sort_keys=True).encode()

    def load(self, model: bytes, source: str) -> NaivePredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""
        try:
            return _read(model)
        except (ValueError, RecursionError) as error:
            raise not_a_model(source, KIND, model, repr(error)[:120]) from None
        except InvalidModel as error:
            raise not_a_model(source, KIND, model, error) from None


def _read(model: bytes) -> NaivePredictor:
    """The model of these bytes. Raises Refused, ValueError or RecursionError for others."""
    if len(model) > MOST_BYTES:
        raise InvalidModel(f"more than {MOST_BYTES:,} bytes")
    values = json.loads(model)
    if not isinstance(values, dict) or values.keys() | {"forecast_hours"} != _KEYS:
        raise InvalidModel("it has other keys")
    horizon, hurdle = values["horizon_hours"], values["hurdle"]
    steps = values.get("forecast_hours", horizon)
    if values["schema"] != SCHEMA:
        raise InvalidModel(f"its schema is not {SCHEMA}")
    if type(horizon) is not int or not 1 <= horizon <= LONGEST_HORIZON_HOURS:
        raise InvalidModel(f"its horizon is not 1 to {LONGEST_HORIZON_HOURS} hours")
    if type(steps) is not int or not horizon <= steps <= LONGEST_FORECAST_HOURS:
        raise InvalidModel(
            f"it does not reach from its horizon to at most {LONGEST_FORECAST_HOURS} hours ahead"
        )
    if type(hurdle) is not float or not 0 <= hurdle < math.inf:
        raise InvalidModel("its hurdle is no share of 0 or more")
    return NaivePredictor(symbols_of(values["symbols"]), horizon, steps, hurdle)
