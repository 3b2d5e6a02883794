"""Bars -> y. The only file that looks forward."""

from __future__ import annotations

import numpy as np

from trader.core.costs import BPS, CostModel
from trader.core.params import Params
from trader.core.types import Bars, Floats


def round_trip(costs: CostModel) -> float:
    """The share that a price must rise by to pay for a BUY and a SELL, before rounding to ticks and steps.

    With half spread s, slippage l and fee f it is (1 + s)(1 + l) / ((1 - s)(1 - l)(1 - f)^2) - 1. A fee g in quote, as with a
    discount, is added to what is paid and taken from what is received: (1 + s)(1 + l)(1 + g) / ((1 - s)(1 - l)(1 - g)) - 1.
    """
    spread, slippage = costs.half_spread_bps * BPS, costs.slippage_bps * BPS
    paid, received = (1 + spread) * (1 + slippage), (1 - spread) * (1 - slippage)
    if costs.fee_discount is None:
        return float(paid / (received * (1 - costs.fee_rate) ** 2) - 1)
    return float(paid * (1 + costs.paid_rate) / (received * (1 - costs.paid_rate)) - 1)


def hurdle_of(params: Params) -> float:
    """The share that a close must rise by to count as up: 0.0, or the round trip's cost."""
    return round_trip(params.costs) if params.label == "direction_beyond_cost" else 0.0


def is_up(then: float, now: float, hurdle: float) -> bool:
    """Whether a close has risen by more than the hurdle: one row of `direction`."""
    return now > then * (1 + hurdle)


def label_of(bars: Bars, params: Params) -> Floats:
    """What a strategy's model predicts, and its predictions are scored by: (n,), NaN while unknown."""
    return direction(bars, params.horizon_hours, hurdle_of(params))


def direction(bars: Bars, horizon: int, hurdle: float = 0.0) -> Floats:
    """1.0 where close[t + horizon] > close[t] x (1 + hurdle), 0.0 where not, NaN while unknown.

    Shape (n,), float64; horizon in hours, without a default because it leaks. Unknown are the last `horizon` rows
    and every row whose own bar or whose outcome is flagged (the exchange had no bar there).
    """
    result = np.full(len(bars), np.nan)
    if horizon < len(bars):
        result[:-horizon] = bars.close[horizon:] > bars.close[:-horizon] * (1 + hurdle)
        result[:-horizon][bars.flagged[horizon:] | bars.flagged[:-horizon]] = np.nan
    return result
