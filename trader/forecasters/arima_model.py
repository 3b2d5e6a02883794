"""What a stored ARIMA model is, and what it says: numpy alone, so that a tick imports no library.

The state is filtered by Kalman's equations in Harvey's form (as R's `arima` and statsforecast have it): r states of the ARMA
part, then the last d + D m values, whose prior is diffuse. Parameters never move between refits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast, normal_forecast
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.series import Series
from trader.core.text import plural
from trader.core.types import DAY_MS, FAR_FUTURE_MS, HOUR_MS, Floats, Ints
from trader.forecasters.refusal import (
    InvalidModel,
    json_of,
    not_a_model,
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
_DIFFUSE = 1e6  # variance of a value that nothing is known of, in units of sigma2
# A covariance that moved less than this since the step before has settled, and stays until a close is missing.
_SETTLED = 1e-11
_VANISHED = 1e-30
_LARGEST_HURDLE = 1e12
# Nearer to 1 nothing that was estimated can be told from a unit root.
_LARGEST_RADIUS = 1 - 1e-6
_KEYS = {
    "schema", "symbols", "step_ms", "trained_until", "horizon", "steps", "hurdle",
    "difference", "seasonal_difference", "season_length", "ar", "ma", "seasonal_ar", "seasonal_ma", "mean", "drift", "sigma2",
}  # fmt: skip  # where it is from, what it is asked, what it is


@dataclass(frozen=True, slots=True)
class ARIMAOrder:
    """ARIMA(p, d, q)(P, D, Q)[season_length] of log close, with its coefficients in the signs of R and statsforecast:
    (1 - ar)(1 - seasonal_ar) of the differences = (1 + ma)(1 + seasonal_ma) of the innovations, whose variance is sigma2.

    mean: of log close, where nothing is differenced. drift: what a step adds, where it is differenced once.
    """

    ar: tuple[float, ...]
    ma: tuple[float, ...]
    seasonal_ar: tuple[float, ...]
    seasonal_ma: tuple[float, ...]
    difference: int
    seasonal_difference: int
    season_length: int
    mean: float
    drift: float
    sigma2: float

    def __str__(self) -> str:
        """As papers write it."""
        order = f"ARIMA({len(self.ar)},{self.difference},{len(self.ma)})"
        seasonal = (len(self.seasonal_ar), self.seasonal_difference, len(self.seasonal_ma))
        if any(seasonal):
            order += f"({','.join(map(str, seasonal))})[{self.season_length}]"
        return order + (" with mean" if self.mean else " with drift" if self.drift else "")

    def named(self) -> dict[str, float]:
        """Every coefficient by the library's own name."""
        parts = (("ar", self.ar), ("ma", self.ma), ("sar", self.seasonal_ar), ("sma", self.seasonal_ma))
        found = {f"{name}{i}": value for name, values in parts for i, value in enumerate(values, 1)}
        constants = {"mean": self.mean, "drift": self.drift}
        return found | {name: value for name, value in constants.items() if value} | {"sigma2": self.sigma2}


class ARIMAFilter:
    """The state space of an order. Observations are log closes less mean and drift; NaN is a close that was missing."""

    def __init__(self, order: ARIMAOrder) -> None:
        phi = -_product(
            _lags(-np.array(order.ar), 1), _lags(-np.array(order.seasonal_ar), order.season_length)
        )[1:]
        theta = _product(
            _lags(np.array(order.ma), 1), _lags(np.array(order.seasonal_ma), order.season_length)
        )[1:]
        once, season = np.array([1.0, -1.0]), _lags(np.array([-1.0]), order.season_length)
        delta = -_product(*[once] * order.difference, *[season] * order.seasonal_difference)[1:]
        r, d = max(len(phi), len(theta) + 1), len(delta)
        self.size = r + d
        self.Z = np.concatenate([[1.0], np.zeros(r - 1), delta])
        self.T = np.zeros((r + d, r + d))
        self.T[: len(phi), 0] = phi
        self.T[np.arange(r - 1), np.arange(1, r)] = 1
        if d:
            self.T[r] = self.Z
            self.T[np.arange(r + 1, r + d), np.arange(r, r + d - 1)] = 1
        self.R = np.concatenate([[1.0], theta, np.zeros(r - 1 - len(theta) + d)])
        self.V = np.outer(self.R, self.R)
        self.prior = np.zeros((r + d, r + d))
        self.prior[:r, :r] = _stationary(self.T[:r, :r], self.V[:r, :r])
        self.prior[np.arange(r, r + d), np.arange(r, r + d)] = _DIFFUSE

    def forecasts(self, y: Floats, rows: Ints, steps: int) -> tuple[Floats, Floats]:
        """Mean and variance (in units of sigma2) of 1 to `steps` steps after each of `rows` (m,), ascending, of y (n,):
        (m, steps) each. Each row is computed alone, so no other row changes its bits."""
        reach, spread = self._ahead(steps)
        mean, variance, told = np.empty((len(rows), steps)), np.empty((len(rows), steps)), None
        wanted = {row: i for i, row in enumerate(rows.tolist())}
        for t, (a, P) in enumerate(self._filtered(y[: int(rows[-1]) + 1] if len(rows) else y[:0])):
            if t not in wanted:
                continue
            if told is None or told[0] is not P:
                told = (P, ((reach @ P) * reach).sum(axis=1) + spread)
            mean[wanted[t]], variance[wanted[t]] = reach @ a, told[1]
        return mean, variance

    def _filtered(self, y: Floats) -> Iterator[tuple[Floats, Floats]]:
        """State and covariance after each of y (n,). Once the covariance has settled it stays, and a step is one product, until
        a close is missing."""
        a, P, t = np.zeros(self.size), self.prior, 0
        missing = np.isnan(y)
        while t < len(y):
            settled = None
            while t < len(y) and settled is None:
                if missing[t]:
                    yield a, P
                else:
                    a, after, gain, settled = self._updated(a, P, float(y[t]))
                    yield a, after
                    P = after
                t += 1
                if settled is None:
                    a, P = self.T @ a, self.T @ P @ self.T.T + self.V
            later = np.flatnonzero(missing[t:])
            stop = t + int(later[0]) if len(later) else len(y)
            if settled is not None:
                for pushed in np.outer(y[t:stop], gain):
                    a = settled @ a + pushed
                    yield a, P
                a, P, t = self.T @ a, self.T @ P @ self.T.T + self.V, stop

    def _updated(self, a: Floats, P: Floats, value: float) -> tuple[Floats, Floats, Floats, Floats | None]:
        """State, covariance and gain after an observation; and what later steps multiply the state by, None until the covariance
        has settled."""
        M = P @ self.Z
        gain = M / float(self.Z @ M)
        after = P - np.outer(gain, M)
        moved = float(np.abs(self.T @ after @ self.T.T + self.V - P).max())
        later = self.T - np.outer(gain, self.Z @ self.T) if moved <= _SETTLED else None
        return a + gain * (value - float(self.Z @ a)), after, gain, later

    def _ahead(self, steps: int) -> tuple[Floats, Floats]:
        """What each later step reads of the state, (steps, size), and the variance that its innovations add, (steps,)."""
        reach, weights = np.empty((steps, self.size)), np.empty(steps)
        z = self.Z
        for h in range(steps):
            weights[h] = z @ self.R
            z = z @ self.T
            reach[h] = z
        return reach, np.cumsum(weights**2)


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
        """Mean and deviation of r after each of `rows` (m,), ascending, from the closes since `first`: (m, steps) each."""
        order, known = self.order, series.log_close[first : int(rows[-1]) + 1]
        since = (series.times[first : int(rows[-1]) + 1] - self.trained_until) / self.step_ms
        y = known - order.mean - order.drift * since
        ahead, variance = self.filter.forecasts(y, rows - first, self.steps)
        mean = ahead - y[rows - first][:, None] + order.drift * np.arange(1, self.steps + 1)
        # Rounding may leave a variance below 0 where it is 0.
        deviation = np.sqrt(np.maximum(variance, 0.0) * order.sigma2)
        unknown = np.isnan(y[rows - first]) | (np.cumsum(~np.isnan(y))[rows - first] <= self.filter.size)
        mean[unknown], deviation[unknown] = np.nan, np.nan
        return mean, deviation


class ReadsARIMA:
    """The half of the family that needs no library: bytes become a predictor."""

    def load(self, model: bytes, source: str) -> ARIMAPredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""
        try:
            return read(model)
        except InvalidModel as error:
            raise not_a_model(source, KIND, model, error) from None


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


def _lags(coefficients: Floats, season: int) -> Floats:
    """1 + c1 L^s + c2 L^2s + ... as the coefficients of 1, L, L^2, ..."""
    found = np.zeros(len(coefficients) * season + 1)
    found[0], found[season::season] = 1.0, coefficients
    return found


def _product(*polynomials: Floats) -> Floats:
    """Of polynomials of the lag, lowest first."""
    found = np.ones(1)
    for polynomial in polynomials:
        found = np.convolve(found, polynomial)
    return found


def _stationary(T: Floats, V: Floats) -> Floats:
    """The P with P = T P T' + V, by doubling: after k rounds it is the sum of the first 2^k terms."""
    found, power = V, T
    while np.abs(power).max() > _VANISHED:
        found = found + power @ found @ power.T
        power = power @ power
    return found


def _hours(step_ms: int) -> str:
    return plural(step_ms // HOUR_MS, "hour")
