"""Policy: thresholds, the minimum holding period and halts, for one hour by hand, and for columns as hour by hour."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import share_of
from trader.core.policy import (
    FLAT,
    LONG,
    SHORT,
    TARGETS,
    LossLimits,
    Signals,
    Thresholds,
    first_breach,
    halted_side,
    held_until,
    hours_within_holding_period,
    target_side,
    within_holding_period,
)
from trader.core.probability import shortest, shortest_all
from trader.core.risk import RiskState, assess
from trader.core.turns import turns
from trader.core.types import HOUR_MS, Target

START = 1_640_995_200_000

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
    assert target_side(p_up, held, Thresholds(0.01, 0.002, "long_short")) == long_short
    if held != "short":
        assert target_side(p_up, held, Thresholds(0.01, 0.002)) == long_flat


def test_without_edges_a_half_is_long() -> None:
    """P(up) of exactly a half enters: a threshold is reached when it is equal."""
    assert target_side(0.5, "flat", Thresholds(0.0, 0.0)) == "long"
    assert target_side(0.5, "long", Thresholds(0.0, 0.0)) == "long"


def test_without_a_prediction_what_is_held_is_kept() -> None:
    """Whatever side it is."""
    for held in TARGETS:
        assert target_side(None, held, Thresholds(0.0, 0.0, "long_short")) == held


@given(
    p_up=st.floats(0, 1),
    held=st.sampled_from(TARGETS),
    enter=st.floats(0, 0.49),
    leave=st.floats(-0.49, 0.49),
)
def test_long_short_is_symmetric(p_up: float, held: Target, enter: float, leave: float) -> None:
    """Mirroring P(up) and the held side mirrors the target, but at the very thresholds, where long comes first."""
    mirror: dict[Target, Target] = {"flat": "flat", "long": "short", "short": "long"}
    limits = np.array([0.5 + enter, 0.5 - enter, 0.5 - leave, 0.5 + leave])
    if np.abs(limits - p_up).min() < 1e-12 or np.abs(limits - (1 - p_up)).min() < 1e-12:
        return
    at = Thresholds(enter, leave, "long_short")
    assert target_side(1 - p_up, mirror[held], at) == mirror[target_side(p_up, held, at)]


def test_a_float32_is_compared_as_it_is_written() -> None:
    """0.51 in float32 lies below 0.51; its shortest decimal does not, for one hour and for a column."""
    p_up = np.float32(0.51)
    assert float(p_up) != 0.51
    assert target_side(shortest(p_up), "flat", Thresholds(0.01, 0.0)) == "long"
    assert Signals.of(np.array([p_up]), Thresholds(0.01, 0.0)).entries.all()


def test_a_horizon_of_three_hours_by_hand() -> None:
    """Entered at hour 0: hours 1 and 2 are bound, hour 3 may leave. A horizon of one binds nothing, nor does being flat."""
    until = held_until(START, 3)
    assert until == START + 3 * HOUR_MS
    bound = [within_holding_period("long", START + i * HOUR_MS, START, 3) for i in range(5)]
    assert bound == [True, True, True, False, False]
    assert not within_holding_period("long", START + HOUR_MS, START, 1)
    assert not within_holding_period("flat", START, START, 24)
    assert not within_holding_period("long", START, None, 24)


# Edges of a few decimals make thresholds that a float32's shortest decimal can equal; the others never tie.
enter_edges = st.sampled_from([0.0, 0.004, 0.01, 0.1234567, 0.49]) | st.floats(0, 0.49)
exit_edges = st.sampled_from([-0.49, -0.02, -0.004, 0.0, 0.004, 0.01, 0.1234567]) | st.floats(-0.49, 0.49)
thresholds = st.builds(Thresholds, enter_edges, exit_edges, st.sampled_from(["long_flat", "long_short"]))


def scores(random: np.random.Generator, at: Thresholds, hours: int) -> np.ndarray:
    """(hours,) float32: NaN, anything, and the thresholds themselves with their neighbours in float32."""
    limits = np.array([0.5 + at.enter_edge, 0.5 - at.enter_edge, 0.5 + at.exit_edge, 0.5 - at.exit_edge])
    ties = limits.astype(np.float32)
    near = [ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1))]
    anything = [*random.random(4, np.float32), np.nan]
    return random.choice(np.concatenate([*near, anything]), hours).astype(np.float32)


def as_known(p_up: np.float32) -> float | None:
    """What the bot would compare: the shortest decimal, None without a prediction."""
    return None if np.isnan(p_up) else shortest(p_up)


@given(seed=st.integers(0, 10**6), at=thresholds)
def test_targets_of_a_column_are_those_of_its_hours(seed: int, at: Thresholds) -> None:
    """For each side that can be held: also on thresholds and beside them, from float32 as predicted and from the written
    decimals."""
    p_up = scores(np.random.default_rng(seed), at, 30)
    for held in (FLAT, LONG) if at.exposure == "long_flat" else (FLAT, LONG, SHORT):
        wanted = [target_side(as_known(p), TARGETS[held], at) for p in p_up]
        for column in (p_up, shortest_all(p_up)):
            assert [TARGETS[code] for code in Signals.of(column, at).targets(held)] == wanted


@given(seed=st.integers(0, 10**6), at=thresholds)
def test_an_hour_that_enters_a_side_says_nothing_else(seed: int, at: Thresholds) -> None:
    """Neither an exit nor the other side, however the edges overlap."""
    said = Signals.of(scores(np.random.default_rng(seed), at, 60), at)
    shorts = [column for column in (said.short_entries, said.short_exits) if column is not None]
    entered = np.sum([said.entries, *shorts[:1]], axis=0)
    assert entered.max() <= 1
    for exits in (said.exits, *shorts[1:]):
        assert not (exits & (entered > 0)).any()


@given(
    held=st.sampled_from([FLAT, LONG, SHORT]),
    entered=st.none() | st.integers(-30, 3),
    horizon=st.integers(1, 24),
)
def test_the_bound_hours_of_a_column_are_those_of_its_hours(
    held: int, entered: int | None, horizon: int
) -> None:
    """Counted from the column's first hour, for entries before it and in it."""
    entered_at = None if entered is None else START + entered * HOUR_MS
    bound = [
        within_holding_period(TARGETS[held], START + i * HOUR_MS, entered_at, horizon) for i in range(40)
    ]
    count = hours_within_holding_period(held, START, entered_at, horizon)
    assert bound == [i < count for i in range(40)]


# Equities, base and limits are binary fractions, so that floats tie with a level exactly where Decimals do.
BASE = Decimal(1_024)
limits = st.builds(
    LossLimits,
    st.sampled_from([None, Decimal("-0.25"), Decimal("-0.5")]),
    st.sampled_from([None, Decimal("0.125"), Decimal("0.25")]),
    st.booleans(),
)
EQUITIES = [512, 513, 768, 769, 896, 897, 1_024, 1_280, 1_281, 1_536, 1_537, 1_792, 2_048]


def walked(
    p_up: np.ndarray, tradable: list[bool], marks: list[int], at: Thresholds, horizon: int, losses: LossLimits
) -> tuple[list[Target], int | None]:
    """Hour by hour as the bot walks: the side held after each hour, and the hour that halted."""
    risk, held, entered_at = RiskState.fresh(BASE), TARGETS[FLAT], None
    sides = []
    for i, (p, may, equity) in enumerate(zip(p_up, tradable, marks, strict=True)):
        hour = START + i * HOUR_MS
        risk = assess(risk, Decimal(equity), hour, losses)
        if risk.halted_at is not None:
            target = halted_side(held, risk.frozen)
        elif within_holding_period(held, hour, entered_at, horizon):
            target = held
        else:
            target = target_side(as_known(p), held, at)
        if may and target != held:
            held, entered_at = target, hour
        sides.append(held)
    return sides, None if risk.halted_at is None else (risk.halted_at - START) // HOUR_MS


@given(
    seed=st.integers(0, 10**6),
    hours=st.integers(0, 60),
    at=thresholds,
    horizon=st.just(1) | st.integers(1, 24),
    losses=limits,
)
@settings(max_examples=share_of(300))
def test_a_walk_at_once_is_the_walk_hour_by_hour(
    seed: int, hours: int, at: Thresholds, horizon: int, losses: LossLimits
) -> None:
    """Thresholds, minimum holding and halts together: over hours that cannot be traded, without a prediction, exactly on
    a threshold, exactly on a limit."""
    random = np.random.default_rng(seed)
    p_up, tradable = scores(random, at, hours), (random.random(hours) < 0.8).tolist()
    # Most walks begin above every limit, so that the halt comes late or never.
    least = random.choice([0, 6, 8, 11])
    marks = random.choice(EQUITIES[least:], hours).tolist()
    wanted, halted = walked(p_up, tradable, marks, at, horizon, losses)

    held = turns(Signals.of(p_up, at).where(np.array(tradable, np.bool_)), horizon).held(hours)
    first = first_breach(np.array(marks, np.float64), float(BASE), losses)
    assert first == halted
    if first is not None:
        # A halt sells in the first hour that can be traded, or keeps what was held before it.
        held[first:] = held[first - 1] if first else FLAT
        if not losses.freeze:
            held[first + [*tradable[first:], True].index(True) :] = FLAT
    assert [TARGETS[code] for code in held] == wanted


def test_a_column_without_limits_never_halts() -> None:
    """None switches a limit off."""
    assert first_breach(np.array([1.0, 0.0]), 1_000.0, LossLimits(None, None)) is None
