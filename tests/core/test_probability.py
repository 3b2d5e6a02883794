"""P(up) as it is written: shortest decimals, one by one and all at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trader.core.probability import least_float32, shortest, shortest_all


@given(
    st.lists(
        st.floats(0, 1, width=32) | st.floats(0.375, 0.625, width=32) | st.just(float("nan")), max_size=40
    )
)
def test_all_at_once_are_the_shortest_decimals(values: list[float]) -> None:
    """The columns' numbers are those that a line writes, to the bit."""
    p_up = np.array(values, dtype=np.float32)
    want = np.array([np.nan if np.isnan(p) else shortest(p) for p in p_up])
    assert shortest_all(p_up).tobytes() == want.tobytes()


def test_every_float32_around_a_half_is_written_shortest() -> None:
    """A hundred thousand neighbours of a half and all coarse fractions: equal to one by one."""
    near = np.float32(0.5).view(np.int32) + np.arange(-50_000, 50_000, dtype=np.int32)
    grid = np.arange(0, 4_097, dtype=np.float32) / np.float32(4_096)
    p_up = np.concatenate([near.view(np.float32), grid])
    assert shortest_all(p_up).tolist() == [shortest(p) for p in p_up]


@given(limit=st.floats(0.001, 0.999))
def test_the_least_float32_at_a_limit(limit: float) -> None:
    """It is written at or above the limit, and its lower neighbour below."""
    least = least_float32(limit)
    assert shortest(least) >= limit > shortest(np.nextafter(least, np.float32(-1)))
