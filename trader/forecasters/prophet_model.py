"""What a stored Prophet model is, and what it says: numpy alone, so that a tick imports neither Prophet nor Stan.

The price is normal around Prophet's yhat (Taylor and Letham, 2018). Its variance is that of the observations plus that of the
trend changes to come, in closed form where Prophet draws samples: they are a Poisson process of the history's rate, a change of
slope is Laplace with the history's mean absolute change as its scale, so a slope that changed s ago adds (s x change) to the
trend, and the trend u after the end of the training has the variance rate x 2 scale^2 x u^3 / 3.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import LEVELS, Forecast, normal_above, normal_quantiles
from trader.core.model_params import LONGEST_FORECAST_HOURS
from trader.core.series import Series
from trader.core.types import DAY_MS, FAR_FUTURE_MS, HOUR_MS, Floats, Ints
from trader.forecasters.refusal import (
    InvalidModel,
    json_of,
    number_of,
    numbers_of,
    symbols_of,
    whole_of,
)
from trader.forecasters.series import SeriesPredictor

FAMILY, KIND = "prophet", "a Prophet model"
SCHEMA = "prophet/1"
MODES = ("additive", "multiplicative")
MOST_CHANGEPOINTS, MOST_SEASONALITIES, MOST_ORDER = 200, 3, 20
_LARGEST = 1e9  # of a scaled coefficient
_LARGEST_PRICE = 1e15
_LARGEST_HURDLE = 1e12
_LEAST_CHANGE = 1e-8  # what Prophet adds to the mean absolute change
# A normal price has quantiles below 0, which no price is: they are this share of the close.
LEAST_SHARE = 1e-6
_KEYS = {
    "schema", "symbols", "step_ms", "horizon", "steps", "hurdle",
    "mode", "start", "span_ms", "price_scale", "k", "m", "changepoints", "delta", "sigma_obs", "seasonalities",
}  # fmt: skip  # where it is from, what it is asked, what it is


@dataclass(frozen=True, slots=True)
class Seasonality:
    """A Fourier series: beta holds sine and cosine of each of `order` multiples. period: days."""

    name: str
    period: float
    order: int
    beta: tuple[float, ...]

    def at(self, times: Ints) -> Floats:
        """Its value at times (n,) UTC ms, scaled as beta is."""
        angle = 2 * np.pi * (times / DAY_MS)
        found = np.zeros(len(times))
        for i in range(self.order):
            part = (i + 1) / self.period * angle
            found += self.beta[2 * i] * np.sin(part) + self.beta[2 * i + 1] * np.cos(part)
        return found


@dataclass(frozen=True, slots=True)
class ProphetTerms:
    """Trend and seasons of the price, with Prophet's own names. Time is 0 at `start` (UTC ms) and 1 at the end of the training,
    `span_ms` later; a value is multiplied by `price_scale`. changepoints: scaled times, at which the slope k changes by delta.
    """

    mode: str
    start: int
    span_ms: int
    price_scale: float
    k: float
    m: float
    changepoints: tuple[float, ...]
    delta: tuple[float, ...]
    sigma_obs: float
    seasonalities: tuple[Seasonality, ...]

    def trend(self, times: Ints) -> Floats:
        """The trend's price at times (n,) UTC ms."""
        t = (times - self.start) / self.span_ms
        found = self.k * t + self.m
        for changepoint, delta in zip(self.changepoints, self.delta, strict=True):
            found += delta * np.maximum(t - changepoint, 0.0)
        return found * self.price_scale

    def seasonal(self, times: Ints) -> Floats:
        """All seasons at times (n,) UTC ms: a price, or a share of the trend where they are multiplicative."""
        found = np.zeros(len(times))
        for it in self.seasonalities:
            found += it.at(times)
        return found if self._multiplies else found * self.price_scale

    def price(self, times: Ints) -> tuple[Floats, Floats]:
        """Mean (Prophet's yhat) and deviation of the price at times (n,) UTC ms, both (n,)."""
        trend, seasonal = self.trend(times), self.seasonal(times)
        share = 1 + seasonal if self._multiplies else np.ones(len(times))
        mean = trend * share if self._multiplies else trend + seasonal
        ahead = np.maximum((times - self.start) / self.span_ms - 1, 0.0)
        change = sum(map(abs, self.delta)) / len(self.delta) + _LEAST_CHANGE
        of_trend = len(self.delta) * 2 * change**2 * ahead**3 / 3
        return mean, self.price_scale * np.sqrt(self.sigma_obs**2 + share**2 * of_trend)

    @property
    def _multiplies(self) -> bool:
        return self.mode == "multiplicative"


@dataclass(frozen=True, slots=True)
class ProphetPredictor(SeriesPredictor):
    """A model, ready to predict. horizon: steps that P(up) is about. steps: how far the quantiles reach. hurdle: the share that a
    close must rise by to count as up."""

    symbols: tuple[str, ...]
    step_ms: int
    horizon: int
    steps: int
    hurdle: float
    terms: ProphetTerms

    def forecast_series(self, series: Series, times: Ints) -> Forecast:
        """The price of each later step is what the model says it is, whatever the newest close: r is measured from that close, so
        P(up) is how far below the model's price the market stands. NaN where the close is missing.

        Raises DataError for a series of another step.
        """
        if series.step_ms != self.step_ms:
            raise DataError(
                f"{series.symbol}: a model of closes {self.step_ms // HOUR_MS} h apart was given closes "
                f"{series.step_ms // HOUR_MS} h apart"
            )
        p_up = np.full(len(times), np.nan, np.float32)
        quantiles = np.full((len(times), self.steps, len(LEVELS)), np.nan)
        for i, row in enumerate(series.rows(times).tolist()):
            close = math.exp(series.log_close[row])
            if not math.isnan(close):
                p_up[i], quantiles[i] = self._alone(int(times[i]), close)
        return Forecast(p_up, quantiles)

    def explain(self, time: int) -> dict[str, str | float]:
        """What a person is shown of the model at a time (UTC ms): trend, each season, and the price they make."""
        at, terms = np.array([time]), self.terms
        scale = 1.0 if terms.mode == "multiplicative" else terms.price_scale
        seasons = {it.name: float(it.at(at)[0]) * scale for it in terms.seasonalities}
        mean, deviation = terms.price(at)
        trend = float(terms.trend(at)[0])
        return {
            "seasonality": terms.mode, "trend": trend, **seasons,
            "price": float(mean[0]), "deviation": float(deviation[0]),
        }  # fmt: skip  # the parts, then what they make

    def _alone(self, time: int, close: float) -> tuple[float, Floats]:
        """P(up) and the quantiles (steps, level) of r after one close; alone, so that no other step changes their bits."""
        mean, deviation = self.terms.price(time + self.step_ms * np.arange(1, self.steps + 1, dtype=np.int64))
        at = self.horizon - 1
        p_up = normal_above(close * (1 + self.hurdle), float(mean[at]), float(deviation[at]))
        prices = normal_quantiles(mean[None], deviation[None])[0]
        return p_up, np.log(np.maximum(prices / close, LEAST_SHARE))


def read(model: bytes) -> ProphetPredictor:
    """The model of these bytes. Raises InvalidModel for others, value by value."""
    values = json_of(model, SCHEMA, _KEYS)
    horizon = whole_of(values, "horizon", 1, LONGEST_FORECAST_HOURS)
    return ProphetPredictor(
        symbols=symbols_of(values["symbols"]),
        step_ms=whole_of(values, "step_ms", HOUR_MS, DAY_MS),
        horizon=horizon,
        steps=whole_of(values, "steps", horizon, LONGEST_FORECAST_HOURS),
        hurdle=number_of(values, "hurdle", 0, _LARGEST_HURDLE),
        terms=_terms_of(values),
    )


def written(predictor: ProphetPredictor) -> bytes:
    """JSON with sorted keys; every float by its shortest decimal."""
    own = {name: getattr(predictor, name) for name in ("step_ms", "horizon", "steps", "hurdle")}
    values = {"schema": SCHEMA, "symbols": predictor.symbols, **own, **asdict(predictor.terms)}
    return json.dumps(values, sort_keys=True).encode()


def _terms_of(values: dict[str, object]) -> ProphetTerms:
    delta = numbers_of(values, "delta", MOST_CHANGEPOINTS, _LARGEST)
    changepoints = numbers_of(values, "changepoints", MOST_CHANGEPOINTS, 1)
    found, mode = values["seasonalities"], values["mode"]
    if not delta or len(delta) != len(changepoints):
        raise InvalidModel("it has not one change of slope a changepoint")
    if not isinstance(mode, str) or mode not in MODES:
        raise InvalidModel(f"its mode is none of {', '.join(MODES)}")
    if not isinstance(found, list) or len(found) > MOST_SEASONALITIES:
        raise InvalidModel(f"its seasonalities are no list of at most {MOST_SEASONALITIES}")
    return ProphetTerms(
        mode=mode,
        start=whole_of(values, "start", 0, FAR_FUTURE_MS),
        span_ms=whole_of(values, "span_ms", HOUR_MS, FAR_FUTURE_MS),
        price_scale=number_of(values, "price_scale", 1e-15, _LARGEST_PRICE),
        k=number_of(values, "k", -_LARGEST, _LARGEST),
        m=number_of(values, "m", -_LARGEST, _LARGEST),
        changepoints=changepoints,
        delta=delta,
        sigma_obs=number_of(values, "sigma_obs", 1e-12, _LARGEST),
        seasonalities=tuple(map(_seasonality_of, found)),
    )


def _seasonality_of(value: object) -> Seasonality:
    if not isinstance(value, dict) or value.keys() != {"name", "period", "order", "beta"}:
        raise InvalidModel("a seasonality has other keys")
    name, order = value["name"], whole_of(value, "order", 1, MOST_ORDER)
    if name not in ("yearly", "weekly", "daily"):
        raise InvalidModel("a seasonality is neither yearly, weekly nor daily")
    beta = numbers_of(value, "beta", 2 * MOST_ORDER, _LARGEST)
    if len(beta) != 2 * order:
        raise InvalidModel(f"{name} has not two coefficients an order")
    return Seasonality(name, number_of(value, "period", 1e-3, 1e4), order, beta)
