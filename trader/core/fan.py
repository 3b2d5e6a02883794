"""A model's forecast of the hours ahead of one hour: quantiles of the closes and P(up), by what the hour knew. What `trader
forecast` and the page show, what a pipeline publishes, and what a certificate compares with the walk-forward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.errors import ConfigError, DataError, Retry
from trader.core.forecast import LEVELS, probability_above
from trader.core.labels import hurdle_of
from trader.core.prediction import LoadedModel, panel_of
from trader.core.types import HOUR_MS, Bars, Floats, iso


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
        rows = prices_written(self.prices)
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
                    "p_up": p_up_written(float(self.p_up[h - 1])),
                    "prices": rows[h - 1],
                }
                for h in range(1, self.hours + 1)
            ],
        }


def p_up_written(p_up: float | None) -> float | None:
    """As a forecast is written: with six decimals; None where nothing is said."""
    return None if p_up is None else round(p_up, 6)


def prices_written(prices: Floats | None) -> list[list[float]]:
    """As a forecast is written: prices (h, level) with ten digits, a row an hour ahead; none where there is P(up) alone."""
    rows = [] if prices is None else prices.tolist()
    return [[float(f"{price:.10g}") for price in row] for row in rows]


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
