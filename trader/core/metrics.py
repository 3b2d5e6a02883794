"""Figures of a run. Each says whether it is additive or compounded; each has a slow twin in its test."""

from __future__ import annotations

import math

import numpy as np

from trader.core.types import Floats

HOURS_PER_YEAR = 24 * 365


def max_drawdown(equity: Floats, start: float) -> float:
    """Largest share lost from a running peak, compounded: 0.2 is 20 % below the peak. `equity` (n,), `start` counts as
    the first peak. 0.0 without rows."""
    if not len(equity):
        return 0.0
    peaks = np.maximum(np.maximum.accumulate(equity), start)
    return float(np.max(1 - equity / peaks).clip(min=0))


def hourly_returns(equity: Floats, start: float) -> Floats:
    """Simple return of each hour, (n,): equity[t] / equity[t-1] - 1, the first against `start`."""
    returns = np.empty(len(equity))
    returns[:1] = equity[:1] / start
    np.divide(equity[1:], equity[:-1], out=returns[1:])
    returns -= 1
    return returns


def sharpe(returns: Floats) -> float:
    """Annualised Sharpe ratio of hourly simple returns: mean / standard deviation (ddof 1) x sqrt(8760).
    0.0 where nothing moved or with fewer than two rows: no trade is worth zero. Source: Sharpe (1994)."""
    if len(returns) < 2:
        return 0.0
    mean = np.mean(returns, keepdims=True)
    deviation = float(np.std(returns, ddof=1, mean=mean))
    if deviation < 1e-15:
        return 0.0
    return float(mean[0]) / deviation * math.sqrt(HOURS_PER_YEAR)


def hit_rate(p_up: Floats, label: Floats) -> float | None:
    """Share of rows where (p_up >= 0.5) equals the label, over rows where both are known (not NaN). None if there
    are none."""
    known = ~(np.isnan(p_up) | np.isnan(label))
    if not known.any():
        return None
    return float(np.mean((p_up[known] >= 0.5) == (label[known] == 1.0)))
