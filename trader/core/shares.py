"""How a book's capital is shared among its symbols: weights from closed bars, float64, then rounded down to 6 decimals.

Every rule sees the same window of hourly log returns, one row a symbol. A symbol whose close did not move in the whole window
has no risk to measure (it is delisted, or its venue was shut): it gets nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Literal

import numpy as np

from trader.core.errors import DataError
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.text import plural
from trader.core.types import HOUR_MS, Bars, Floats, iso

ShareRule = Literal["equal", "inverse_volatility", "volatility_target", "hrp"]

# Weights of T come from bars that closed a day before it: every process has those, however late a newest bar is.
SETTLED_MS = 24 * HOUR_MS
WEIGHT_QUANTUM = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class ShareSettings:
    """rule: how capital is shared. share_hours: length of the window of returns. target_volatility: annualised standard
    deviation that `volatility_target` does not exceed, a share. caps: most that a symbol gets, a share; a symbol without one may
    get all."""

    rule: ShareRule
    share_hours: int
    target_volatility: float
    caps: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Shares:
    """weights: of the book's equity by symbol, in alphabetical order, 1 in all or less; what is left stays cash of the book.
    bars_hash: of the bars that they were computed from, "" where the rule reads none."""

    weights: Mapping[str, Decimal]
    bars_hash: str


def shares_at(bars: Sequence[Bars], hour: int, settings: ShareSettings) -> Shares:
    """The shares of these symbols at `hour` (UTC ms), from bars that closed at or before `hour` - 24 h. Raises DataError for a
    symbol whose bars do not reach over the window."""
    ordered = sorted(bars, key=lambda it: it.symbol)
    symbols = [it.symbol for it in ordered]
    if settings.rule == "equal":
        return _rounded(symbols, np.full(len(symbols), 1 / len(symbols)), settings, "")
    closes = np.array([_closes(it, hour - SETTLED_MS, settings.share_hours + 1) for it in ordered])
    digest = hashlib.sha256(
        f"{','.join(symbols)}@{hour - SETTLED_MS}".encode() + closes.tobytes()
    ).hexdigest()
    return _rounded(symbols, _weights(np.diff(np.log(closes), axis=1), settings), settings, digest)


def _closes(bars: Bars, last: int, count: int) -> Floats:
    """The newest `count` closes up to `last`, (count,). Gaps are filled flat, so they are hours without a return."""
    stop = bars.row(last) + 1 if len(bars) else 0
    if stop < count or stop > len(bars):
        there = f"{iso(bars.first)} to {iso(bars.last)}" if len(bars) else "none"
        raise DataError(
            f"{bars.symbol}: its share is computed from the {plural(count, 'bar')} up to {iso(last)}, and there are {there}. "
            f"Collect earlier bars (trader collect), begin the book later, or leave {bars.symbol} out"
        )
    return bars.close[stop - count : stop]


def _weights(returns: Floats, settings: ShareSettings) -> Floats:
    """(n,) from returns (n, hours); zeros for symbols that did not move."""
    covariance = _covariance(returns)
    moving = np.flatnonzero(np.diag(covariance) > 0)
    weights = np.zeros(len(returns))
    if not len(moving):
        return weights
    part = covariance[np.ix_(moving, moving)]
    if settings.rule == "hrp":
        weights[moving] = hierarchical_risk_parity(part)
        return weights
    inverse = 1 / np.sqrt(np.diag(part))
    weights[moving] = inverse / inverse.sum()
    if settings.rule == "volatility_target":
        held = weights[moving]
        volatility = math.sqrt(float(held @ part @ held) * HOURS_PER_YEAR)
        weights *= min(1.0, settings.target_volatility / volatility)
    return weights


def _covariance(returns: Floats) -> Floats:
    """(n, n) sample covariance of the rows, ddof 1."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    n = len(centred)
    result = np.empty((n, n))
    for i in range(n):
        # One product at a time: a library's matrix product may add in another order on another machine.
        for j in range(i, n):
            result[i, j] = result[j, i] = (centred[i] * centred[j]).sum() / (returns.shape[1] - 1)
    return result


def hierarchical_risk_parity(covariance: Floats) -> Floats:
    """(n,) weights that add up to 1, from a covariance (n, n) with a positive diagonal.

    Symbols are ordered by single linkage of the distance sqrt((1 - correlation) / 2), then capital is halved along that order,
    each half by the inverse of its variance. Source: Lopez de Prado, Building Diversified Portfolios that Outperform Out of
    Sample (2016).
    """
    deviation = np.sqrt(np.diag(covariance))
    correlation = np.clip(covariance / np.outer(deviation, deviation), -1, 1)
    distance = np.sqrt((1 - correlation) / 2)
    weights = np.ones(len(covariance))
    parts = [single_linkage_order(distance)]
    while parts:
        part = parts.pop()
        if len(part) < 2:
            continue
        left, right = part[: len(part) // 2], part[len(part) // 2 :]
        risk, other = _cluster_variance(covariance, left), _cluster_variance(covariance, right)
        weights[left] *= other / (risk + other)
        weights[right] *= risk / (risk + other)
        parts += [left, right]
    return weights


def single_linkage_order(distance: Floats) -> list[int]:
    """Leaves of the single-linkage tree of a symmetric distance (n, n), from left to right; ties go to the smaller index."""
    n = len(distance)
    clusters = {i: [i] for i in range(n)}
    # Distances of clusters by the number they were made with, above the diagonal; a cluster that was joined is far from all.
    between = np.full((2 * n - 1, 2 * n - 1), np.inf)
    rows, columns = np.triu_indices(n, 1)
    between[rows, columns] = distance[rows, columns]
    for made in range(n, 2 * n - 1):
        a, b = (int(it) for it in np.unravel_index(np.argmin(between), between.shape))
        clusters[made] = clusters.pop(a) + clusters.pop(b)
        nearest = np.minimum.reduce([between[a], between[:, a], between[b], between[:, b]])
        between[[a, b]] = between[:, [a, b]] = np.inf
        others = list(clusters)[:-1]
        between[others, made] = nearest[others]
    (order,) = clusters.values()
    return order


def _cluster_variance(covariance: Floats, members: list[int]) -> float:
    """Variance of the inverse-variance portfolio of some symbols."""
    part = covariance[np.ix_(members, members)]
    inverse = 1 / np.diag(part)
    held = inverse / inverse.sum()
    return float(held @ part @ held)


def _rounded(symbols: list[str], weights: Floats, settings: ShareSettings, bars_hash: str) -> Shares:
    caps = np.array([float(settings.caps.get(symbol, 1)) for symbol in symbols])
    capped = _capped(weights, caps).tolist()
    return Shares(
        {symbol: _down(weight) for symbol, weight in zip(symbols, capped, strict=True)},
        bars_hash,
    )


def _down(weight: float) -> Decimal:
    return Decimal(repr(weight)).quantize(WEIGHT_QUANTUM, ROUND_DOWN)


def _capped(weights: Floats, caps: Floats) -> Floats:
    """Weights of which none exceeds its cap: what a cap cuts off goes to the others in proportion, as far as theirs allow."""
    total, result, fixed = float(weights.sum()), weights.copy(), np.zeros(len(weights), bool)
    while (over := ~fixed & (result > caps)).any():
        fixed |= over
        result[fixed] = caps[fixed]
        free = ~fixed & (weights > 0)
        if not free.any():
            break
        result[free] = (
            weights[free] * max(0.0, total - float(result[fixed].sum())) / float(weights[free].sum())
        )
    return result
