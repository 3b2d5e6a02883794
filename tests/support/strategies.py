"""Random exchanges, costs and accounts, as Hypothesis draws them."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from trader.core.costs import CostModel
from trader.core.types import Filters


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals from `low` to `high` with `places` places."""
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


costs = st.builds(
    CostModel,
    fee_rate=decimals("0", "0.01", 5),
    half_spread_bps=decimals("0", "50", 1),
    slippage_bps=decimals("0", "50", 1),
)
free = CostModel(Decimal(0), Decimal(0), Decimal(0))

ticks = st.sampled_from([Decimal(t) for t in ("0.01", "0.05", "0.0001", "1")])
prices = decimals("5", "90000", 2)
filters = st.builds(
    Filters,
    tick_size=ticks,
    step_size=st.sampled_from([Decimal(s) for s in ("0.00001", "0.001", "0.1", "1")]),
    min_notional=decimals("1", "20", 0),
    min_qty=st.sampled_from([Decimal(0), Decimal("0.00001"), Decimal("0.01")]),
    max_qty=st.none() | st.sampled_from([Decimal("0.5"), Decimal(9000)]),
)
shares = decimals("0", "0.2", 3)
