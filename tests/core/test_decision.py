"""P(up) and the held side -> the target, as a table; and the shortest decimals it is decided on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.decision import Exposure, decide, shortest, shortest_all
from trader.core.types import Target

TABLE = [
    # p_up, held -> long_flat, long_short; enter_edge 0.01, exit_edge 0.002
    (0.53, "flat", "long", "long"),
    (0.51, "flat", "long", "long"),
    (0.509, "flat", "flat", "flat"),
    (0.49, "flat", "flat", "short"),
    (0.491, "flat", "flat", "flat"),
    (0.509, "long", "long", "long"),
    (0.499, "long", "long", "long"),
    (0.498, "long", "flat", "flat"),
    (0.49, "long", "flat", "short"),
    (0.51, "long", "long", "long"),
    (0.49, "short", "short", "short"),
    (0.501, "short", "short", "short"),
    (0.502, "short", "flat", "flat"),
    (0.51, "short", "long", "long"),
]


@pytest.mark.parametrize(("p_up", "held", "long_flat", "long_short"), TABLE)
def test_the_table_of_decisions(p_up: float, held: Target, long_flat: Target, long_short: Target) -> None:
    """Thresholds belong to the side that they open; between them what is held is kept."""
    assert decide(p_up, held, 0.01, 0.002, "long_short") == long_short
    if held != "short":
        assert decide(p_up, held, 0.01, 0.002, "long_flat") == long_flat


def test_without_edges_a_half_is_long() -> None:
    """P(up) of exactly a half enters: a threshold is reached when it is equal."""
    assert decide(0.5, "flat", 0.0, 0.0, "long_flat") == "long"
    assert decide(0.5, "long", 0.0, 0.0, "long_flat") == "long"


@given(
    p_up=st.floats(0, 1),
    held=st.sampled_from(["flat", "long", "short"]),
    enter=st.floats(0, 0.49),
    leave=st.floats(-0.49, 0.49),
)
def test_long_short_is_symmetric(p_up: float, held: Target, enter: float, leave: float) -> None:
    """Mirroring P(up) and the held side mirrors the target, but at the very thresholds, where long comes first."""
    mirror: dict[Target, Target] = {"flat": "flat", "long": "short", "short": "long"}
    limits = np.array([0.5 + enter, 0.5 - enter, 0.5 - leave, 0.5 + leave])
    if np.abs(limits - p_up).min() < 1e-12 or np.abs(limits - (1 - p_up)).min() < 1e-12:
        return
    exposure: Exposure = "long_short"
    assert (
        decide(1 - p_up, mirror[held], enter, leave, exposure)
        == mirror[decide(p_up, held, enter, leave, exposure)]
    )


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


def test_a_float32_is_compared_as_it_is_written() -> None:
    """0.51 in float32 lies below 0.51; its shortest decimal does not."""
    p_up = np.float32(0.51)
    assert float(p_up) != 0.51
    assert decide(shortest(p_up), "flat", 0.01, 0.0, "long_flat") == "long"
