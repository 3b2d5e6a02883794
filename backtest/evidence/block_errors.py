"""Means over hours that depend on each other, and their standard errors.

Forecasts of neighbouring hours share most of the hours they are about, and calm and wild days come in spells: to divide by the
root of the number of hours would claim far too much. So consecutive hours are cut into blocks of whole days, at least
twice as long as a forecast reaches, and the blocks are taken as independent: the batch means of simulation (Law and
Carson, "A Sequential Procedure for Determining the Length of a Steady-State Simulation", 1979), with the ratio estimator
of survey sampling, since a block may lack hours (Cochran, "Sampling Techniques", 1977, chapter 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trader.core.types import HOUR_MS, Floats, Ints

# Of fewer blocks a standard error says nothing.
FEWEST_BLOCKS = 8
_DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or a ratio of n hours, and its standard error; None where there are too few blocks, or no hours at all."""

    value: float | None
    error: float | None
    n: int
    blocks: int

    def plus(self, constant: float, times: float = 1.0) -> Estimate:
        """constant + times x this."""
        value = None if self.value is None else constant + times * self.value
        return Estimate(value, None if self.error is None else abs(times) * self.error, self.n, self.blocks)

    def as_json(self) -> dict[str, float | None]:
        """Plain values."""
        return {"value": self.value, "error": self.error}


def block_hours(steps: int) -> int:
    """The length of a block for forecasts that reach `steps` hours ahead: whole days, at least twice as long."""
    return -(-2 * steps // _DAY_HOURS) * _DAY_HOURS


def block_mean(values: Floats, hours: Ints, steps: int) -> Estimate:
    """The mean of values (n,) at hours (n,) UTC ms, NaN where there is none, of forecasts `steps` hours ahead."""
    return block_ratio(values, np.ones(len(values)), hours, steps)


def block_ratio(values: Floats, others: Floats, hours: Ints, steps: int) -> Estimate:
    """The sum of `values` over the sum of `others` (n,), over the hours where both are known.

    With block sums a and b and the ratio R = sum(a) / sum(b) its error is sqrt(B / (B - 1) sum((a - R b)^2)) / |sum(b)|.
    """
    known = ~(np.isnan(values) | np.isnan(others))
    count = int(known.sum())
    if not count or not others[known].any():
        return Estimate(None, None, count, 0)
    block = (hours[known] - hours[0]) // (block_hours(steps) * HOUR_MS)
    a = np.bincount(block, values[known])
    b = np.bincount(block, others[known])
    total = float(b.sum())
    ratio = float(a.sum()) / total
    blocks = int((np.bincount(block) > 0).sum())
    if blocks < FEWEST_BLOCKS:
        return Estimate(ratio, None, count, blocks)
    spread = float(np.sum((a - ratio * b) ** 2))
    return Estimate(ratio, float(np.sqrt(spread * blocks / (blocks - 1))) / abs(total), count, blocks)
