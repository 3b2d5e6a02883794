"""The rolling distribution of the newest returns: it learns nothing, and is what every other family must beat.

A return over h hours is as likely as it was among those that ended in the last WINDOW_HOURS.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from trader.core.errors import DataError
from trader.core.forecast import LEVELS, Forecast, Traits, probability_above
from trader.core.labels import hurdle_of
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.types import Bars, Floats, Ints

FAMILY = "naive"
SCHEMA = "naive/1"
WINDOW_HOURS = 168
# Of fewer returns the outer quantiles say nothing.
FEWEST_RETURNS = 40
LONGEST_HORIZON_HOURS = 24


@dataclass(frozen=True, slots=True)
class NaivePredictor:
    """horizon_hours: that P(up) is about. hurdle: the share that a close must rise by to count as up."""

    symbols: tuple[str, ...]
    horizon_hours: int
    hurdle: float

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """P(up) and the quantiles of r for 1 to `horizon_hours` hours; NaN for hours after fewer than FEWEST_RETURNS."""
        if panel.symbols[0] not in self.symbols or len(panel.symbols) > 1:
            raise DataError(
                f"a model of {', '.join(self.symbols)} says nothing about {', '.join(panel.symbols)}"
            )
        rows = panel.rows(hours)
        quantiles = np.stack(
            [rolling_quantiles(panel.bars[0], rows, h) for h in range(1, self.horizon_hours + 1)], axis=1
        )
        above = probability_above(quantiles[:, -1], math.log1p(self.hurdle))
        return Forecast(above.astype(np.float32), quantiles)


def rolling_quantiles(bars: Bars, rows: Ints, hours: int) -> Floats:
    """The LEVELS of r = log(close[t] / close[t - hours]) over the WINDOW_HOURS returns that end at each of `rows` (m,), by
    linear interpolation: (m, level) float64. A return from or to a flagged row is none; NaN where fewer than
    FEWEST_RETURNS are left."""
    known = np.where(bars.flagged, np.nan, np.log(bars.close))
    returns = np.full(len(bars) + WINDOW_HOURS - 1, np.nan)
    returns[WINDOW_HOURS - 1 + hours :] = known[hours:] - known[: len(bars) - hours]
    windows = sliding_window_view(returns, WINDOW_HOURS)[rows]
    found = np.full((len(rows), len(LEVELS)), np.nan)
    there = ~np.isnan(windows)
    whole = there.all(axis=1)
    if whole.any():
        found[whole] = np.quantile(windows[whole], LEVELS, axis=1).T
    for i in np.flatnonzero(~whole & (there.sum(axis=1) >= FEWEST_RETURNS)).tolist():
        found[i] = np.quantile(windows[i][there[i]], LEVELS)
    return found


class NaiveForecaster:
    """Its model is what it is asked about, as JSON."""

    family = FAMILY
    format = "json"
    libraries: Sequence[str] = ("numpy",)
    traits = Traits("local", "series", WINDOW_HOURS + LONGEST_HORIZON_HOURS, "none")

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """Nothing is learnt: neither labels nor hours nor the seed change the model."""
        model = NaivePredictor(panel.symbols, horizon, hurdle_of(params))
        return json.dumps({"schema": SCHEMA, **asdict(model)}, sort_keys=True).encode()

    def load(self, model: bytes, source: str) -> NaivePredictor:
        """Raises DataError, naming `source`, for bytes that are not such a model."""
        try:
            values = json.loads(model)
            schema, symbols = values.pop("schema"), tuple(map(str, values.pop("symbols")))
            found = NaivePredictor(symbols, int(values.pop("horizon_hours")), float(values.pop("hurdle")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{source}: not a naive model ({error!r})") from None
        if schema != SCHEMA or values or not 1 <= found.horizon_hours <= LONGEST_HORIZON_HOURS:
            raise DataError(f"{source}: not a naive model of schema {SCHEMA}")
        return found
