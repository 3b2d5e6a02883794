"""Drift: each measure beside its slow twin, and its limits beside what chance does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import share_of
from trader.core.drift import (
    CALIBRATION_LIMIT,
    DRIFT_HOURS,
    calibration_decay,
    drift_limits,
    feature_drift,
    population_stability,
)
from trader.core.lifecycle import BUDGET_DAYS, Drift, DriftRule, Measure, drifted, within_budget
from trader.core.model import RANGE_QUANTILES, ranges_of
from trader.core.types import DAY_MS, HOUR_MS, Matrix

COLUMNS = ("one", "two")
SEEN = Drift(psi=0.5, ks=0.3, calibration=3.0, psi_limit=0.4, ks_limit=0.2)


def sample(hours: int, seed: int, shift: float = 0.0) -> Matrix:
    """Two columns of hours that resemble their neighbours, (hours, 2) float32."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(hours + 9, 2))
    smooth = np.lib.stride_tricks.sliding_window_view(noise, 10, axis=0).mean(axis=-1)
    return np.asarray(smooth + shift, np.float32)


def edges_of(X: np.ndarray) -> list[list[float]]:
    """As a card holds them."""
    return list(ranges_of(X, COLUMNS).values())


def distance(values: list[float], edges: list[float]) -> float:
    """Kolmogorov and Smirnov's, at the training sample's inner quantiles: of equal ones the last, and none at its end."""
    inner = dict(zip(edges[1:-1], RANGE_QUANTILES[1:-1], strict=True))
    return max(
        (
            abs(sum(value <= edge for value in values) / len(values) - share)
            for edge, share in inner.items()
            if edge < edges[-1]
        ),
        default=0.0,
    )


@settings(max_examples=share_of(30), deadline=None)
@given(seed=st.integers(0, 10_000), missing=st.sets(st.integers(0, 59), max_size=40), ties=st.booleans())
def test_the_drift_of_every_window_equals_its_slow_twin(seed: int, missing: set[int], ties: bool) -> None:
    """Row by row, column by column: the largest PSI and KS of the defined rows; unknown before a whole window, and
    where less than half of it is defined."""
    train, X = sample(300, seed), sample(60, seed + 1, 0.1)
    if ties:
        train, X = np.round(train, 0), np.round(X, 0)
    X[sorted(missing), seed % 2] = np.nan
    edges = edges_of(train)
    psi, ks = feature_drift(X, edges, RANGE_QUANTILES, 24)
    for i in range(len(X)):
        rows = X[max(0, i - 23) : i + 1]
        rows = rows[~np.isnan(rows).any(axis=1)].astype(np.float64)
        if i < 23 or len(rows) < 12:
            assert np.isnan(psi[i])
            assert np.isnan(ks[i])
            continue
        columns = [(rows[:, k].tolist(), edges[k], RANGE_QUANTILES) for k in range(2)]
        assert psi[i] == pytest.approx(max(population_stability(*column) for column in columns), abs=1e-12)
        assert ks[i] == pytest.approx(max(distance(*column[:2]) for column in columns), abs=1e-12)


def test_the_distance_of_distributions_is_counted_by_hand() -> None:
    """Half of the sample lies at or below 0: four values of which three do are a quarter away."""
    edges, quantiles = [-1.0, 0.0, 1.0], [0.0, 0.5, 1.0]
    for values, apart in (([-0.5, -0.2, 0.0, 0.7], 0.25), ([2.0, 3.0], 0.5)):
        X = np.array(values, np.float32).reshape(-1, 1)
        assert feature_drift(X, [edges], quantiles, len(values))[1][-1] == pytest.approx(apart)


def test_chance_alone_stays_below_the_limits_and_a_shift_does_not() -> None:
    """Of 300 windows of the same process few are above what one in a hundred may be; of a shifted one nearly all are."""
    train = sample(4_000, 1)
    limits = drift_limits(train, edges_of(train), RANGE_QUANTILES)
    assert limits is not None
    assert drift_limits(train, edges_of(train), RANGE_QUANTILES) == limits
    for shift, least, most in ((0.0, 0.0, 0.06), (0.5, 0.9, 1.0)):
        X = np.concatenate([sample(DRIFT_HOURS, seed, shift) for seed in range(100, 400)])
        measured = feature_drift(X, edges_of(train), RANGE_QUANTILES, DRIFT_HOURS)
        for values, limit in zip(measured, limits, strict=True):
            assert least <= float(np.mean(values[DRIFT_HOURS - 1 :: DRIFT_HOURS] > limit)) <= most


def test_a_sample_shorter_than_a_window_has_no_limits() -> None:
    """Nothing can be drawn from it."""
    train = sample(DRIFT_HOURS - 1, 1)
    assert drift_limits(train, edges_of(train), RANGE_QUANTILES) is None


def test_true_probabilities_do_not_decay_and_boastful_ones_do() -> None:
    """Outcomes drawn by the probabilities themselves are above the limit once in a hundred windows; by a coin, while the
    probabilities claim 0.8 and 0.2, in all of them."""
    rng = np.random.default_rng(3)
    n, hours = 200_000, 100
    p = rng.uniform(0.3, 0.7, n)
    true = calibration_decay(p, (rng.random(n) < p).astype(float), hours)[hours - 1 :: hours]
    assert float(np.mean(true > CALIBRATION_LIMIT)) == pytest.approx(0.01, abs=0.006)
    assert float(np.std(true)) == pytest.approx(1.0, abs=0.05)
    boast = np.where(rng.random(n) < 0.5, 0.8, 0.2)
    coin = (rng.random(n) < 0.5).astype(float)
    assert (calibration_decay(boast, coin, hours)[hours - 1 :: hours] > CALIBRATION_LIMIT).all()


def test_the_decay_of_a_window_is_counted_by_hand() -> None:
    """p 0.6 twice, once right: (0.4 - 0.6) x -0.2 over the root of 2 x 0.24 x 0.04; a coin's 0.5 promises nothing."""
    p, y = np.array([0.6, 0.6, np.nan]), np.array([1.0, 0.0, 1.0])
    decay = calibration_decay(p, y, 2)
    assert decay[1] == pytest.approx((0.4 - 0.6) * -0.2 / np.sqrt(2 * 0.24 * 0.04))
    assert decay[2] == pytest.approx(-0.6 * -0.2 / np.sqrt(0.24 * 0.04))
    assert np.isnan(decay[0])
    assert np.isnan(calibration_decay(np.full(4, 0.5), np.ones(4), 2)).all()
    assert np.isnan(calibration_decay(np.full(1, 0.6), np.ones(1), 2)).all()


@pytest.mark.parametrize(
    ("measures", "why"),
    [
        (("psi",), "drift: PSI of 168 h is 0.500, above 0.400"),
        (("ks",), "drift: KS of 168 h is 0.300, above 0.200"),
        (("calibration",), "drift: calibration decay of 168 h is 3.000, above 2.326"),
        ((), None),
    ],
)
def test_drift_says_which_measure_rose_above_what(measures: tuple[Measure, ...], why: str | None) -> None:
    """Each measure for itself, unknown values and limits never, and nothing within the cooldown."""
    rule = DriftRule(measures, cooldown_hours=24)
    assert drifted(rule, 100 * HOUR_MS, SEEN, None) == why
    assert drifted(rule, 100 * HOUR_MS, SEEN, 76 * HOUR_MS) == why
    assert drifted(rule, 100 * HOUR_MS, SEEN, 77 * HOUR_MS) is None
    assert drifted(rule, 100 * HOUR_MS, Drift(None, 0.1, None, None, None), None) is None


def test_a_budget_counts_the_breaches_of_thirty_days() -> None:
    """Two of two are spent until the older one is thirty days old."""
    day = DAY_MS
    assert within_budget(None, 0, [0] * 99)
    assert within_budget(2, 10 * day, [9 * day])
    assert not within_budget(2, 10 * day, [1 * day, 9 * day])
    assert within_budget(2, (1 + BUDGET_DAYS) * day, [1 * day, 9 * day])
