"""What the serving model says of the hours ahead: quantiles of the close and P(up), from one closed hour on. Nothing is decided
by it, nothing is written."""

from __future__ import annotations

from dataclasses import replace

from trader.app.bot import Bot
from trader.app.retrain import champions, deployment
from trader.core.errors import ConfigError
from trader.core.fan import FanForecast, fan_forecast
from trader.core.lifecycle import Champion, is_late, serving
from trader.core.prediction import LoadedModel
from trader.core.text import plural
from trader.core.types import floor_hour

# As far as is shown where nobody says how far.
SHOWN_HOURS = 24


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
