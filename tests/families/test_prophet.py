"""Prophet beside the library that fits it: what numpy predicts is what Prophet's own `predict` says of the same coefficients."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prophet_batch import fit_many

from trader.core.errors import DataError
from trader.core.forecast import LEVELS
from trader.core.model_params import ProphetParams
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS, Floats
from trader.forecasters.prophet import ProphetForecaster, _asked, _fitted, _terms_of
from trader.forecasters.prophet_model import ProphetPredictor, ProphetTerms, Seasonality

START = 1_609_459_200_000
MODES = ["additive", "multiplicative"]


def params(**model: Any) -> Params:
    """Of the family."""
    return params_of({**DEFAULT_PARAMS, "model": {"family": "prophet", **model}}, "a test")


def family_params(**model: Any) -> ProphetParams:
    """What the family is told."""
    found = params(**model).model
    assert isinstance(found, ProphetParams)
    return found


def series_of(hours: int = 500, step_ms: int = HOUR_MS, seed: int = 1) -> Series:
    """A price with a trend, a bend, a season of 24 steps, noise, and closes that are missing."""
    steps = np.arange(hours)
    price = (
        30_000 + 8 * steps - 12 * np.maximum(steps - hours * 0.6, 0) + 150 * np.sin(2 * np.pi * steps / 24)
    )
    log_close = np.log(price + 40 * np.random.default_rng(seed).normal(size=hours))
    log_close[[hours // 5, hours // 5 + 1, hours * 3 // 5]] = np.nan
    return Series("BTCUSDT", START, step_ms, log_close)


def fitted(series: Series, **model: Any) -> ProphetPredictor:
    """A model of a whole series, through its bytes."""
    forecaster = ProphetForecaster()
    told = forecaster.fit_series(series, params(**model), steps=24, horizon=1, until=series.last)
    return forecaster.load(told, "a test")


@pytest.mark.parametrize(
    ("step_ms", "steps", "names"),
    [(HOUR_MS, 500, {"weekly", "daily"}), (DAY_MS, 740, {"weekly", "yearly"})],
    ids=["hours", "days"],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_prediction_is_prophets_own(mode: str, step_ms: int, steps: int, names: set[str]) -> None:
    """Trend, each season and yhat of 300 steps around the end of the training, of hours and of days, with Prophet's own choice of
    seasons: equal to a billionth."""
    series = series_of(steps, step_ms)
    library = _fitted(series, family_params(seasonality=mode))
    terms = fitted(series, seasonality=mode).terms
    times = series.last + step_ms * np.arange(-100, 200)
    wanted = library.predict(pd.DataFrame({"ds": times.astype("datetime64[ms]")}))
    assert {it.name for it in terms.seasonalities} == set(library.seasonalities) == names
    assert np.allclose(terms.trend(times), wanted["trend"], rtol=1e-9, atol=0)
    for it in terms.seasonalities:
        scale = terms.price_scale if mode == "additive" else 1.0
        assert np.allclose(it.at(times) * scale, wanted[it.name], rtol=1e-9, atol=1e-9 * scale)
    assert np.allclose(terms.price(times)[0], wanted["yhat"], rtol=1e-9, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_the_variance_is_that_of_prophets_own_samples(mode: str) -> None:
    """Trend changes to come are sampled 1,500 times by Prophet, 150 hours after the training: the closed form has their variance,
    within three standard errors, with the seasons' share where they multiply."""
    series = series_of()
    library = _fitted(series, family_params(seasonality=mode, changepoint_prior_scale=0.5))
    terms = _terms_of(library, mode)
    at = np.array([series.last + 150 * HOUR_MS])
    frame = library.setup_dataframe(pd.DataFrame({"ds": at.astype("datetime64[ms]")}))
    np.random.seed(1)  # Prophet draws from the global generator
    trends = np.array([library.sample_predictive_trend(frame, 0)[0] for _ in range(1_500)])
    share = 1 + terms.seasonal(at)[0] if mode == "multiplicative" else 1.0
    wanted = share**2 * np.mean((trends - terms.trend(at)[0]) ** 2)
    told = terms.price(at)[1][0] ** 2 - (terms.sigma_obs * terms.price_scale) ** 2
    error = share**2 * np.std((trends - trends.mean()) ** 2) / np.sqrt(len(trends))
    assert told == pytest.approx(wanted, abs=3 * error)
    assert error < 0.15 * told


def test_within_the_training_only_the_observations_vary() -> None:
    """No trend change is to come there."""
    series = series_of()
    terms = fitted(series).terms
    mean, deviation = terms.price(series.times)
    assert np.allclose(deviation, terms.sigma_obs * terms.price_scale, rtol=1e-12)
    known = ~np.isnan(series.log_close)
    assert np.std(np.exp(series.log_close[known]) - mean[known]) == pytest.approx(deviation[0], rel=0.05)


def certain(k: float = 0.0, m: float = 1.0) -> ProphetPredictor:
    """A model whose price is m at its start and m + k at its end, 1,000 hours later, times 100."""
    terms = ProphetTerms("additive", START, 1_000 * HOUR_MS, 100.0, k, m, (0.5,), (0.0,), 0.02, ())
    return ProphetPredictor(("BTCUSDT",), HOUR_MS, 2, 3, 0.01, terms)


def test_p_up_is_the_distance_from_the_trend() -> None:
    """A price of 100 with a deviation of 2, whatever the close: P(price > close x 1.01), and quantiles of log(price / close)."""
    closes = np.log([90.0, 100.0, 110.0])
    series = Series("BTCUSDT", START, HOUR_MS, closes)
    told = certain().forecast_series(series, series.times)
    wanted = [1 - NormalDist(100, 2).cdf(close * 1.01) for close in (90.0, 100.0, 110.0)]
    assert told.p_up.tolist() == pytest.approx(wanted, abs=1e-6)
    assert told.quantiles is not None
    prices = np.exp(told.quantiles[:, 1] + closes[:, None])
    assert np.allclose(prices, [[NormalDist(100, 2).inv_cdf(level) for level in LEVELS]] * 3, rtol=1e-9)


def test_no_quantile_is_below_nothing() -> None:
    """A trend that falls below zero: quantiles end at a millionth of the close, and P(up) is 0."""
    series = Series("BTCUSDT", START + 3_000 * HOUR_MS, HOUR_MS, np.log([100.0]))
    told = certain(k=-1.0).forecast_series(series, series.times)
    assert told.quantiles is not None
    assert np.allclose(told.quantiles, np.log(1e-6))
    assert told.p_up.tolist() == [0.0]


def test_a_season_is_a_fourier_series() -> None:
    """Two orders of a day, by hand at 03:00: an eighth and a quarter of a turn."""
    season = Seasonality("daily", 1.0, 2, (1.0, 2.0, 4.0, 8.0))
    at = season.at(np.array([START + 3 * HOUR_MS]))
    assert at[0] == pytest.approx((1 + 2) * np.sqrt(0.5) + 4)


@pytest.mark.parametrize("mode", MODES)
def test_a_fit_alone_is_as_in_a_batch(mode: str) -> None:
    """Three series fitted at once have, to the bit, the coefficients that each has alone: research and bot fit the same model."""
    many = [series_of(200, seed=seed) for seed in (1, 2, 3)]
    frames = [
        pd.DataFrame({"unique_id": i, "ds": it.times.astype("datetime64[ms]"), "y": np.exp(it.log_close)})
        for i, it in enumerate(many)
    ]
    frame = pd.concat(frames).dropna().reset_index(drop=True)
    asked = family_params(seasonality=mode)
    batch = fit_many(frame, **_asked(asked))
    for i, series in enumerate(many):
        assert _terms_of(batch[i], mode) == _terms_of(_fitted(series, asked), mode)


def test_a_prediction_imports_neither_prophet_nor_pandas(tmp_path: Path) -> None:
    """A process that loads a model and predicts has imported numpy alone."""
    series = series_of(100)
    told = ProphetForecaster().fit_series(series, params(), steps=24, horizon=1, until=series.last)
    (tmp_path / "model").write_bytes(told)
    program = (
        "import sys, numpy as np\n"
        "from trader.core.series import Series\n"
        "from trader.forecasters.registry import forecaster_of\n"
        "model = forecaster_of('prophet').load(open('model', 'rb').read(), 'x')\n"
        f"series = Series('BTCUSDT', {START}, 3_600_000, np.log([30_000.0]))\n"
        "assert 0 <= model.forecast_series(series, series.times).p_up[0] <= 1\n"
        "print([name for name in ('prophet', 'prophet_batch', 'pandas', 'cmdstanpy') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"


def test_a_fit_says_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No line on the terminal, also where Stan is asked (a fit without noise), and no file in the folder."""
    monkeypatch.chdir(tmp_path)
    line = Series("BTCUSDT", START, HOUR_MS, np.log(np.linspace(100.0, 110.0, 60)))
    logging.getLogger("cmdstanpy").disabled = False
    fitted(line, n_changepoints=5)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("log_close", "problem"),
    [
        (
            np.log(np.linspace(1, 2, 30)),
            r"BTCUSDT: prophet is fitted on 48 closes at least; 30 of the 30 steps",
        ),
        (np.zeros(300), r"BTCUSDT: all 300 closes .* are 1, so there is nothing to fit prophet to"),
        (np.full(300, np.nan), r"BTCUSDT: prophet is fitted on 48 closes at least; 0 of the 300 steps"),
    ],
    ids=["short", "constant", "all missing"],
)
def test_a_series_that_teaches_nothing_is_refused(log_close: Floats, problem: str) -> None:
    """By symbol and number, with the way out."""
    with pytest.raises(DataError, match=problem):
        fitted(Series("BTCUSDT", START, HOUR_MS, log_close))


def test_missing_closes_are_left_out() -> None:
    """One within and some at the end of the series: the training ends at the last close there is, and a step without one has no
    prediction."""
    series = series_of()
    series.log_close[-4:] = np.nan
    predictor = fitted(series)
    assert predictor.terms.start + predictor.terms.span_ms == series.last - 4 * HOUR_MS
    told = predictor.forecast_series(series, series.times[[100, 102, 499]])
    assert np.isnan(told.p_up).tolist() == [True, False, True]
