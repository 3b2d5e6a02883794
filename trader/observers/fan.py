"""The page's forecast: what the serving model says of the closes ahead. Its bars come from the collected ones and the market, for
the store keeps none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trader.app.forecast import SHOWN_HOURS
from trader.app.retrain import champions, load_card
from trader.core.errors import TraderError
from trader.core.fan import FanForecast, fan_forecast
from trader.core.forecast import LEVELS
from trader.core.lifecycle import serving
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, Json

if TYPE_CHECKING:
    from trader.app.journal import Journal
    from trader.config import Settings
    from trader.core.prediction import LoadedModel

BEFORE_HOURS = 72


def fan_of(journal: Journal, settings: Settings, hour: int | None) -> tuple[Json | None, str]:
    """The forecast from a closed hour (UTC ms) on, else why there is none; "" where none is meant: before the first hour, and
    for a family that gives P(up) alone, whose page asks nobody for bars."""
    try:
        champion = serving(champions(journal), hour) if hour else None
        if champion is None or hour is None or not _reaches_ahead(journal, champion.model_id):
            return None, ""
        return _told(_forecast(journal, settings, champion.model_id, hour)), ""
    except TraderError as error:
        return None, str(error)


def _reaches_ahead(journal: Journal, model_id: str) -> bool:
    params = params_of(load_card(journal, model_id).params, f"models/{model_id}/card")
    return hasattr(params.model, "forecast_hours") and params.forecast_hours > 1


def _forecast(journal: Journal, settings: Settings, model_id: str, hour: int) -> FanForecast:
    from trader import wiring

    model = wiring.make_model(journal, model_id)
    return fan_forecast(
        _bars(settings, model, hour), hour, model, min(SHOWN_HOURS, model.params.forecast_hours)
    )


def _bars(settings: Settings, model: LoadedModel, hour: int) -> Bars:
    from trader import wiring

    market = wiring.make_market(settings, wiring.make_clock(settings))
    try:
        return wiring.make_collector(settings, market).between(model.reads_from(hour), hour + HOUR_MS)
    finally:
        market.close()


def _told(fan: FanForecast) -> Json:
    prices = [[float(f"{price:.10g}") for price in row] for row in fan.prices.tolist()]
    before = fan.before[-BEFORE_HOURS:].tolist()
    return {
        "model_id": fan.model_id,
        "hour": fan.hour,
        "close": fan.close,
        "before": [None if math.isnan(close) else close for close in before],
        "levels": list(LEVELS),
        "prices": prices,
    }
