"""Scores of distributions, each beside a slow twin or a closed form."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from backtest.evidence.block_errors import FEWEST_BLOCKS, block_hours, block_mean, block_ratio
from backtest.evidence.forecasts import HourScores, crps, outcomes, overall, pinball, step_score, up_score
from tests.support.bars_made import bars_made
from trader.core.forecast import LEVELS
from trader.core.types import HOUR_MS, Floats

NORMAL = NormalDist()
Z = np.array([NORMAL.inv_cdf(level) for level in LEVELS])
HOURS = np.arange(2_000) * HOUR_MS


def quantile_at(q: Floats, levels: Floats) -> Floats:
    """The quantile function of the contract, level by level: linear within, exponential beyond."""
    a, found = np.array(LEVELS), np.empty(len(levels))
    low, high = (q[1] - q[0]) / math.log(a[1] / a[0]), (q[-1] - q[-2]) / math.log((1 - a[-2]) / (1 - a[-1]))
    for i, level in enumerate(levels.tolist()):
        if level < a[0]:
            found[i] = q[0] + low * math.log(level / a[0])
        elif level > a[-1]:
            found[i] = q[-1] - high * math.log((1 - level) / (1 - a[-1]))
        else:
            k = min(int(np.searchsorted(a, level, side="right")) - 1, len(a) - 2)
            found[i] = q[k] + (q[k + 1] - q[k]) * (level - a[k]) / (a[k + 1] - a[k])
    return found


def slow_crps(q: Floats, r: float) -> float:
    """Twice the integral of the pinball loss over all levels, by the midpoint rule."""
    levels = (np.arange(40_000) + 0.5) / 40_000
    error = r - quantile_at(np.sort(q), levels)
    return float(2 * np.mean(np.where(error < 0, levels - 1, levels) * error))


def test_the_pinball_loss_is_that_of_its_definition() -> None:
    """Of each level: a times a miss above, 1 - a times a miss below."""
    q = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    for r in (-4.0, -1.5, 0.0, 2.5, 9.0):
        slow = [a * (r - x) if r >= x else (1 - a) * (x - r) for a, x in zip(LEVELS, q.tolist(), strict=True)]
        assert pinball(q, np.array(r)) == pytest.approx(slow)


@pytest.mark.parametrize("r", [-6.0, -2.0, -1.0, 0.0, 0.3, 1.9, 2.0, 7.5])
def test_crps_is_twice_the_pinball_loss_over_all_levels(r: float) -> None:
    """The closed form beside the integral by hand: inside, at a quantile, in either tail, and where quantiles cross."""
    for q in ([-2.0, -1.2, -0.4, 0.3, 0.5, 1.4, 2.0], [-2.0, -0.4, -1.2, 0.3, 0.5, 1.4, 2.0]):
        assert crps(np.array(q), np.array(r)) == pytest.approx(slow_crps(np.array(q), r), rel=2e-3, abs=1e-4)


def test_crps_of_normal_quantiles_is_near_the_closed_form_of_a_normal() -> None:
    """sd (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)); seven levels know it to a few hundredths of a deviation."""
    for z in (-2.5, -1.0, 0.0, 0.7, 3.0):
        closed = z * (2 * NORMAL.cdf(z) - 1) + 2 * NORMAL.pdf(z) - 1 / math.sqrt(math.pi)
        assert crps(Z, np.array(z)) == pytest.approx(closed, abs=0.03)
        assert crps(0.01 * Z, np.array(0.01 * z)) == pytest.approx(0.01 * crps(Z, np.array(z)))


def test_crps_of_a_certain_forecast_is_the_absolute_error() -> None:
    """All quantiles in one place; nothing is divided by their width of zero."""
    found = crps(np.full((3, 7), 0.5), np.array([0.5, 1.5, -1.0]))
    assert found.tolist() == pytest.approx([0.0, 1.0, 1.5])


def test_an_outcome_is_a_log_return_and_looks_no_further_than_asked() -> None:
    """Of closes h hours apart; none from or to a missing bar, and none that closed after the last hour that was asked for."""
    bars = bars_made(60, 4, missing=(20,))
    hours, stop = bars.close_time[10:40], int(bars.close_time[42])
    found = outcomes(bars, hours, 5, stop)
    for i, row in enumerate(range(10, 40)):
        for h in range(1, 6):
            known = row != 20 and row + h != 20 and row + h <= 42
            said = found[i, h - 1]
            assert (
                said == pytest.approx(math.log(bars.close[row + h] / bars.close[row]))
                if known
                else np.isnan(said)
            )


def test_a_block_is_whole_days_and_twice_as_long_as_a_forecast() -> None:
    """From one hour to a week."""
    assert [block_hours(h) for h in (1, 12, 13, 24, 168)] == [24, 24, 48, 48, 336]


def test_an_error_by_blocks_covers_what_overlapping_windows_do() -> None:
    """Means of returns over 24 hours, drawn again and again: their scatter is what the blocks say, and several times what a
    root of the number of hours would."""
    random = np.random.default_rng(5)
    means, errors, rough = [], [], []
    for _ in range(150):
        steps = random.normal(size=len(HOURS) + 24)
        total = np.concatenate(([0.0], np.cumsum(steps)))
        ahead = total[24 : 24 + len(HOURS)] - total[: len(HOURS)]
        estimate = block_mean(ahead, HOURS, 24)
        assert estimate.value is not None
        assert estimate.error is not None
        means.append(estimate.value)
        errors.append(estimate.error)
        rough.append(ahead.std() / math.sqrt(len(ahead)))
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.2)
    assert np.mean(rough) < np.std(means) / 3


def test_too_few_blocks_have_no_error_and_no_hours_no_value() -> None:
    """A dash instead of a number that says nothing."""
    short = block_mean(np.ones(24 * (FEWEST_BLOCKS - 1)), HOURS[: 24 * (FEWEST_BLOCKS - 1)], 1)
    assert (short.value, short.error, short.blocks) == (1.0, None, FEWEST_BLOCKS - 1)
    none = block_ratio(np.full(9, np.nan), np.ones(9), HOURS[:9], 1)
    assert (none.value, none.error, none.n) == (None, None, 0)


def scores(width: float, outcome: Floats) -> HourScores:
    """Normal quantiles of so wide a deviation at every hour, two hours ahead."""
    quantiles = np.broadcast_to(width * Z, (len(outcome), 2, 7))
    return HourScores.of(HOURS[: len(outcome)], np.array(quantiles), outcome)


def test_the_true_distribution_covers_and_beats_one_that_is_too_wide() -> None:
    """Coverage within three errors of nominal, skill beyond two; against itself the skill is exactly 0."""
    outcome = np.random.default_rng(3).normal(size=(1_990, 2))
    outcome[5] = np.nan
    true, wide = scores(1.0, outcome), scores(2.0, outcome)
    row = step_score(true, wide, 2)
    for level, share in zip((0.5, 0.8, 0.95), row.coverage, strict=True):
        assert share.value is not None
        assert share.error is not None
        assert abs(share.value - level) < 3 * share.error
    assert row.pinball.n == 1_989
    for skill in (row.pinball_skill, row.crps_skill, overall(true, wide).pinball_skill):
        assert skill.value is not None
        assert skill.error is not None
        assert skill.value > 2 * skill.error > 0
    assert step_score(true, true, 1).pinball_skill.value == 0
    assert row.pinball.value == pytest.approx(np.nanmean(true.pinball[:, 1]))
    assert row.as_json()["coverage"][2]["level"] == 0.95


def test_p_up_is_scored_where_both_speak() -> None:
    """Brier score and hit rate of the hours at which family, naive forecast and outcome are all known."""
    told, naive = np.array([0.9, 0.4, np.nan, 0.6, 0.5]), np.array([0.5, 0.5, 0.5, np.nan, 0.5])
    found = up_score(told, naive, np.array([1.0, 0.0, 1.0, 1.0, 1.0]), HOURS[:5], 1)
    assert found.brier.n == 3
    assert found.brier.value == pytest.approx((0.01 + 0.16 + 0.25) / 3)
    assert found.hit_rate.value == pytest.approx(1.0)
    assert found.brier_skill.value == pytest.approx(1 - (0.01 + 0.16 + 0.25) / 0.75)
