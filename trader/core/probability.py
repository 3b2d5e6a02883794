"""P(up) as it is written: a float32 in its shortest decimal, which is also the number that decides."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from trader.core.types import Floats, Matrix


def shortest(p_up: np.float32) -> float:
    """A float32 probability as the float64 of its shortest decimal: the number that is written is the number that
    is compared, so a reader of the line can repeat the decision."""
    return float(str(p_up))


def shortest_all(p_up: Matrix) -> Floats:
    """`shortest` of each: (n,) float32 -> (n,) float64, NaN stays NaN.

    A float32 has 24 bits and a power of ten up to 10^9 has 21 odd ones, so the product below is exact and rounds to
    the nearest decimal of that length; the first length that reads back is the shortest. Left to `shortest` are the
    numbers for which nearest and shortest may part: those on a coarse binary grid, where halves and powers of two
    lie, and those outside 0.001..1.
    """
    wide = p_up.astype(np.float64)
    result = np.full(len(wide), np.nan)
    todo = (wide > 0.001) & (wide < 1) & (np.mod(wide * 2.0**16, 1.0) != 0)
    for decimals in range(1, 10):
        near = np.rint(wide * 10.0**decimals) / 10.0**decimals
        found = todo & (near.astype(np.float32) == p_up)
        result[found] = near[found]
        todo &= ~found
    for i in np.flatnonzero(np.isnan(result) & ~np.isnan(wide)).tolist():
        result[i] = shortest(p_up[i])
    return result


@lru_cache(maxsize=4096)
def least_float32(limit: float) -> np.float32:
    """The least float32 whose shortest decimal is at or above `limit`: shortest decimals keep the order of floats, so
    one comparison of float32 decides as the written numbers do."""
    guess = np.nextafter(np.float32(limit), np.float32(-np.inf))
    while shortest(guess) < limit:
        guess = np.nextafter(guess, np.float32(np.inf))
    return np.float32(guess)
