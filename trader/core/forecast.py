"""What a model says about an hour, and how a distribution becomes P(up)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from trader.core.types import Floats, Matrix

# The levels of every family's quantiles.
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a family of models is.

    scope: a local model knows one symbol, a global one all that it was fitted on. reads: rows of features, or the series
    of bars. context_hours: how many hours before an hour a prediction for it reads. refresh: filter where a prediction
    follows from all bars since the fit, none where the context alone decides. tolerance: by how much P(up) of many hours
    at once may differ from that of each alone; 0.0 is to the bit. weighs: its predictors say what they looked at
    (`trader.core.weights`). pools: a family of rows that can be fitted on the rows of several symbols, which symbol being one
    more column (`trader.core.pooled_rows`).
    """

    scope: Literal["local", "global"]
    reads: Literal["rows", "series"]
    context_hours: int
    refresh: Literal["none", "filter"]
    tolerance: float = 0.0
    weighs: bool = False
    pools: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """About r = log(close[T + h] / close[T]), of m hours T.

    p_up: (m,) float32, P(r > hurdle) at the parameters' own horizon; NaN where nothing can be said.
    quantiles: (m, h, level) float64 of r for h = 1, 2, ..., at LEVELS, NaN where nothing can be said; None for a family
    that gives P(up) alone.
    """

    p_up: Matrix
    quantiles: Floats | None = None


def probability_above(quantiles: Floats, hurdle: float, levels: Sequence[float] = LEVELS) -> Floats:
    """P(r > hurdle) of each distribution: quantiles (m, level) at `levels` -> (m,) float64, NaN where one is NaN.

    The quantiles are sorted, the distribution is linear between them, and exponential beyond: F(x) = a1 exp((x - q1) / b)
    with b = (q2 - q1) / ln(a2 / a1) below the first, mirrored above the last, a step where b is 0. A return that equals
    the hurdle is not above it.
    """
    ordered = np.sort(quantiles, axis=1)
    a = np.asarray(levels, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        below = _tail(hurdle - ordered[:, 0], ordered[:, 1] - ordered[:, 0], a[0], a[1])
        above = 1 - _tail(ordered[:, -1] - hurdle, ordered[:, -1] - ordered[:, -2], 1 - a[-1], 1 - a[-2])
        # The last quantile at or below the hurdle: where several are equal the distribution steps.
        last = np.clip((ordered <= hurdle).sum(axis=1) - 1, 0, len(a) - 2)
        rows = np.arange(len(ordered))
        low, high = ordered[rows, last], ordered[rows, last + 1]
        within = a[last] + (a[last + 1] - a[last]) * (hurdle - low) / (high - low)
    found = np.where(hurdle < ordered[:, 0], below, np.where(hurdle >= ordered[:, -1], above, within))
    return np.where(np.isnan(ordered).any(axis=1), np.nan, 1 - found)


def normal_forecast(mean: Floats, deviation: Floats, horizon: int, hurdle: float) -> Forecast:
    """A family whose r is normal: mean and deviation (m, h) of h = 1, 2, ... -> P(up) at `horizon`, and the quantiles.

    hurdle: the share that a close must rise by to count as up. A deviation of 0 is a certain r. NaN where either is NaN.
    """
    at = slice(horizon - 1, horizon)
    above = [
        normal_above(math.log1p(hurdle), float(mu), float(sd))
        for mu, sd in zip(mean[:, at].ravel(), deviation[:, at].ravel(), strict=True)
    ]
    return Forecast(np.array(above, np.float32), normal_quantiles(mean, deviation))


def normal_quantiles(mean: Floats, deviation: Floats) -> Floats:
    """The quantiles at LEVELS of normal distributions: mean and deviation (m, h) -> (m, h, level)."""
    z = np.array([_NORMAL.inv_cdf(level) for level in LEVELS])
    found: Floats = mean[:, :, None] + deviation[:, :, None] * z
    return found


def normal_above(hurdle: float, mu: float, sd: float) -> float:
    """P(x > hurdle) of a normal x; a deviation of 0 is a certain x. NaN where mu or sd is NaN."""
    if math.isnan(mu) or math.isnan(sd):
        return math.nan
    return math.erfc((hurdle - mu) / (sd * math.sqrt(2))) / 2 if sd > 0 else float(mu > hurdle)


_NORMAL = NormalDist()


def _tail(distance: Floats, width: Floats, outer: float, inner: float) -> Floats:
    """The share beyond a point that lies `distance` outside (so <= 0) of the outermost quantile, of level `outer`; the
    next one, of level `inner`, is `width` further in. Below the first quantile distance = x - q1, above the last q - x."""
    scale = width / np.log(inner / outer)
    return np.where(scale > 0, outer * np.exp(distance / scale), 0.0)


def interval(quantiles: Floats, level: float, levels: Sequence[float] = LEVELS) -> tuple[Floats, Floats]:
    """The central interval that holds r with probability `level`: quantiles (..., level) -> its ends, (...) each.

    Raises ValueError for a level whose ends are not among `levels`.
    """
    low, high = round((1 - level) / 2, 6), round((1 + level) / 2, 6)
    known = [round(value, 6) for value in levels]
    if low not in known or high not in known:
        raise ValueError(f"no interval of {level}: the levels are {', '.join(map(str, levels))}")
    return quantiles[..., known.index(low)], quantiles[..., known.index(high)]
