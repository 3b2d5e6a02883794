"""Labels: the one look forward."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bars_made import bars_made, bars_of_closes
from trader.core.costs import CostModel
from trader.core.labels import direction, is_up, label_of, round_trip
from trader.core.params import DEFAULT_PARAMS, params_of


def test_up_is_one_and_down_and_equal_are_zero() -> None:
    """1 where the next close is higher; a lower and an equal close are both 0; the last is unknown."""
    labels = direction(bars_of_closes([10, 11, 11, 9]), 1)
    assert labels[:3].tolist() == [1.0, 0.0, 0.0]
    assert math.isnan(labels[3])


def test_a_flagged_hour_is_never_a_label() -> None:
    """Neither the hour without a bar nor the hour whose outcome it would be has a label."""
    labels = direction(bars_of_closes([10, 11, 12, 13, 14], missing=(2,)), 1)
    assert np.isnan(labels).tolist() == [False, True, True, False, True]


def test_a_horizon_longer_than_the_series_leaves_all_unknown() -> None:
    """Nothing is known about an hour beyond the bars."""
    assert np.isnan(direction(bars_of_closes([1, 2, 3]), 3)).all()


@given(
    seed=st.integers(0, 999),
    hours=st.integers(2, 60),
    horizon=st.integers(1, 5),
    missing=st.sets(st.integers(1, 58), max_size=8),
)
def test_every_label_equals_its_slow_twin(seed: int, hours: int, horizon: int, missing: set[int]) -> None:
    """Row by row: NaN while unknown or flagged, else whether the close `horizon` later is higher."""
    bars = bars_made(hours, seed, missing=tuple(m for m in missing if m < hours - 1), decimals=0, price=50)
    labels = direction(bars, horizon)
    for t in range(len(bars)):
        later = t + horizon
        if later >= len(bars) or bars.flagged[t] or bars.flagged[later]:
            assert math.isnan(labels[t])
        else:
            assert labels[t] == float(bars.close[later] > bars.close[t])


def test_a_round_trip_is_paid_for_by_its_cost_and_no_less() -> None:
    """Bought and sold with half a per cent of spread and slippage a side and one of fee: at the hurdle the money is back."""
    costs = CostModel(Decimal("0.01"), Decimal(30), Decimal(20))
    bought = 1 / (100 * 1.003 * 1.002) * 0.99
    after = 100 * (1 + round_trip(costs))
    assert math.isclose(bought * after * 0.997 * 0.998 * 0.99, 1.0, rel_tol=1e-12)
    assert round_trip(CostModel(Decimal(0), Decimal(0), Decimal(0))) == 0.0


def test_a_round_trip_with_a_discount_pays_its_fee_beside_the_price() -> None:
    """One unit bought and sold, 0.75 % of each notional paid in quote: at the hurdle the money is back."""
    costs = CostModel(Decimal("0.01"), Decimal(30), Decimal(20), Decimal("0.25"))
    paid = 100 * 1.003 * 1.002 * 1.0075
    after = 100 * (1 + round_trip(costs))
    assert math.isclose(after * 0.997 * 0.998 * 0.9925, paid, rel_tol=1e-12)


@given(seed=st.integers(0, 999), horizon=st.integers(1, 24))
def test_a_label_beyond_cost_asks_for_the_whole_cost(seed: int, horizon: int) -> None:
    """Up only where the move pays for its round trip; everywhere else and while unknown as `direction`."""
    bars = bars_made(60, seed, missing=(20,))
    chosen = {**DEFAULT_PARAMS, "horizon_hours": horizon}
    plain = label_of(bars, params_of(chosen, "x"))
    beyond = params_of({**chosen, "label": "direction_beyond_cost"}, "x")
    labels, hurdle = label_of(bars, beyond), round_trip(beyond.costs)
    assert plain.tobytes() == direction(bars, horizon).tobytes()
    assert (np.isnan(labels) == np.isnan(plain)).all()
    for t in np.flatnonzero(~np.isnan(labels)).tolist():
        then, now = float(bars.close[t]), float(bars.close[t + horizon])
        assert labels[t] == float(now / then - 1 > hurdle) == float(is_up(then, now, hurdle))
    assert hurdle > 0.002
