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
from trader.forecasters.refusal import InvalidModel, not_a_model, symbols_of

FAMILY, KIND = "naive", "a naive model"
SCHEMA = "naive/1"
WINDOW_HOURS = 168
# Of fewer returns the outer quantiles say nothing.
FEWEST_RETURNS = 40
LONGEST_HORIZON_HOURS = 24
MOST_BYTES = 1 << 20


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
            return _read(model)
        except (ValueError, RecursionError) as error:
            raise not_a_model(source, KIND, model, repr(error)[:120]) from None
        except InvalidModel as error:
            raise not_a_model(source, KIND, model, error) from None


def _read(model: bytes) -> NaivePredictor:
    """The model of these bytes. Raises Refused, ValueError or RecursionError for others."""
    if len(model) > MOST_BYTES:
        raise InvalidModel(f"more than {MOST_BYTES:,} bytes")
    values = json.loads(model)
    if not isinstance(values, dict) or values.keys() != {"schema", "symbols", "horizon_hours", "hurdle"}:
        raise InvalidModel("it has other keys")
    horizon, hurdle = values["horizon_hours"], values["hurdle"]
    if values["schema"] != SCHEMA:
        raise InvalidModel(f"its schema is not {SCHEMA}")
    if type(horizon) is not int or not 1 <= horizon <= LONGEST_HORIZON_HOURS:
        raise InvalidModel(f"its horizon is not 1 to {LONGEST_HORIZON_HOURS} hours")
    if type(hurdle) is not float or not 0 <= hurdle < math.inf:
        raise InvalidModel("its hurdle is no share of 0 or more")
    return NaivePredictor(symbols_of(values["symbols"]), horizon, hurdle)
