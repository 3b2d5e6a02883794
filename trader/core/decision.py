"""P(up) and the held side -> the target side."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from trader.core.types import HOUR_MS, Floats, Target

Exposure = Literal["long_flat", "long_short"]


def shortest(p_up: np.float32) -> float:
    """A float32 probability as the float64 of its shortest decimal: the number that is written is the number that
    is compared, so a reader of the line can repeat the decision."""
    return float(str(np.float32(p_up)))


def shortest_all(p_up: npt.NDArray[np.float32]) -> Floats:
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


def held_until(entered_at: int | None, horizon_hours: int) -> int:
    """The first hour (UTC ms) that may decide to leave what was entered at `entered_at`: a forecast about the close
    `horizon_hours` later is seen out. With a horizon of one hour that is the next hour, so nothing is ever bound."""
    return 0 if entered_at is None else entered_at + horizon_hours * HOUR_MS


def decide(p_up: float, held: Target, enter_edge: float, exit_edge: float, exposure: Exposure) -> Target:
    """The side to be on for the next hour.

    Long at P(up) >= 0.5 + enter_edge; a long leaves at P(up) <= 0.5 - exit_edge; between, what is held is kept.
    `long_short` mirrors both: short at P(up) <= 0.5 - enter_edge, and a short leaves at P(up) >= 0.5 + exit_edge.
    """
    if p_up >= 0.5 + enter_edge:
        return "long"
    if exposure == "long_short" and p_up <= 0.5 - enter_edge:
        return "short"
    if held == "long" and p_up <= 0.5 - exit_edge:
        return "flat"
    if held == "short" and p_up >= 0.5 + exit_edge:
        return "flat"
    return held
