"""What the best of several candidates is worth: deflated by what the best of worthless ones shows, and shrunk towards the others.

Sources: Bailey and López de Prado, "The Deflated Sharpe Ratio" (2014) for the idea of the expected maximum; James and Stein,
"Estimation with Quadratic Loss" (1961), and Efron and Morris, "Data Analysis Using Stein's Estimator and its Generalizations"
(1975), for shrinking. docs/adr/0024 says why these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from backtest.evidence.significance import Moments
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.types import Floats

# Of fewer series neither a scatter nor a common mean says anything.
FEWEST_SERIES = 4
_MAD_OF_NORMAL = 1.4826  # a normal's standard deviation over its median absolute deviation
_POINTS = 4_001
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """values: (k,) shrunk towards `mean`. between: the estimated variance of the true values; 0.0 shrinks all to the mean."""

    values: Floats
    mean: float
    between: float


@dataclass(frozen=True, slots=True)
class Scatter:
    """A candidate's gains over many series: their median, and their standard deviation by the median absolute deviation, which a
    few wild series do not move."""

    middle: float
    deviation: float

    @staticmethod
    def of(gains: Sequence[float]) -> Scatter:
        """Of one gain or more."""
        middle = float(np.median(gains))
        return Scatter(middle, _MAD_OF_NORMAL * float(np.median(np.abs(np.asarray(gains) - middle))))


def pooled_deviation(groups: Sequence[Sequence[float]]) -> float:
    """The standard deviation of scores within their groups: the root of the groups' variances (ddof 1), each weighted by its
    degrees of freedom. 0.0 where no group has two."""
    squares = sum(float(np.var(group, ddof=1)) * (len(group) - 1) for group in groups if len(group) > 1)
    freedom = sum(len(group) - 1 for group in groups if len(group) > 1)
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def expected_best_gain(candidates: Sequence[Scatter]) -> float:
    """The gain that the best of these candidates and of the naive forecast, whose gain is 0, is expected to show on a series
    where none is truly better than the naive forecast.

    E[max(0, X_1, ..., X_C)] of independent normal X_c with mean min(middle_c, 0) and deviation_c, which is the integral from 0 of
    1 - prod_c Z((x - mean_c) / deviation_c). A candidate that is far worse than the naive forecast adds nothing.
    """
    means = [min(it.middle, 0.0) for it in candidates]
    end = max([mean + 8 * it.deviation for mean, it in zip(means, candidates, strict=True)], default=0.0)
    if end <= 0:
        return 0.0
    x = np.linspace(0, end, _POINTS)
    below = np.ones(_POINTS)
    for mean, it in zip(means, candidates, strict=True):
        if it.deviation > 0:
            below *= [_NORMAL.cdf((value - mean) / it.deviation) for value in x.tolist()]
    return float(np.trapezoid(1 - below, x))


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
