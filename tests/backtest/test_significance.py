"""Probabilistic and deflated Sharpe ratios against the worked values of their papers, and by their meaning."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backtest.evidence.significance import (
    Moments,
    deflated_sharpe,
    effective_trials,
    expected_maximum,
    probabilistic_sharpe,
)
from trader.core.errors import ConfigError

DAYS = 250


def test_psr_of_the_efficient_frontier_paper() -> None:
    """Two years of months, SR 0.458 a month: 0.982 if returns were normal, 0.913 with their skewness and kurtosis."""
    assert probabilistic_sharpe(Moments(24, 0.458, 0.0, 3.0)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(Moments(24, 0.458, -2.448, 10.164)) == pytest.approx(0.913, abs=5e-4)


def test_dsr_of_its_paper() -> None:
    """SR 2.5 a year over 1,250 days, the best of 100 whose annual variance is 1/2: SR0 0.1132, DSR 0.9004; the best
    of 46 would pass at 0.9505."""
    moments = Moments(1250, 2.5 / math.sqrt(DAYS), -3.0, 10.0)
    deviation = math.sqrt(0.5 / DAYS)
    assert expected_maximum(100, deviation) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(moments, 100, deviation) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(moments, 46, deviation) == pytest.approx(0.9505, abs=5e-4)


def test_the_expected_maximum_is_that_of_a_simulation() -> None:
    """The mean of the best of 50 normal draws, 20,000 times over; the formula is an approximation."""
    best = np.random.default_rng(1).normal(0, 0.02, (20_000, 50)).max(axis=1)
    assert expected_maximum(50, 0.02) == pytest.approx(float(best.mean()), rel=0.02)


def test_one_trial_is_not_deflated() -> None:
    """Nothing was chosen: DSR is PSR."""
    moments = Moments(1000, 0.05, -0.5, 6.0)
    assert deflated_sharpe(moments, 1, 0.1) == probabilistic_sharpe(moments)


def test_moments_are_those_of_their_definitions() -> None:
    """Third and fourth standardised moments, a normal sample near 0 and 3."""
    x = np.random.default_rng(2).normal(0.001, 0.01, 200_000)
    moments = Moments.of(x)
    assert moments.sharpe == pytest.approx(x.mean() / x.std(ddof=1))
    assert moments.skewness == pytest.approx(0, abs=0.02)
    assert moments.kurtosis == pytest.approx(3, abs=0.04)
    assert Moments.of(np.zeros(10)) == Moments(10, 0.0, 0.0, 3.0)


def test_an_undefined_error_is_refused() -> None:
    """A record made by one return has no usable error."""
    with pytest.raises(ConfigError, match="lengthen the span"):
        probabilistic_sharpe(Moments(30, 0.9, 3.0, 3.2))


def test_effective_trials_lie_between_one_and_all() -> None:
    """Copies count once, strangers all, half-correlated ones in between."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(5_000, 10))
    common = rng.normal(size=(5_000, 1))
    assert effective_trials(np.repeat(common, 10, axis=1)) == pytest.approx(1.0)
    assert effective_trials(noise) == pytest.approx(10, abs=0.3)
    assert effective_trials(noise + common) == pytest.approx(5.5, abs=0.3)
    assert effective_trials(np.column_stack([noise, np.zeros(5_000)])) == pytest.approx(11, abs=0.3)
