"""How a published forecast writes its numbers: P(up) with six decimals, prices with ten digits."""

from __future__ import annotations

from trader.core.types import Floats


def p_up_written(p_up: float | None) -> float | None:
    """None where nothing is said."""
    return None if p_up is None else round(p_up, 6)


def prices_written(prices: Floats | None) -> list[list[float]]:
    """Prices (h, level), a row an hour ahead; none of a family that gives P(up) alone."""
    rows = [] if prices is None else prices.tolist()
    return [[float(f"{price:.10g}") for price in row] for row in rows]
