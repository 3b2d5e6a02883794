"""The bot's own paths to a prediction and to a forecast, as a certificate asks them."""

from __future__ import annotations

from backtest.certificate.subject import AheadPath, LiveForecast, LivePath
from trader.core.errors import TraderError
from trader.core.fan import fan_forecast
from trader.core.prediction import LoadedModel, predict
from trader.core.types import Bars, Floats


def said_live(bars: Bars, hour: int, model: LoadedModel) -> LiveForecast:
    """What a tick says of an hour (UTC ms), by the very function of a tick."""
    told = predict(bars, hour, model)
    return LiveForecast(told.p_up, told.quantiles)


def live_path_of(model: LoadedModel) -> LivePath:
    """The path of one model."""
    return lambda bars, hour: said_live(bars, hour, model)


def shown_ahead(bars: Bars, hour: int, model: LoadedModel) -> Floats | None:
    """The quantiles of the closes ahead of an hour (h, level), by the very function of `trader forecast`; None where it shows
    none."""
    try:
        return fan_forecast(bars, hour, model, model.params.forecast_hours).prices
    except TraderError:  # it has no distribution, or says nothing of this hour
        return None


def ahead_path_of(model: LoadedModel) -> AheadPath:
    """The path of `trader forecast` for one model."""
    return lambda bars, hour: shown_ahead(bars, hour, model)
