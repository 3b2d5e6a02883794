"""Is a Sharpe ratio more than luck, given how long the record is and how many configurations were looked at?

Sources: Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier" (2012) for PSR; "The Deflated Sharpe Ratio"
(2014) for DSR, the expected maximum and the effective number of trials. Sharpe ratios here are per period of the
returns, not annualised, unless a name says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trader.core.errors import ConfigError
from trader.core.types import Floats

EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """Of n returns: the Sharpe ratio per period (ddof 1), skewness, and kurtosis (3 for a normal distribution)."""

    n: int
    sharpe: float
    skewness: float
    kurtosis: float

    @staticmethod
    def of(returns: Floats) -> Moments:
        """Moments of returns (n,) without NaN; all zero, and kurtosis 3, where nothing moved."""
        n = len(returns)
        deviation = float(np.std(returns)) if n else 0.0
        if n < 2 or deviation < 1e-15:
            return Moments(n, 0.0, 0.0, 3.0)
        z = (returns - returns.mean()) / deviation
        sharpe = float(returns.mean()) / float(np.std(returns, ddof=1))
        return Moments(n, sharpe, float(np.mean(z**3)), float(np.mean(z**4)))


def probabilistic_sharpe(moments: Moments, benchmark: float = 0.0) -> float:
    """P(true Sharpe ratio > benchmark), both per period: PSR. 0.5 where nothing moved and the benchmark is 0.

    PSR = Z[(SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)].
    """
    if moments.n < 2:
        return 0.5
    sr = moments.sharpe
    spread = 1 - moments.skewness * sr + (moments.kurtosis - 1) / 4 * sr * sr
    if spread <= 0:
        raise ConfigError(
            f"the Sharpe ratio's error is undefined for SR {sr:.4f}, skewness {moments.skewness:.2f} and kurtosis "
            f"{moments.kurtosis:.2f}: a few returns dominate; lengthen the span"
        )
    return _NORMAL.cdf((sr - benchmark) * math.sqrt(moments.n - 1) / math.sqrt(spread))


def expected_maximum(trials: float, deviation: float) -> float:
    """The Sharpe ratio that the best of `trials` worthless configurations is expected to show, per period.

    deviation: standard deviation of the trials' Sharpe ratios. 0.0 for one trial: nothing was chosen.
    E[max] = deviation ((1 - g) Z^-1[1 - 1/N] + g Z^-1[1 - 1/(N e)]), g the Euler-Mascheroni constant.
    """
    if trials <= 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return deviation * ((1 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def deflated_sharpe(moments: Moments, trials: float, deviation: float) -> float:
    """P(true Sharpe ratio > what the best of `trials` worthless configurations would show): DSR."""
    return probabilistic_sharpe(moments, expected_maximum(trials, deviation))


def effective_trials(returns: Floats) -> float:
    """How many independent configurations N correlated ones amount to: rho + (1 - rho) N.

    returns: (T, N), a column a configuration. rho is the mean correlation of pairs; columns in which nothing moved
    correlate with nothing. Never below 1 nor above N.
    """
    n = returns.shape[1]
    if n < 2:
        return float(n)
    moving = returns[:, np.std(returns, axis=0) > 1e-15]
    still = n - moving.shape[1]
    if moving.shape[1] < 2:
        return float(n)
    correlation: Floats = np.atleast_2d(np.corrcoef(moving, rowvar=False))
    pairs = correlation[np.triu_indices(moving.shape[1], 1)]
    rho = float(np.clip(pairs.mean(), 0.0, 1.0))
    return float(min(n, max(1.0, rho + (1 - rho) * moving.shape[1] + still)))
