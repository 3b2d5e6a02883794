"""What the best of several candidates is worth: deflated by how many there were, and shrunk towards what the others gained.

Sources: Bailey and López de Prado, "The Deflated Sharpe Ratio" (2014) for the expected maximum of worthless trials; James and
Stein, "Estimation with Quadratic Loss" (1961), and Efron and Morris, "Data Analysis Using Stein's Estimator and its
Generalizations" (1975), for shrinking. docs/adr/0024 says why these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtest.evidence.significance import Moments, expected_maximum
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.types import Floats

# Of fewer series a common mean takes more freedom than it gives.
FEWEST_SERIES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """values: (k,) shrunk towards `mean`. between: the estimated variance of the true values; 0.0 shrinks all to the mean."""

    values: Floats
    mean: float
    between: float


def pooled_deviation(groups: Sequence[Sequence[float]]) -> float:
    """The standard deviation of candidates' scores within a series: the root of the mean of the series' variances (ddof 1), each
    weighted by its degrees of freedom. 0.0 where no series has two candidates."""
    squares = sum(float(np.var(group, ddof=1)) * (len(group) - 1) for group in groups if len(group) > 1)
    freedom = sum(len(group) - 1 for group in groups if len(group) > 1)
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def deflated_gain(gain: float, candidates: int, deviation: float) -> float:
    """A winner's gain over the naive forecast less what the best of so many worthless candidates is expected to show.

    deviation: of the candidates' scores within a series.
    """
    return gain - expected_maximum(candidates, deviation)


def shrunk(values: Sequence[float], variances: Sequence[float]) -> Shrunk:
    """Empirical Bayes: k observed values, each with the variance of its noise, shrunk towards their mean.

    With s2 the sample variance (ddof 1) of the values and v the mean of the variances, between = max(0, s2 - v), and
    value' = mean + w (value - mean), w = 1 - c v_i / (v_i + between), c = (k - 3) / (k - 1): for equal variances and
    s2 >= v this is the estimator of James and Stein about the mean, 1 - (k - 3) v / sum((value - mean)^2). Where s2 <= v
    nothing tells the series apart, and every value becomes the mean. Fewer than four values stay as they are.
    """
    x, v = np.asarray(values, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if len(x) < FEWEST_SERIES:
        return Shrunk(x, float(x.mean()) if len(x) else 0.0, 0.0)
    mean, spread = float(x.mean()), float(x.var(ddof=1))
    between = max(0.0, spread - float(v.mean()))
    if between == 0:
        return Shrunk(np.full(len(x), mean), mean, 0.0)
    correction = (len(x) - 3) / (len(x) - 1)
    return Shrunk(mean + (1 - correction * v / (v + between)) * (x - mean), mean, between)


def sharpe_variance(moments: Moments) -> float:
    """The variance of an annualised Sharpe ratio of hourly returns: 8760 (1 - skew SR + (kurtosis - 1) / 4 SR^2) / (n - 1), with
    SR an hour. 0.0 for fewer than two returns."""
    if moments.n < 2:
        return 0.0
    sr = moments.sharpe
    spread = 1 - moments.skewness * sr + (moments.kurtosis - 1) / 4 * sr * sr
    return HOURS_PER_YEAR * max(0.0, spread) / (moments.n - 1)
