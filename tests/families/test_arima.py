"""ARIMA beside the library that fits it: what numpy filters and forecasts is what statsforecast's own `forward` says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from tests.support.bars_made import bars_made
from trader.core.errors import DataError
from trader.core.forecast import LEVELS
from trader.core.panel import Panel
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS, Floats
from trader.forecasters.arima import ArimaForecaster
from trader.forecasters.arima_filter import ARIMAFilter, ARIMAOrder
from trader.forecasters.arima_model import CONTEXT, ARIMAPredictor

START = 1_609_459_200_000
HOURS = 700
AHEAD = 24


def params(**model: Any) -> Params:
    """Of the family."""
    return params_of({**DEFAULT_PARAMS, "model": {"family": "arima", **model}}, "a test")


def series_of(log_close: Floats, step_ms: int = HOUR_MS) -> Series:
    """Closes of one symbol."""
    return Series("BTCUSDT", START, step_ms, np.asarray(log_close, np.float64))


def noise(seed: int, count: int = HOURS) -> Floats:
    """Innovations of a standard deviation of 1 %."""
    return 0.01 * np.random.default_rng(seed).normal(size=count)


def arma(
    phi: list[float], theta: list[float], seed: int, constant: float = 0.0, count: int = HOURS
) -> Floats:
    """An ARMA process, step by step."""
    e, x = noise(seed, count), np.zeros(count)
    for t in range(count):
        past = sum(c * (x[t - i] if t >= i else 0.0) for i, c in enumerate(phi, 1))
        x[t] = constant + past + e[t] + sum(c * e[t - i] for i, c in enumerate(theta, 1) if t >= i)
    return x


def fitted(series: Series, **model: Any) -> ARIMAPredictor:
    """A model of a whole series."""
    told = ArimaForecaster().fit_series(series, params(**model), steps=AHEAD, horizon=1, until=series.last)
    return ArimaForecaster().load(told, "a test")


def library_says(order: ARIMAOrder, context: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation of log close after `context`, by statsforecast's Kalman filter with these coefficients."""
    from statsforecast.arima import arima, predict_arima

    seasonal = (len(order.seasonal_ar), order.seasonal_difference, len(order.seasonal_ma))
    coefficients = [*order.ar, *order.ma, *order.seasonal_ar, *order.seasonal_ma]
    xreg, future = None, None
    if order.drift:
        xreg = np.arange(1.0, len(context) + 1).reshape(-1, 1)
        future, coefficients = (
            len(context) + np.arange(1.0, AHEAD + 1).reshape(-1, 1),
            [*coefficients, order.drift],
        )
    if order.mean:
        coefficients = [*coefficients, order.mean]
    model = arima(
        context,
        order=(len(order.ar), order.difference, len(order.ma)),
        seasonal={"order": seasonal, "period": order.season_length},
        xreg=xreg,
        include_mean=bool(order.mean),
        fixed=np.array(coefficients) if coefficients else None,
        transform_pars=False,
        method="ML",
    )
    model["sigma2"] = order.sigma2
    mean, deviation = predict_arima(model, AHEAD, newxreg=future)
    return mean, deviation


ORDERS = {
    "a random walk": ARIMAOrder((), (), (), (), 1, 0, 1, 0.0, 0.0, 1e-4),
    "a random walk with drift": ARIMAOrder((), (), (), (), 1, 0, 1, 0.0, 3e-4, 1e-4),
    "(2,1,1)": ARIMAOrder((0.5, -0.2), (0.3,), (), (), 1, 0, 1, 0.0, 0.0, 1e-4),
    "(1,0,2) around a mean": ARIMAOrder((0.97,), (0.2, 0.1), (), (), 0, 0, 1, 10.0, 0.0, 1e-4),
    "(0,2,2)": ARIMAOrder((), (-0.9, 0.1), (), (), 2, 0, 1, 0.0, 0.0, 1e-4),
    "(1,0,0)(0,1,1)[24]": ARIMAOrder((0.9,), (), (), (-0.7,), 0, 1, 24, 0.0, 0.0, 1e-4),
    "(1,1,1)(1,0,1)[24]": ARIMAOrder((0.3,), (0.2,), (0.6,), (-0.3,), 1, 0, 24, 0.0, 0.0, 1e-4),
}


@pytest.mark.parametrize("gaps", [(), (50, 51, 52, 200, 298)], ids=["whole", "gaps"])
@pytest.mark.parametrize("name", ORDERS)
def test_the_filter_says_what_the_library_says(name: str, gaps: tuple[int, ...]) -> None:
    """Mean and deviation 24 steps ahead, of every kind of order, without and with closes that are missing."""
    order, y = ORDERS[name], 10.0 + np.cumsum(noise(3, 300))
    y[list(gaps)] = np.nan
    wanted_mean, wanted_deviation = library_says(order, y)
    since = np.arange(len(y))
    mean, variance = ARIMAFilter(order).forecasts(
        y - order.mean - order.drift * since, np.array([len(y) - 1]), AHEAD
    )
    told = mean[0] + order.mean + order.drift * (since[-1] + np.arange(1, AHEAD + 1))
    assert np.allclose(told, wanted_mean, rtol=0, atol=1e-8)
    assert np.allclose(np.sqrt(variance[0] * order.sigma2), wanted_deviation, rtol=1e-6)


@pytest.mark.parametrize(
    "log_close",
    [10 + np.cumsum(arma([0.5], [0.3], 1)), 10 + np.cumsum(0.002 + noise(2)), 10 + arma([0.6], [], 4)],
    ids=["differenced once", "with drift", "around a mean"],
)
def test_a_prediction_is_the_librarys_forward(log_close: Floats) -> None:
    """Fitted by the library, stored, loaded, and asked 40 hours after the fit: the library's fitted model, moved forward over the
    same closes, gives the same mean and the same 95 % interval of log close."""
    from statsforecast.models import AutoARIMA

    series = series_of(log_close)
    fit = series.until(series.last - 40 * HOUR_MS)
    told = fitted(fit).forecast_series(series, series.times[-1:])
    library = AutoARIMA().fit(fit.log_close)
    said = library.forward(log_close[-40 - CONTEXT - 1 :], h=AHEAD, level=[95])
    assert told.quantiles is not None
    quantiles = told.quantiles[0] + log_close[-1]
    assert np.allclose(quantiles[:, LEVELS.index(0.5)], said["mean"], rtol=0, atol=1e-6)
    assert np.allclose(quantiles[:, LEVELS.index(0.975)], said["hi-95"].to_numpy(), rtol=0, atol=1e-6)


def test_p_up_is_the_normal_distributions_own() -> None:
    """Of r four hours ahead, beyond a round trip's cost: 1 - Phi((hurdle - mean) / deviation)."""
    series = series_of(10 + np.cumsum(arma([0.5], [0.3], 1)))
    predictor = replace(fitted(series), horizon=4, hurdle=0.003)
    told = predictor.forecast_series(series, series.times[-1:])
    assert told.quantiles is not None
    middle, high = told.quantiles[0, 3, LEVELS.index(0.5)], told.quantiles[0, 3, LEVELS.index(0.975)]
    deviation = (high - middle) / NormalDist().inv_cdf(0.975)
    assert told.p_up[0] == pytest.approx(1 - NormalDist(middle, deviation).cdf(math.log1p(0.003)), abs=1e-6)


def test_a_random_walk_says_that_nothing_is_known() -> None:
    """P(up) 0.5 to the bit at every hour, and an interval that grows with the root of the time."""
    order = ORDERS["a random walk"]
    series = series_of(10 + np.cumsum(noise(5, 300)))
    model = ARIMAPredictor(("BTCUSDT",), HOUR_MS, series.last, 1, AHEAD, 0.0, order, ARIMAFilter(order))
    told = model.forecast_series(series, series.times[-50:])
    assert set(told.p_up.tolist()) == {0.5}
    assert told.quantiles is not None
    width = told.quantiles[0, :, -1] - told.quantiles[0, :, 0]
    assert np.allclose(width / width[0], np.sqrt(np.arange(1, AHEAD + 1)))


def test_a_season_of_days_is_found() -> None:
    """A season of 7 daily closes, told as season_length 7: the model has a seasonal part, and the middle of what it says
    swings by most of the season."""
    days = np.arange(100)
    series = series_of(10 + 0.05 * np.sin(2 * np.pi * days / 7) + 0.1 * noise(6, 100), DAY_MS)
    predictor = fitted(series, season_length=7, max_p=0, max_q=0, max_d=0)
    assert predictor.order.seasonal_ar or predictor.order.seasonal_ma or predictor.order.seasonal_difference
    told = predictor.forecast_series(series, series.times[-1:])
    assert told.quantiles is not None
    assert np.ptp(told.quantiles[0, :7, LEVELS.index(0.5)]) > 0.07
    assert "[7]" in str(predictor.explain(series.last)["order"])


def test_missing_closes_are_no_closes() -> None:
    """An hour without a close has no prediction; the fit repeats the close before it, and ends at the last close there is."""
    y = 10 + np.cumsum(arma([0.5], [], 7))
    y[[300, 500, 501]] = np.nan
    y[-5:] = np.nan
    series = series_of(y)
    told = fitted(series).forecast_series(series, series.times[[499, 500, 501, 502, HOURS - 1]])
    assert np.isnan(told.p_up).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize(
    ("log_close", "problem"),
    [
        (
            10 + noise(1, 30),
            r"BTCUSDT: arima is fitted on 48 closes at least; 30 of the 30 steps .* Lengthen",
        ),
        (
            np.full(300, math.log(250.0)),
            r"BTCUSDT: all 300 closes .* are 250, so there is nothing to fit arima to",
        ),
        (np.full(300, np.nan), r"BTCUSDT: arima is fitted on 48 closes at least; 0 of the 300 steps"),
        (np.zeros(0), r"BTCUSDT: arima is fitted on 48 closes at least; 0 of the 0 steps have one"),
    ],
    ids=["short", "constant", "all missing", "empty"],
)
def test_a_series_that_teaches_nothing_is_refused(log_close: Floats, problem: str) -> None:
    """By symbol and number, with the way out."""
    with pytest.raises(DataError, match=problem):
        fitted(series_of(log_close))


def test_another_step_is_refused() -> None:
    """A model of hours says nothing about days."""
    series = series_of(10 + np.cumsum(noise(1)))
    with pytest.raises(DataError, match="closes 1 hour apart was given closes 24 hours apart"):
        fitted(series).forecast_series(series_of(series.log_close, DAY_MS), series.times[:1])


def test_an_hour_before_the_look_back_changes_no_model() -> None:
    """A panel may begin earlier than the training: its first hours are not learnt from."""
    bars, forecaster = bars_made(600, 3), ArimaForecaster()
    chosen = params_of({**params().as_json(), "look_back_days": 20}, "a test")
    models = {
        forecaster.fit(
            Panel.of([part]), np.zeros((1, len(part))), chosen, horizon=1, until=bars.last - HOUR_MS, seed=0
        )
        for part in (bars, bars.rows(119, 600), bars.rows(60, 600))
    }
    assert len(models) == 1
    assert json.loads(models.pop())["schema"] == "arima/1"
