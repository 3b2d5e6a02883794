"""Which model serves, and when a retrain is due."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.lifecycle import (
    SEED_BREACH,
    BreachRule,
    Champion,
    RunningTotals,
    breach,
    calendar_refit,
    chance_of_low_hit_rate,
    due_refit,
    is_late,
    serving,
)
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


def test_of_several_that_are_due_the_oldest_is_trained_first() -> None:
    """With a gap of 49 hours and a refit a day two wait when a bot begins; after a pause the model that still has hours to serve
    goes before that of the next day, unless the next hour is the first of that."""
    first = [Champion("a", START)]
    days = [START + day * DAY_MS for day in range(4)]
    assert due_refit(START, 1, 49, START, first) == days[1]
    assert due_refit(START, 1, 49, START, [*first, Champion("b", days[1])]) == days[2]
    assert due_refit(START, 1, 49, START, [*first, Champion("b", days[1]), Champion("c", days[2])]) is None
    assert due_refit(START, 1, 5, days[3] - 3 * HOUR_MS, first) == days[2]
    assert due_refit(START, 1, 5, days[3] - HOUR_MS, first) == days[3]


@given(step=st.integers(1, 4), gap=st.integers(1, 120), hours=st.integers(0, 400), trained=st.integers(0, 6))
def test_what_is_due_equals_its_slow_twin(step: int, gap: int, hours: int, trained: int) -> None:
    """The first refit of the calendar that is newer than every champion, serves an hour after this one, and has begun its gap."""
    now, champions = START + hours * HOUR_MS, [Champion("a", START + trained * DAY_MS)]
    length = step * DAY_MS
    found = None
    for k in reversed(range(400)):
        s = START + k * length
        if s > champions[0].valid_from and s + length > now + HOUR_MS and s - gap * HOUR_MS <= now:
            found = s
    assert due_refit(START, step, gap, now, champions) == found


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


RULE = BreachRule(hours=24, net_return_below=-0.05, hit_rate_below=0.5, cooldown_hours=24)


def standing(hours: int, equity: float = 100.0, hits: int = 0, scored: int = 0) -> RunningTotals:
    """Running totals some hours after the start."""
    return RunningTotals(START + hours * HOUR_MS, equity, hits, scored)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (standing(24, 94.9, 12, 24), "net return of 24 h is -0.0510, below -0.0500"),
        (standing(24, 95.01, 12, 24), None),
        (standing(24, 99.0, 11, 24), "hit rate of 24 h is 0.458, below 0.500"),
        (standing(24, 80.0, 0, 0), "net return of 24 h is -0.2000, below -0.0500"),
        (standing(24, 99.0, 0, 0), None),
    ],
)
def test_a_breach_says_which_measure_fell_below_which_threshold(now: RunningTotals, why: str | None) -> None:
    """Above a threshold nothing happens, below it the sentence carries both numbers; no scored call is no hit rate."""
    assert breach(RULE, now, standing(0), None) == why


def test_a_measure_that_is_off_is_not_looked_at() -> None:
    """None switches a measure off."""
    off = replace(RULE, net_return_below=None, hit_rate_below=None)
    assert breach(off, standing(24, 1.0, 0, 24), standing(0), None) is None


def test_within_the_cooldown_nothing_is_a_breach() -> None:
    """The hour at which the cooldown ends is the first that may breach again."""
    bad, last = standing(48, 50.0), START + 24 * HOUR_MS
    assert breach(RULE, standing(47, 50.0), standing(23), last) is None
    assert breach(RULE, bad, standing(24), last) is not None


def breaches_of_a_walk(hit_rate: float, hours: int = 60_000) -> tuple[float, float]:
    """A model right at random under the seed's rule: share of windows below it, mean hours between two breaches."""
    rng = np.random.default_rng(7)
    hits = np.concatenate([[0], np.cumsum(rng.random(hours) < hit_rate)]).tolist()
    low, at, last = 0, [], None
    for i in range(SEED_BREACH.hours, hours + 1):
        now, then = standing(i, hits=hits[i], scored=i), standing(i - 24, hits=hits[i - 24], scored=i - 24)
        low += breach(SEED_BREACH, now, then, None) is not None
        if breach(SEED_BREACH, now, then, last):
            last = now.hour
            at.append(i)
    return low / (hours + 1 - 24), float(np.mean(np.diff(at)))


@pytest.mark.parametrize(("hit_rate", "share", "every"), [(0.5, 0.85, 25), (0.57, 0.63, 29)])
def test_the_seeds_rule_fires_nearly_always(hit_rate: float, share: float, every: int) -> None:
    """What the comment at SEED_BREACH and the runbook say: how often it is below 60 %, and how often it breaches."""
    walked, hours_between = breaches_of_a_walk(hit_rate)
    exact = chance_of_low_hit_rate(hit_rate, SEED_BREACH.hours, 0.6)
    assert round(exact, 2) == share
    assert walked == pytest.approx(exact, abs=0.02)
    assert round(hours_between) == every


def test_the_chance_of_a_low_hit_rate_is_counted_by_hand() -> None:
    """Of two fair calls: none right in a quarter, fewer than two in three quarters, never more than both."""
    assert [chance_of_low_hit_rate(0.5, 2, below) for below in (0.5, 1.0, 1.1)] == [0.25, 0.75, 1.0]
