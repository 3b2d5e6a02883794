"""From quantiles to P(up): beside a slow twin that reads the rule sentence by sentence."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.forecast import LEVELS, interval, normal_forecast, probability_above


def twin(quantiles: list[float], hurdle: float) -> float:
    """1 - F(hurdle), as it is written."""
    q, a = sorted(quantiles), list(LEVELS)
    if hurdle < q[0]:
        b = (q[1] - q[0]) / math.log(a[1] / a[0])
        return 1 - (a[0] * math.exp((hurdle - q[0]) / b) if b > 0 else 0.0)
    if hurdle >= q[-1]:
        b = (q[-1] - q[-2]) / math.log((1 - a[-2]) / (1 - a[-1]))
        return (1 - a[-1]) * math.exp((q[-1] - hurdle) / b) if b > 0 else 0.0
    i = max(k for k, value in enumerate(q) if value <= hurdle)
    return 1 - (a[i] + (a[i + 1] - a[i]) * (hurdle - q[i]) / (q[i + 1] - q[i]))


VALUES = st.floats(-0.2, 0.2, allow_nan=False).map(lambda value: round(value, 3))


@given(quantiles=st.lists(VALUES, min_size=7, max_size=7), hurdle=VALUES)
def test_the_share_above_a_hurdle_is_the_twins(quantiles: list[float], hurdle: float) -> None:
    """Sorted, linear between, exponential beyond, a step where quantiles are equal; a tie is not up."""
    found = probability_above(np.array([quantiles, [0.0] * 7]), hurdle)[0]
    assert found == pytest.approx(twin(quantiles, hurdle), abs=1e-12)
    assert 0 <= found <= 1


@given(quantiles=st.lists(VALUES, min_size=7, max_size=7), low=VALUES, high=VALUES)
def test_a_higher_hurdle_is_passed_no_more_often(quantiles: list[float], low: float, high: float) -> None:
    """F never falls."""
    first, second = sorted((low, high))
    rows = np.array([quantiles])
    assert probability_above(rows, first)[0] >= probability_above(rows, second)[0] - 1e-12


def test_a_worked_example() -> None:
    """The median is passed half the time; a tenth beyond the last quantile the tail has fallen as it should."""
    rows = np.array([[-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03]])
    assert probability_above(rows, 0.0)[0] == 0.5
    assert probability_above(rows, 0.005)[0] == pytest.approx(0.375)
    b = 0.01 / math.log(0.1 / 0.025)
    assert probability_above(rows, 0.04)[0] == pytest.approx(0.025 * math.exp(-0.01 / b))
    assert probability_above(rows, -0.04)[0] == pytest.approx(1 - 0.025 * math.exp(-0.01 / b))


def test_a_distribution_of_one_value_is_a_step() -> None:
    """At the value itself it is not up; a hair below it surely is."""
    rows = np.zeros((1, 7))
    assert probability_above(rows, 0.0)[0] == 0.0
    assert probability_above(rows, -1e-9)[0] == 1.0


def test_what_is_unknown_has_no_probability() -> None:
    """One missing quantile is enough."""
    rows = np.zeros((2, 7))
    rows[1, 3] = np.nan
    assert np.isnan(probability_above(rows, 0.1)).tolist() == [False, True]


def test_an_interval_is_read_at_its_levels() -> None:
    """Half of all returns lie between the quartiles; a level that is not kept is refused."""
    rows = np.arange(14.0).reshape(2, 7)
    assert [ends.tolist() for ends in interval(rows, 0.5)] == [[2.0, 9.0], [4.0, 11.0]]
    assert [ends.tolist() for ends in interval(rows, 0.95)] == [[0.0, 7.0], [6.0, 13.0]]
    with pytest.raises(ValueError, match=r"no interval of 0\.99"):
        interval(rows, 0.99)


def test_a_normal_forecast_is_the_normal_distribution() -> None:
    """Quantiles and P(up) beside the standard library's; a certain return that equals the hurdle is not above it."""
    mean, deviation = np.array([[0.001, 0.002], [0.0, 0.0]]), np.array([[0.01, 0.02], [0.0, 0.0]])
    told = normal_forecast(mean, deviation, 2, 0.001)
    assert told.quantiles is not None
    known = NormalDist(0.002, 0.02)
    assert np.allclose(told.quantiles[0, 1], [known.inv_cdf(level) for level in LEVELS], rtol=0, atol=1e-12)
    assert told.p_up[0] == np.float32(1 - known.cdf(np.log1p(0.001)))
    assert told.p_up[1] == 0
    assert normal_forecast(mean[1:], deviation[1:], 1, 0.0).p_up[0] == 0
    assert np.isnan(normal_forecast(mean * np.nan, deviation, 1, 0.0).p_up).all()
