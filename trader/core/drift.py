"""How far hours have moved from what their model was trained on: its features, and what its probabilities promise.

A window of DRIFT_HOURS hours is compared with the training sample, of which the model's card holds quantiles. What a
window may show by chance alone is drawn from the training sample itself, in blocks, because hours resemble their
neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trader.core.types import Bools, Floats, Ints, Matrix

# A bin that nobody fell into counts as this share, so that the index stays finite.
LEAST_SHARE = 1e-4
# Usual readings of the index: below the first nothing moved, above the second much did.
SOME, MUCH = 0.1, 0.25

# The window that is compared, the blocks that it is redrawn from, and how rarely chance alone may be taken for drift.
DRIFT_HOURS = 168
BLOCK_HOURS = 24
LEVEL = 0.99
DRAWS = 500
# The normal distribution's quantile at LEVEL.
CALIBRATION_LIMIT = 2.326


def population_stability(
    values: Sequence[float], edges: Sequence[float], quantiles: Sequence[float]
) -> float:
    """PSI of `values` against a training sample of which the `quantiles` (rising from 0 to 1) lie at `edges`.

    Sum over bins of (seen - expected) ln(seen / expected); expected is the difference of the quantiles. Equal edges
    are one bin. Values outside the edges fall into the outer bins. 0.0 without values. Source: Siddiqi (2006).
    """
    if not values:
        return 0.0
    cuts, shares = _bins(edges, quantiles)
    counts = np.bincount(_codes(np.asarray(values, np.float64), cuts), minlength=len(shares))
    return float(_psi(counts[np.newaxis] / len(values), shares)[0])


def feature_drift(
    X: Matrix, edges: Sequence[Sequence[float]], quantiles: Sequence[float], hours: int
) -> tuple[Floats, Floats]:
    """PSI and KS of the `hours` rows up to each row, the largest over all features: X (n, k) -> (n,), (n,).

    edges: k rows, where the training sample's `quantiles` lie. A row with an undefined feature counts for none. NaN
    where fewer than `hours` rows, or defined ones for less than half of them, came before.
    """
    n = len(X)
    psi, ks = np.full(n, np.nan), np.full(n, np.nan)
    if n < hours:
        return psi, ks
    defined = ~np.isnan(X).any(axis=1)
    known = _windowed(defined.reshape(-1, 1), hours)[:, 0]
    enough = 2 * known >= hours
    most_psi, most_ks = np.zeros(len(known)), np.zeros(len(known))
    for column, edge in zip(X.T.astype(np.float64), edges, strict=True):
        cuts, shares = _bins(edge, quantiles)
        fell = np.zeros((n, len(shares)), np.int64)
        fell[np.flatnonzero(defined), _codes(column[defined], cuts)] = 1
        seen = _windowed(fell, hours) / np.maximum(known, 1)[:, np.newaxis]
        most_psi, most_ks = np.maximum(most_psi, _psi(seen, shares)), np.maximum(most_ks, _ks(seen, shares))
    psi[hours - 1 :], ks[hours - 1 :] = np.where(enough, most_psi, np.nan), np.where(enough, most_ks, np.nan)
    return psi, ks


def drift_limits(
    X: Matrix, edges: Sequence[Sequence[float]], quantiles: Sequence[float], seed: int = 0
) -> tuple[float, float] | None:
    """What PSI and KS of a window stay below with probability LEVEL if nothing has moved; None for fewer rows than a
    window has.

    X (n, k) are the training rows. DRAWS windows are put together from blocks of BLOCK_HOURS rows, and the largest
    value over all features is taken of each, so that many features are not many chances. Source: the moving-block
    bootstrap of Kuensch (1989).
    """
    n = len(X)
    if n < DRIFT_HOURS:
        return None
    starts = np.random.default_rng(seed).integers(0, n - BLOCK_HOURS + 1, (DRAWS, DRIFT_HOURS // BLOCK_HOURS))
    rows = (starts[:, :, np.newaxis] + np.arange(BLOCK_HOURS)).reshape(DRAWS, DRIFT_HOURS)
    psi, ks = np.zeros(DRAWS), np.zeros(DRAWS)
    for column, edge in zip(X.T.astype(np.float64), edges, strict=True):
        cuts, shares = _bins(edge, quantiles)
        codes = _codes(column, cuts)[rows] + len(shares) * np.arange(DRAWS)[:, np.newaxis]
        counts = np.bincount(codes.ravel(), minlength=DRAWS * len(shares)).reshape(DRAWS, len(shares))
        seen = counts / DRIFT_HOURS
        psi, ks = np.maximum(psi, _psi(seen, shares)), np.maximum(ks, _ks(seen, shares))
    return float(np.quantile(psi, LEVEL)), float(np.quantile(ks, LEVEL))


def calibration_decay(p_up: Floats, outcome: Floats, hours: int) -> Floats:
    """By how much the Brier score of the `hours` rows up to each row is worse than their probabilities promise, in
    standard deviations: p_up, outcome (n,) -> (n,).

    Z = sum (y - p)(1 - 2p) / sqrt(sum p(1 - p)(1 - 2p)^2), standard normal while the probabilities are true; positive
    where they are too sure of themselves. Rows where either is NaN count for none; NaN before `hours` rows, and where
    less than half of them are known. Source: Spiegelhalter (1986).
    """
    known = ~(np.isnan(p_up) | np.isnan(outcome))
    p, y = np.where(known, p_up, 0.5), np.where(known, outcome, 0.5)
    result = np.full(len(p), np.nan)
    if len(p) < hours:
        return result
    terms = np.stack([(y - p) * (1 - 2 * p), p * (1 - p) * (1 - 2 * p) ** 2, known], axis=1)
    excess, variance, count = np.lib.stride_tricks.sliding_window_view(terms, hours, axis=0).sum(axis=-1).T
    usable = (2 * count >= hours) & (variance > 0)
    result[hours - 1 :][usable] = excess[usable] / np.sqrt(variance[usable])
    return result


def _bins(edges: Sequence[float], quantiles: Sequence[float]) -> tuple[Floats, Floats]:
    """The rising cuts between b bins, (b - 1,), and the share of the training sample in each, (b,)."""
    cuts: list[float] = []
    shares: list[float] = []
    last = 0.0
    for edge, quantile in zip(edges[1:-1], quantiles[1:-1], strict=True):
        if cuts and edge <= cuts[-1]:
            shares[-1] += quantile - last
        else:
            cuts.append(edge)
            shares.append(quantile - last)
        last = quantile
    if cuts and edges[-1] <= cuts[-1]:
        cuts.pop()
        shares[-1] += 1.0 - last
    else:
        shares.append(1.0 - last)
    return np.array(cuts), np.array(shares)


def _codes(values: Floats, cuts: Floats) -> Ints:
    """The bin of each value: a value on a cut is in the bin below it."""
    return np.searchsorted(cuts, values, side="left")


def _windowed(counts: Ints | Bools, hours: int) -> Ints:
    """Sums of `hours` rows: (n, b) -> (n - hours + 1, b)."""
    total = np.concatenate(
        [np.zeros((1, counts.shape[1]), np.int64), np.cumsum(counts, axis=0, dtype=np.int64)]
    )
    result: Ints = total[hours:] - total[:-hours]
    return result


def _psi(seen: Floats, shares: Floats) -> Floats:
    """(m, b) shares that were seen -> (m,)."""
    seen, expected = np.maximum(seen, LEAST_SHARE), np.maximum(shares, LEAST_SHARE)
    result: Floats = ((seen - expected) * np.log(seen / expected)).sum(axis=1)
    return result


def _ks(seen: Floats, shares: Floats) -> Floats:
    """(m, b) shares that were seen -> (m,)."""
    apart = np.abs(np.cumsum(seen - shares, axis=1))[:, :-1]
    result: Floats = apart.max(axis=1) if apart.shape[1] else np.zeros(len(seen))
    return result
