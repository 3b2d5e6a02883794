"""P(up) and the held side -> the target side."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trader.core.types import Target

Exposure = Literal["long_flat", "long_short"]


def shortest(p_up: np.float32) -> float:
    """A float32 probability as the float64 of its shortest decimal: the number that is written is the number that
    is compared, so a reader of the line can repeat the decision."""
    return float(str(np.float32(p_up)))


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
