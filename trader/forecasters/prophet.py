"""Prophet: prophet-batch finds the coefficients on closes; what they say of an hour is numpy's (prophet_model)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Traits
from trader.core.labels import hurdle_of
from trader.core.model_params import ProphetParams
from trader.core.params import Params
from trader.core.series import Series
from trader.forecasters.prophet_model import (
    FAMILY,
    KIND,
    ProphetPredictor,
    ProphetTerms,
    Seasonality,
    read,
    written,
)
from trader.forecasters.refusal import InvalidModel, not_a_model
from trader.forecasters.series import SeriesForecaster, known_rows

# Two days of hours: fewer closes hold no season, and a trend of chance.
FEWEST_CLOSES = 48
_LOGGERS = ("prophet", "prophet.plot", "prophet.models", "prophet_batch", "cmdstanpy")
# Before the library is imported, whoever imports it: it says on standard error that it will not draw.
for _name in _LOGGERS:
    logging.getLogger(_name).disabled = True
# Where prophet-batch hands a fit to Stan: with its starting point given too, nothing is random.
_STAN = {"seed": 1}
_WAY_OUT = "Lengthen look_back_days, or lower n_changepoints or changepoint_prior_scale"


class ProphetForecaster(SeriesForecaster):
    """A fit is the maximum of Prophet's own posterior; no bar after it changes a coefficient: refits follow the market."""

    family = FAMILY
    format = "json"
    libraries: Sequence[str] = ("prophet", "prophet-batch", "pandas", "numpy")
    # Where predictions are computed: a study's cache digests these too.
    source_modules: Sequence[str] = ("trader.forecasters.prophet_model",)
    traits = Traits("local", "series", 1, "none")

    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """A model of the closes themselves, of those that there are. Step and span decide which of the seasons of day, week and
        year it has, by Prophet's own rule.

        Raises DataError for a series that is too short or does not move, and where the fit fails.
        """
        model = params.model
        if not isinstance(model, ProphetParams):
            raise TypeError(f"parameters of {model.family} were given to {FAMILY}")
        known = series.until(until)
        predictor = ProphetPredictor(
            symbols=(series.symbol,),
            step_ms=series.step_ms,
            horizon=horizon,
            steps=steps,
            hurdle=float(hurdle_of(params)),
            terms=_terms_of(_fitted(known, model), model.seasonality),
        )
        return _readable(written(predictor), series.symbol)

    def load(self, model: bytes, source: str) -> ProphetPredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""
        try:
            return read(model)
        except InvalidModel as error:
            raise not_a_model(source, KIND, model, error) from None


def _fitted(known: Series, model: ProphetParams) -> Any:
    """A fitted Prophet object. Raises DataError where there is none."""
    rows = known_rows(known, FEWEST_CLOSES, FAMILY)
    import pandas as pd
    from prophet_batch import fit_many

    times = known.times[rows].astype("datetime64[ms]").astype("datetime64[ns]")
    frame = pd.DataFrame({"unique_id": 0, "ds": times, "y": np.exp(known.log_close[rows])})
    try:
        found: Mapping[Any, Any] = fit_many(frame, fit_kwargs=_STAN, **_asked(model))
    except (ValueError, RuntimeError) as error:
        told = f"{known.symbol}: Prophet could not be fitted to {len(rows):,} closes ({error}). {_WAY_OUT}"
        raise DataError(told) from None
    return found[0]


def _asked(model: ProphetParams) -> dict[str, Any]:
    """By Prophet's own names."""
    return {
        "seasonality_mode": model.seasonality,
        "changepoint_prior_scale": model.changepoint_prior_scale,
        "seasonality_prior_scale": model.seasonality_prior_scale,
        "n_changepoints": model.n_changepoints,
        "uncertainty_samples": 0,
    }


def _terms_of(fitted: Any, mode: str) -> ProphetTerms:
    """The coefficients as plain numbers."""
    params = {name: np.asarray(values, np.float64).ravel() for name, values in fitted.params.items()}
    beta, seasonalities = params["beta"].tolist(), []
    for name, props in fitted.seasonalities.items():
        order = int(props["fourier_order"])
        seasonalities.append(Seasonality(name, float(props["period"]), order, tuple(beta[: 2 * order])))
        del beta[: 2 * order]
    return ProphetTerms(
        mode=mode,
        start=round(fitted.start.timestamp() * 1000),
        span_ms=round(fitted.t_scale.total_seconds() * 1000),
        price_scale=float(fitted.y_scale),
        k=float(params["k"][0]),
        m=float(params["m"][0]),
        changepoints=tuple(np.asarray(fitted.changepoints_t, np.float64).tolist()),
        delta=tuple(params["delta"].tolist()),
        sigma_obs=float(params["sigma_obs"][0]),
        seasonalities=tuple(seasonalities),
    )


def _readable(model: bytes, symbol: str) -> bytes:
    """The model, if it can be read back. Raises DataError for one that `load` would refuse."""
    try:
        read(model)
    except InvalidModel as error:
        raise DataError(
            f"{symbol}: Prophet fitted a model that cannot be used: {error}. {_WAY_OUT}"
        ) from None
    return model
