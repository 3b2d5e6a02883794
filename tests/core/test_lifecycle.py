"""Which model serves, and when a retrain is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trader.core.lifecycle import Champion, calendar_refit, due_refit, is_late, serving
from trader.core.types import DAY_MS, HOUR_MS

START = 1_700_000 * HOUR_MS


@given(step=st.integers(1, 60), hours=st.integers(0, 5_000))
def test_the_calendar_is_its_slow_twin(step: int, hours: int) -> None:
    """The newest S_k at or before an hour, found by walking."""
    hour, s = START + hours * HOUR_MS, START
    while s + step * DAY_MS <= hour:
        s += step * DAY_MS
    assert calendar_refit(START, step, hour) == s


def test_before_the_start_nothing_is_due() -> None:
    """A deployment that has not begun has no refit."""
    assert calendar_refit(START, 30, START - HOUR_MS) is None
    assert due_refit(START, 30, 1, START - 2 * HOUR_MS, []) is None


def test_a_refit_is_due_gap_hours_before_it_serves() -> None:
    """With a gap of 3 hours, S_1 is due from three hours before it, until its champion is there."""
    s1 = START + 30 * DAY_MS
    first = [Champion("a", START)]
    assert due_refit(START, 30, 3, s1 - 4 * HOUR_MS, first) is None
    assert due_refit(START, 30, 3, s1 - 3 * HOUR_MS, first) == s1
    assert due_refit(START, 30, 3, s1 + 9 * HOUR_MS, first) == s1
    assert due_refit(START, 30, 3, s1, [*first, Champion("b", s1)]) is None


def test_after_a_long_pause_only_the_newest_is_due() -> None:
    """Models that would never serve are not trained."""
    late = START + 100 * DAY_MS
    assert due_refit(START, 30, 1, late, [Champion("a", START)]) == START + 90 * DAY_MS


def test_the_newest_valid_champion_serves_and_a_later_event_wins() -> None:
    """A model waits for its hour; a rollback to an hour's other model is the later event."""
    a, b, c = Champion("a", START), Champion("b", START + DAY_MS), Champion("c", START + DAY_MS)
    assert serving([a, b], START - HOUR_MS) is None
    assert serving([a, b], START + 23 * HOUR_MS) == a
    assert serving([a, b], START + DAY_MS) == b
    assert serving([a, b, c], START + DAY_MS) == c
    assert serving([a, c, b], START + DAY_MS) == b


def test_an_old_model_that_trades_on_is_late() -> None:
    """From S_1 on, the model of S_0 is late."""
    old = Champion("a", START)
    assert not is_late(START, 30, old, START + 30 * DAY_MS - HOUR_MS)
    assert is_late(START, 30, old, START + 30 * DAY_MS)
    assert not is_late(START, 30, Champion("x", START - DAY_MS), START - HOUR_MS)


@given(
    valid=st.lists(st.integers(0, 9), max_size=8),
    hour=st.integers(-1, 10),
)
def test_serving_equals_its_slow_twin(valid: list[int], hour: int) -> None:
    """Walk the events in order, keep whoever is valid and not older than who is kept."""
    champions = [Champion(str(n), v) for n, v in enumerate(valid)]
    kept = None
    for champion in champions:
        if champion.valid_from <= hour and (kept is None or champion.valid_from >= kept.valid_from):
            kept = champion
    assert serving(champions, hour) == kept
