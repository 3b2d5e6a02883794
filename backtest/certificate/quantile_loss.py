"""How good the quantiles of an hour were, in a unit in which calm and wild months can be compared: the pinball loss of the return
over the horizon, divided by the standard deviation that the newest returns had at that hour.

Sources: Koenker and Bassett, "Regression Quantiles" (1978) for the loss; Makridakis, Spiliotis and Assimakopoulos, "The M5
uncertainty competition" (2022) for dividing it by the series' own past changes.
"""

from __future__ import annotations

import numpy as np

from backtest.evidence.forecasts import outcomes, pinball
from trader.core.types import HOUR_MS, Bars, Floats, Ints

# The newest hourly returns whose standard deviation is the unit, and the fewest of them.
UNIT_HOURS, FEWEST = 168, 40


def scaled_pinball(bars: Bars, hours: Ints, quantiles: Floats, horizon: int) -> Floats:
    """The mean over all levels of hours (m,) UTC ms: quantiles (m, level) of the return over `horizon` hours -> (m,) float64, NaN
    where the forecast, the outcome or the unit is unknown. Only the outcome looks beyond an hour."""
    outcome = outcomes(bars, hours, horizon, bars.last)[:, -1]
    unit = recent_deviation(bars)[(hours - bars.first) // HOUR_MS] * np.sqrt(horizon)
    found: Floats = pinball(quantiles, outcome).mean(axis=-1) / unit
    return found


def recent_deviation(bars: Bars) -> Floats:
    """(n,) the standard deviation of the UNIT_HOURS hourly log returns that ended at or before each hour, without those of a bar
    that the exchange did not have; NaN where fewer than FEWEST are known, or nothing moved."""
    close = np.log(np.where(bars.flagged, np.nan, bars.close))
    moves = np.diff(close, prepend=np.nan)
    known = ~np.isnan(moves)
    count, first, second = (
        _sums(it) for it in (known.astype(float), np.where(known, moves, 0), np.where(known, moves, 0) ** 2)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = second / count - (first / count) ** 2
    enough = (count >= FEWEST) & (variance > 0)
    return np.sqrt(np.where(enough, variance, np.nan))


def _sums(values: Floats) -> Floats:
    """(n,) of the newest UNIT_HOURS values at each place."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    found: Floats = total[1:] - total[np.maximum(np.arange(len(values)) + 1 - UNIT_HOURS, 0)]
    return found
