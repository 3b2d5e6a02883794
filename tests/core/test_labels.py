"""Labels: the one look forward."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.bars_made import bars_made, bars_of_closes
from trader.core.labels import direction


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
