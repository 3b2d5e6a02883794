"""ARIMA: statsforecast's AutoARIMA chooses and fits the order on log closes; what it says of an hour is numpy's (arima_model)."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Traits
from trader.core.labels import hurdle_of
from trader.core.model_params import ArimaParams
from trader.core.params import Params
from trader.core.series import Series
from trader.core.types import Floats
from trader.forecasters.arima_filter import ARIMAFilter, ARIMAOrder
from trader.forecasters.arima_model import (
    CONTEXT,
    FAMILY,
    KIND,
    ARIMAPredictor,
    read,
    written,
)
from trader.forecasters.refusal import InvalidModel, not_a_model
from trader.forecasters.series import SeriesForecaster, known_rows, repeated

# Fewer closes, or fewer whole seasons, and the choice of an order is a matter of chance.
FEWEST_CLOSES, FEWEST_SEASONS = 48, 4
# The library hides warnings of the process while it tests for a unit root, which two threads at once may not do.
_ONE_AT_A_TIME = threading.Lock()


class ArimaForecaster(SeriesForecaster):
    """A fit chooses the order by AICc, stepwise; until the next fit the parameters stay, and only the state moves."""

    family = FAMILY
    format = "json"
    libraries: Sequence[str] = ("statsforecast", "scipy", "numpy")
    # Where predictions are computed: a study's cache digests these too.
    source_modules: Sequence[str] = ("trader.forecasters.arima_model", "trader.forecasters.arima_filter")
    traits = Traits("local", "series", CONTEXT, "filter")

    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """A model of log close. At the fit a missing close repeats the one before it, as a flagged bar does, for the library's
        seasonal test takes none that is missing.

        Raises DataError for a series that is too short or does not move, and where the library finds no order.
        """
        model = params.model
        if not isinstance(model, ArimaParams):
            raise TypeError(f"parameters of {model.family} were given to {FAMILY}")
        fewest = max(FEWEST_CLOSES, FEWEST_SEASONS * model.season_length)
        known = series.until(until)
        closes = repeated(known, known_rows(known, fewest, FAMILY))
        order = _order_of(_chosen(closes, model, series.symbol), model.season_length)
        predictor = ARIMAPredictor(
            symbols=(series.symbol,),
            step_ms=series.step_ms,
            trained_until=until,
            horizon=horizon,
            steps=steps,
            hurdle=float(hurdle_of(params)),
            order=order,
            filter=ARIMAFilter(order),
        )
        return _readable(written(predictor), series.symbol)

    def load(self, model: bytes, source: str) -> ARIMAPredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""
        try:
            return read(model)
        except InvalidModel as error:
            raise not_a_model(source, KIND, model, error) from None


def _readable(model: bytes, symbol: str) -> bytes:
    """The model, if it can be read back. Raises DataError for one that `load` would refuse."""
    try:
        read(model)
    except InvalidModel as error:
        raise DataError(
            f"{symbol}: AutoARIMA fitted a model that cannot be used: {error}. {_WAY_OUT}"
        ) from None
    return model


def _chosen(log_close: Floats, model: ArimaParams, symbol: str) -> Mapping[str, Any]:
    """What AutoARIMA fitted. Raises DataError where it finds nothing."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from statsforecast.models import AutoARIMA

        fitting = AutoARIMA(
            season_length=model.season_length, max_p=model.max_p, max_q=model.max_q, max_d=model.max_d
        )
        try:
            found: Mapping[str, Any] = fitting.fit(log_close).model_
        except (ValueError, np.linalg.LinAlgError) as error:
            told = f"{symbol}: AutoARIMA found no model of {len(log_close):,} closes ({error}). {_WAY_OUT}"
            raise DataError(told) from None
    return found


_WAY_OUT = "Lengthen look_back_days, or lower max_p, max_q or season_length"


def _order_of(fitted: Mapping[str, Any], season_length: int) -> ARIMAOrder:
    """The library's own numbers. A drift's origin is of no account: the differences do not know it."""
    p, q, seasonal_p, seasonal_q, _, d, seasonal_d = fitted["arma"]
    coefficient: Mapping[str, Any] = fitted["coef"]

    def values(name: str, count: int) -> tuple[float, ...]:
        return tuple(float(coefficient[f"{name}{i}"]) for i in range(1, count + 1))

    return ARIMAOrder(
        ar=values("ar", p),
        ma=values("ma", q),
        seasonal_ar=values("sar", seasonal_p),
        seasonal_ma=values("sma", seasonal_q),
        difference=int(d),
        seasonal_difference=int(seasonal_d),
        season_length=season_length,
        mean=float(coefficient.get("intercept", 0.0)),
        drift=float(coefficient.get("drift", 0.0)),
        sigma2=float(fitted["sigma2"]),
    )
