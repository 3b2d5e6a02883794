"""A global family in a file of its own, as a user writes one: the distribution of standardised returns by hour of the day, pooled
over every symbol that the fit saw. A prediction scales it by its own symbol's newest volatility."""

from __future__ import annotations

from pathlib import Path

POOLED = '''\
"""Standardised returns by the hour of the day, pooled over symbols."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np

from trader.api import LEVELS, DataError, FamilyParams, Field, Forecast, Traits
from trader.core.forecast import probability_above
from trader.core.labels import hurdle_of

WINDOW = 96


def volatility(closes, row):
    """The deviation of the WINDOW returns that end at a row; NaN where fewer than half of them are known."""
    returns = np.diff(closes[max(0, row - WINDOW) : row + 1])
    known = returns[~np.isnan(returns)]
    return known.std() if len(known) >= WINDOW // 2 else np.nan


def log_closes(bars):
    return np.where(bars.flagged, np.nan, np.log(bars.close))


def hour_of_day(close_time):
    return close_time // 3_600_000 % 24


class PooledParams(FamilyParams):
    """Standardised returns by the hour of the day, pooled over all symbols of the fit."""

    family: Literal["pooled"] = "pooled"
    shrinkage: float = Field(0.5, ge=0, le=1, description="weight of all hours beside the hour's own")


class PooledPredictor:
    def __init__(self, values):
        self.values = values
        self.quantiles = np.array(values["quantiles"])

    def predict(self, panel, hours):
        if panel.symbols[0] not in self.values["symbols"] or len(panel.symbols) > 1:
            raise DataError(f"a model of {self.values['symbols']} says nothing about {', '.join(panel.symbols)}")
        closes, rows = log_closes(panel.bars[0]), panel.rows(hours)
        scale = np.array([np.nan if np.isnan(closes[row]) else volatility(closes, row) for row in rows])
        found = self.quantiles[:, hour_of_day(hours)].transpose(1, 0, 2) * scale[:, None, None]
        above = probability_above(found[:, self.values["horizon"] - 1], self.values["hurdle"])
        return Forecast(above.astype(np.float32), found)


class PooledForecaster:
    family = "pooled"
    format = "json"
    libraries = ("numpy",)
    traits = Traits("global", "series", WINDOW, "none")

    def fit(self, panel, y, params, *, horizon, until, seed):
        quantiles = [self._quantiles(panel, until, ahead, params.model.shrinkage) for ahead in range(1, horizon + 1)]
        values = {"schema": "pooled/1", "symbols": list(panel.symbols), "horizon": horizon}
        values["hurdle"] = float(np.log1p(hurdle_of(params)))
        return json.dumps({**values, "quantiles": quantiles}, sort_keys=True).encode()

    def _quantiles(self, panel, until, ahead, shrinkage):
        pooled, hours = [], []
        for bars in panel.bars:
            closes = log_closes(bars.until(until))
            for row in range(len(closes) - ahead):
                scaled = (closes[row + ahead] - closes[row]) / volatility(closes, row)
                if np.isfinite(scaled):
                    pooled.append(scaled)
                    hours.append(hour_of_day(bars.close_time[row]))
        pooled, hours = np.array(pooled), np.array(hours)
        every = np.quantile(pooled, LEVELS)
        own = [np.quantile(pooled[hours == hour], LEVELS) for hour in range(24)]
        return [(shrinkage * every + (1 - shrinkage) * each).tolist() for each in own]

    def load(self, model, source):
        try:
            values = json.loads(model)
            predictor = PooledPredictor(values)
            right = values["schema"] == "pooled/1" and predictor.quantiles.shape[1:] == (24, len(LEVELS))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise DataError(f"{source}: not a pooled model ({error!r})") from None
        if not right:
            raise DataError(f"{source}: not a pooled model of schema pooled/1")
        return predictor
'''


def written(folder: Path, text: str = POOLED) -> Path:
    """The file."""
    path = folder / "pooled.py"
    path.write_text(text)
    return path
