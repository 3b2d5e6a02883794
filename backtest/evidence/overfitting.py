"""How often the best configuration in sample is below the median out of sample: the probability of overfitting.

Source: Bailey, Borwein, López de Prado, Zhu, "The Probability of Backtest Overfitting" (2017): combinatorially symmetric
cross-validation (CSCV).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from trader.core.errors import ConfigError
from trader.core.text import plural
from trader.core.types import Floats

BLOCKS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """pbo: share of splits whose in-sample winner ranks in the lower half out of sample. logits: (splits,) of its
    relative rank. loss: share of splits in which that winner lost money out of sample. slope: of its out-of-sample
    Sharpe ratio on the in-sample one; negative means that the better it fitted, the worse it did."""

    pbo: float
    loss: float
    slope: float
    logits: Floats


def overfitting(returns: Floats, blocks: int = BLOCKS) -> Overfitting:
    """CSCV over returns (T, N), a column a complete configuration, all over the same T periods, without NaN.

    The T rows are cut into `blocks` (even) equal blocks, up to blocks - 1 oldest rows left out; every choice of
    half of them is once in sample. Ties in rank share their mean. Raises ConfigError for fewer than two
    configurations or too few rows.
    """
    rows, n = returns.shape
    if n < 2 or blocks < 2 or blocks % 2 or rows < 2 * blocks:
        raise ConfigError(
            f"the probability of overfitting needs two complete trials or more and {2 * blocks} returns for an even "
            f"number of blocks; there are {plural(n, 'trial')}, {plural(rows, 'return')} and {plural(blocks, 'block')}"
        )
    length = rows // blocks
    cut = returns[rows - length * blocks :].reshape(blocks, length, n)
    totals, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    half = length * blocks // 2
    splits = list(combinations(range(blocks), blocks // 2))
    chosen = np.zeros((len(splits), blocks))
    for row, split in enumerate(splits):
        chosen[row, list(split)] = 1
    inside = _sharpe(chosen @ totals, chosen @ squares, half)
    outside = _sharpe((1 - chosen) @ totals, (1 - chosen) @ squares, half)
    best = inside.argmax(axis=1)
    at = np.arange(len(splits))
    winner = outside[at, best][:, None]
    rank = (outside < winner).sum(axis=1) + ((outside == winner).sum(axis=1) + 1) / 2
    share = rank / (n + 1)
    logits = np.log(share / (1 - share))
    x, y = inside[at, best], outside[at, best]
    spread = float(np.var(x))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread > 1e-18 else 0.0
    gained = ((1 - chosen) @ totals)[at, best]
    return Overfitting(float(np.mean(logits <= 0)), float(np.mean(gained < 0)), slope, logits)


def _sharpe(total: Floats, squares: Floats, n: int) -> Floats:
    """Sharpe ratios per period from sums and sums of squares of n returns; 0 where nothing moved."""
    mean = total / n
    variance = np.maximum(squares / n - mean**2, 0.0) * n / (n - 1)
    deviation = np.sqrt(variance)
    moved = deviation > 1e-15
    result: Floats = np.where(moved, mean / np.where(moved, deviation, 1.0), 0.0)
    return result
