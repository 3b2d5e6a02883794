"""A global family in a file of its own, as a user writes one: the distribution of standardised returns by hour of the day, pooled
over every symbol that the fit saw. A prediction scales it by its own symbol's newest volatility."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.bars_made import bars_made
from trader import own_families
from trader.adapters.user_models import MODULE
from trader.core import families
from trader.core.model_params import FAMILIES
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import Bars

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
YOUNG_FROM = 600

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
    window = closes[max(0, row - WINDOW) : row + 1]
    returns = window[1:] - window[:-1]
    known = returns[returns == returns]
    return np.sqrt(known @ known / len(known)) if len(known) >= WINDOW // 2 else np.nan


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
            scale = np.array([volatility(closes, row) for row in range(WINDOW // 2, len(closes) - ahead)])
            moves = (closes[ahead:] - closes[:-ahead])[WINDOW // 2 :] / scale
            known = np.isfinite(moves)
            pooled.append(moves[known])
            hours.append(hour_of_day(bars.close_time[WINDOW // 2 : len(closes) - ahead])[known])
        pooled, hours = np.concatenate(pooled), np.concatenate(hours)
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


@contextmanager
def known(folder: Path, text: str = POOLED) -> Iterator[None]:
    """The family is registered, as a command registers it, and forgotten afterwards."""
    registries: tuple[dict[str, Any], ...] = (FAMILIES, families._known)
    before = [dict(it) for it in registries]
    own_families.load(written(folder, text), check=False)
    try:
        yield
    finally:
        for registry, kept in zip(registries, before, strict=True):
            registry.clear()
            registry.update(kept)
        sys.modules.pop(MODULE, None)


def params_text(**changes: Any) -> dict[str, Any]:
    """Eager to trade, refitted every other day."""
    eager = {"enter_edge": 0.0, "exit_edge": -0.02, "step_days": 2, "look_back_days": 15}
    chosen = {"model": {"family": "pooled"}, "train_symbols": list(SYMBOLS)}
    return {**DEFAULT_PARAMS, **eager, **chosen, **changes}


def pooled_params(**changes: Any) -> Params:
    """The same, read."""
    return params_of(params_text(**changes), "tests")


def three_symbols(hours: int = 1_000) -> tuple[Bars, Bars, Bars]:
    """The traded one with outages, one that has others, and one that is listed within the first windows."""
    btc = bars_made(hours, 3, missing=(790, 791, 850, 851, 852, 880))
    eth = bars_made(hours, 4, missing=(500, 501, 810), symbol="ETHUSDT", price=1_500.0)
    sol = bars_made(hours, 5, symbol="SOLUSDT", price=14.0, decimals=4)
    return btc, eth, sol.rows(YOUNG_FROM, hours)
