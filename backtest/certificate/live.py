"""The bot's own path to a prediction, as a certificate asks it."""

from __future__ import annotations

from backtest.certificate.subject import LiveForecast, LivePath
from trader.core.prediction import LoadedModel, predict
from trader.core.types import Bars


def said_live(bars: Bars, hour: int, model: LoadedModel) -> LiveForecast:
    """What a tick says of an hour (UTC ms), by the very function of a tick."""
    told = predict(bars, hour, model)
    return LiveForecast(told.p_up, told.quantiles)


def live_path_of(model: LoadedModel) -> LivePath:
    """The path of one model."""
    return lambda bars, hour: said_live(bars, hour, model)
