"""What a stored ARIMA model is, and what it says: numpy alone, so that a tick imports no library.

Parameters never move between refits; the state is filtered anew at every prediction.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast, normal_forecast
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.series import Series
from trader.core.text import plural
from trader.core.types import DAY_MS, FAR_FUTURE_MS, HOUR_MS, Floats, Ints
from trader.forecasters.arima_filter import ARIMAFilter, ARIMAOrder
from trader.forecasters.refusal import (
    InvalidModel,
    json_of,
    number_of,
    numbers_of,
    symbols_of,
    whole_of,
)
from trader.forecasters.series import SeriesPredictor

FAMILY, KIND = "arima", "an ARIMA model"
SCHEMA = "arima/1"
# Steps before the end of the training from which the state is filtered; more than the longest state has values.
CONTEXT = 168
LONGEST_SEASON = 24
MOST_LAGS, MOST_SEASONAL_LAGS, MOST_DIFFERENCES = 10, 2, 2
_LARGEST_HURDLE = 1e12
# Nearer to 1 nothing that was estimated can be told from a unit root.
_LARGEST_RADIUS = 1 - 1e-6
_KEYS = {
    "schema", "symbols", "step_ms", "trained_until", "horizon", "steps", "hurdle",
    "difference", "seasonal_difference", "season_length", "ar", "ma", "seasonal_ar", "seasonal_ma", "mean", "drift", "sigma2",
}  # fmt: skip  # where it is from, what it is asked, what it is


@dataclass(frozen=True, slots=True)
class ARIMAPredictor(SeriesPredictor):
    """A model, ready to filter. trained_until: UTC ms of the last close of the fit. horizon: steps that P(up) is about. steps:
    how far the quantiles reach. hurdle: the share that a close must rise by to count as up."""

    symbols: tuple[str, ...]
    step_ms: int
    trained_until: int
    horizon: int
    steps: int
    hurdle: float
    order: ARIMAOrder
    filter: ARIMAFilter

    def forecast_series(self, series: Series, times: Ints) -> Forecast:
        """r = log(close[T + h] / close[T]) is normal, with the mean and the variance that the model gives it after all closes
        from CONTEXT steps before the end of its training up to T.

        A missing close is one that the filter was not shown: the state moves on and grows less certain. A step without a close,
        and one before the state is known, has no prediction. A step before the context, which only a score in sample
        asks for, is filtered from the first close that is given. Raises DataError for a series of another step.
        """
        if series.step_ms != self.step_ms:
            raise DataError(
                f"{series.symbol}: a model of closes {_hours(self.step_ms)} apart was given closes {_hours(series.step_ms)} apart"
            )
        rows = series.rows(times)
        begin = max(0, (self.trained_until - series.first) // self.step_ms - CONTEXT)
        mean, deviation = np.full((2, len(rows), self.steps), np.nan)
        for first, part in ((0, rows < begin), (begin, rows >= begin)):
            if part.any():
                mean[part], deviation[part] = self._filtered(series, first, rows[part])
        return normal_forecast(mean, deviation, self.horizon, self.hurdle)

    def explain(self, time: int) -> dict[str, str | float]:
        """What a person is shown of the model at any time: its order, and each coefficient by the library's own name."""
        return {"order": str(self.order), **self.order.named()}

    def _filtered(self, series: Series, first: int, rows: Ints) -> tuple[Floats, Floats]:
        """Mean and deviation of r after each of `rows` (m,), from the closes since `first`: (m, steps) each."""
        order, last = self.order, int(rows.max())
        known = series.log_close[first : last + 1]
        since = (series.times[first : last + 1] - self.trained_until) / self.step_ms
        y = known - order.mean - order.drift * since
        ahead, variance = self.filter.forecasts(y, rows - first, self.steps)
        mean = ahead - y[rows - first][:, None] + order.drift * np.arange(1, self.steps + 1)
        # Rounding may leave a variance below 0 where it is 0.
        deviation = np.sqrt(np.maximum(variance, 0.0) * order.sigma2)
        unknown = np.isnan(y[rows - first]) | (np.cumsum(~np.isnan(y))[rows - first] <= self.filter.size)
        mean[unknown], deviation[unknown] = np.nan, np.nan
        return mean, deviation


def read(model: bytes) -> ARIMAPredictor:
    """The model of these bytes. Raises InvalidModel for others, value by value."""
    values = json_of(model, SCHEMA, _KEYS)
    step_ms = whole_of(values, "step_ms", HOUR_MS, DAY_MS)
    horizon = whole_of(values, "horizon", 1, LONGEST_FORECAST_HOURS)
    order = _order_of(values)
    return ARIMAPredictor(
        symbols=symbols_of(values["symbols"]),
        step_ms=step_ms,
        trained_until=whole_of(values, "trained_until", 0, FAR_FUTURE_MS),
        horizon=horizon,
        steps=whole_of(values, "steps", horizon, LONGEST_FORECAST_HOURS),
        hurdle=number_of(values, "hurdle", 0, _LARGEST_HURDLE),
        order=order,
        filter=ARIMAFilter(order),
    )


def written(predictor: ARIMAPredictor) -> bytes:
    """JSON with sorted keys; every float by its shortest decimal."""
    named = asdict(predictor.order)
    own = {
        "schema": SCHEMA,
        "symbols": list(predictor.symbols),
        **{
            name: getattr(predictor, name)
            for name in ("step_ms", "trained_until", "horizon", "steps", "hurdle")
        },
    }
    return json.dumps({**own, **named}, sort_keys=True).encode()


def _order_of(values: dict[str, object]) -> ARIMAOrder:
    order = ARIMAOrder(
        ar=numbers_of(values, "ar", MOST_LAGS, 100),
        ma=numbers_of(values, "ma", MOST_LAGS, 100),
        seasonal_ar=numbers_of(values, "seasonal_ar", MOST_SEASONAL_LAGS, 100),
        seasonal_ma=numbers_of(values, "seasonal_ma", MOST_SEASONAL_LAGS, 100),
        difference=whole_of(values, "difference", 0, MOST_DIFFERENCES),
        seasonal_difference=whole_of(values, "seasonal_difference", 0, 1),
        season_length=whole_of(values, "season_length", 1, LONGEST_SEASON),
        mean=number_of(values, "mean", -100, 100),
        drift=number_of(values, "drift", -1, 1),
        sigma2=number_of(values, "sigma2", 0, 100),
    )
    if max(map(_radius, (order.ar, order.seasonal_ar))) > _LARGEST_RADIUS:
        raise InvalidModel("its autoregressive part is not stationary")
    return order


def _radius(coefficients: tuple[float, ...]) -> float:
    """The largest root of z^p - c1 z^(p-1) - ... - cp, 0 without coefficients: below 1 the process is stationary."""
    return float(np.abs(np.roots([1.0, *(-value for value in coefficients)])).max(initial=0.0))


def _hours(step_ms: int) -> str:
    return plural(step_ms // HOUR_MS, "hour")
