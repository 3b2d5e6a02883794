"""A parametric family for tests: returns are normal, with the mean and the deviation of the hours it was fitted on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast, Traits, normal_forecast
from trader.core.labels import hurdle_of
from trader.core.params import Params
from trader.core.series import Series
from trader.core.types import Floats, Ints
from trader.forecasters.series import SeriesForecaster, SeriesPredictor


@dataclass(frozen=True, slots=True)
class NormalPredictor(SeriesPredictor):
    """A step's mean and deviation; h steps have h times the mean, and the root of h times the deviation."""

    symbols: tuple[str, ...]
    mean: float
    deviation: float
    steps: int
    horizon: int
    hurdle: float

    def forecast_series(self, series: Series, times: Ints) -> Forecast:
        """The same at every close; NaN where there is none."""
        h = np.arange(1, self.steps + 1)
        known = np.where(np.isnan(series.log_close[series.rows(times)]), np.nan, 1.0)[:, None]
        mean: Floats = known * self.mean * h
        return normal_forecast(mean, known * self.deviation * np.sqrt(h), self.horizon, self.hurdle)


class NormalForecaster(SeriesForecaster):
    """Fitted by two sums."""

    family = "normal"
    format = "json"
    libraries: Sequence[str] = ("numpy",)
    traits = Traits("local", "series", 0, "none")

    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """Raises DataError for fewer than three closes, and for closes that never move."""
        moves = np.diff(series.until(until).log_close)
        moves = moves[~np.isnan(moves)]
        if len(moves) < 2 or moves.std() == 0:
            raise DataError(f"{series.symbol}: {len(moves)} returns, or none that moves, give no deviation")
        learnt = {"mean": float(moves.mean()), "deviation": float(moves.std())}
        asked = {"symbols": [series.symbol], "steps": steps, "horizon": horizon, "hurdle": hurdle_of(params)}
        return json.dumps(learnt | asked, sort_keys=True).encode()

    def load(self, model: bytes, source: str) -> NormalPredictor:
        """What was fitted."""
        try:
            values = json.loads(model)
            values["symbols"] = tuple(values["symbols"])
            found = NormalPredictor(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{source}: not a normal model ({error!r})") from None
        if not math.isfinite(found.deviation):
            raise DataError(f"{source}: not a normal model")
        return found
