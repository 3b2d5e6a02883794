"""Bars -> y. The only file that looks forward."""

from __future__ import annotations

import numpy as np

from trader.core.types import Bars, Floats


def direction(bars: Bars, horizon: int) -> Floats:
    """1.0 where close[t + horizon] > close[t], 0.0 where not, NaN while unknown.

    Shape (n,), float64; horizon in hours, without a default because it leaks. Unknown are the last `horizon` rows
    and every row whose own bar or whose outcome is flagged (the exchange had no bar there).
    """
    result = np.full(len(bars), np.nan)
    if horizon < len(bars):
        result[:-horizon] = bars.close[horizon:] > bars.close[:-horizon]
        result[:-horizon][bars.flagged[horizon:] | bars.flagged[:-horizon]] = np.nan
    return result
