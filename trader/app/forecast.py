"""What the serving model says of the hours ahead: quantiles of the close and P(up), from one closed hour on. Nothing is decided
by it, nothing is written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trader.app.bot import Bot
from trader.app.retrain import champions, deployment
from trader.core.errors import ConfigError, DataError, Retry
from trader.core.forecast import LEVELS, probability_above
from trader.core.labels import hurdle_of
from trader.core.lifecycle import Champion, is_late, serving
from trader.core.prediction import LoadedModel, panel_of
from trader.core.text import plural
from trader.core.types import HOUR_MS, Bars, Floats, floor_hour, iso

# As far as is shown where nobody says how far.
SHOWN_HOURS = 24


@dataclass(frozen=True, slots=True, eq=False)
class FanForecast:
    """A distribution of the closes after `hour` (UTC ms), a row an hour ahead.

    prices: (h, level) of the close at LEVELS. p_up: (h,) P(close[hour + h] is up by the label's hurdle). before: the newest
    closes up to and with `hour`'s own, NaN where the exchange had no bar. serves_from: UTC ms, of a model that does not trade
    yet; None of one that does.
    """

    symbol: str
    model_id: str
    family: str
    late: bool
    hour: int
    close: float
    horizon_hours: int
    prices: Floats
    p_up: Floats
    before: Floats
    serves_from: int | None = None

    @property
    def hours(self) -> int:
        """How far it reaches."""
        return len(self.prices)

    def time(self, h: int) -> int:
        """The close, UTC ms, that lies h hours ahead."""
        return self.hour + h * HOUR_MS

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "symbol": self.symbol,
            "model_id": self.model_id,
            "family": self.family,
            "model_late": self.late,
            "serves_from": None if self.serves_from is None else iso(self.serves_from),
            "hour": iso(self.hour),
            "close": self.close,
            "horizon_hours": self.horizon_hours,
            "levels": list(LEVELS),
            "forecast": [
                {
                    "h": h,
                    "time": iso(self.time(h)),
                    "p_up": round(float(self.p_up[h - 1]), 6),
                    "prices": [float(f"{price:.10g}") for price in self.prices[h - 1].tolist()],
                }
                for h in range(1, self.hours + 1)
            ],
        }


def newest_forecast(bot: Bot, hours: int | None = None) -> FanForecast:
    """From the newest closed hour on, up to `hours` ahead; None: up to SHOWN_HOURS, as far as the model reaches. Before the first
    model serves it is that model's, for a forecast is no trade.

    Raises ConfigError without a model, for a model that gives P(up) alone and for hours beyond its reach; Retry where the
    hour's bar is not there yet; DataError where the bars are too few to say anything.
    """
    hour = floor_hour(bot.exchange.time_ms())
    champion, serves_from = forecasting_champion(bot, hour)
    model = bot.model(champion.model_id)
    reach = _reach(model, hours)
    bars = bot.collector.waiting(model.reads_from(hour), hour, bot.clock)
    begun = deployment(bot.journal)
    late = bool(begun and is_late(begun.start_ms, model.params.step_days, champion, hour))
    fan = fan_forecast(bars, hour, model, reach, late=late and serves_from is None)
    return replace(fan, serves_from=serves_from)


def forecasting_champion(bot: Bot, hour: int) -> tuple[Champion, int | None]:
    """Whose forecast of an hour (UTC ms) is shown: the model that serves it, else the first that will, and from when on (UTC ms).
    Raises ConfigError, with the way out, where there is none."""
    known = champions(bot.journal)
    champion = serving(known, hour)
    if champion is not None:
        return champion, None
    if not known:
        raise ConfigError(
            f"{bot.symbol}: no model serves yet; train one with: trader retrain --params P.json"
        )
    first = min(known, key=lambda it: it.valid_from)
    return first, first.valid_from


def _reach(model: LoadedModel, hours: int | None) -> int:
    card, reach = model.card, model.params.forecast_hours
    if hours is not None and hours > reach and reads_ahead(model):
        raise ConfigError(
            f"{card.model_id} ({card.family}) reaches {plural(reach, 'hour')} ahead, not {hours}. Ask for fewer, or train one "
            f'that reaches further: "forecast_hours": {hours} under "model" in P.json, then trader retrain --params P.json'
        )
    return min(hours or SHOWN_HOURS, reach)


def reads_ahead(model: LoadedModel) -> bool:
    """Whether its family is told how far to forecast: then it gives a distribution."""
    return hasattr(model.params.model, "forecast_hours")


def fan_forecast(bars: Bars, hour: int, model: LoadedModel, hours: int, *, late: bool = False) -> FanForecast:
    """What a model says at an hour (UTC ms) of the closes up to `hours` ahead, from the bars that the hour knew. Raises
    ConfigError, Retry or DataError where it says nothing."""
    card, params = model.card, model.params
    if not bars.has(hour):
        raise Retry(
            f"{bars.symbol}: the exchange has no bar of {iso(hour)}, so nothing is forecast; ask again after the next hour"
        )
    told = model.predictor.predict(panel_of(bars, hour, model), np.array([hour]))
    if told.quantiles is None:
        raise ConfigError(
            f"{card.model_id} ({card.family}) gives P(up) alone, {params.horizon_hours} h ahead: {_p_up(told.p_up[0])}. A fan "
            f"needs a family with a distribution; see: trader models families"
        )
    quantiles = told.quantiles[0, :hours]
    if np.isnan(quantiles).any():
        raise DataError(
            f"{card.model_id} ({card.family}) says nothing about {iso(hour)}: of the {model.traits.context_hours} hours before "
            f"too few have bars. Collect older ones: trader collect"
        )
    p_up = probability_above(quantiles, math.log1p(hurdle_of(params)))
    if params.horizon_hours <= len(p_up):
        p_up[params.horizon_hours - 1] = told.p_up[0]  # what trades: of a parametric family its own
    row = bars.row(hour)
    before = np.where(bars.flagged, np.nan, bars.close)[: row + 1]
    close = float(bars.close[row])
    prices = close * np.exp(np.sort(quantiles, axis=1))
    return FanForecast(
        bars.symbol, card.model_id, card.family, late, hour, close, params.horizon_hours, prices, p_up, before
    )


def _p_up(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.4f}"
