"""Figures against their slow twins."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.metrics import hit_rate, hourly_returns, max_drawdown, sharpe

equities = st.lists(st.floats(1, 1e6), max_size=40)


@given(equity=equities, start=st.floats(1, 1e6))
def test_drawdown_equals_its_slow_twin(equity: list[float], start: float) -> None:
    """The worst share lost from any earlier equity, the start among them, found by looking at every pair."""
    path = [start, *equity]
    worst = max((1 - later / path[i] for i in range(len(path)) for later in path[i:]), default=0.0)
    assert max_drawdown(np.array(equity), start) == pytest.approx(max(worst, 0.0), abs=1e-12)


@given(equity=equities, start=st.floats(1, 1e6))
def test_returns_equal_their_slow_twin(equity: list[float], start: float) -> None:
    """Hour by hour against the hour before; together they compound to the whole."""
    returns = hourly_returns(np.array(equity), start)
    path = [start, *equity]
    assert returns.tolist() == [path[i + 1] / path[i] - 1 for i in range(len(equity))]
    if equity:
        assert math.prod(1 + r for r in returns) == pytest.approx(equity[-1] / start)


@given(returns=st.lists(st.floats(-0.5, 0.5), max_size=40))
def test_sharpe_equals_its_slow_twin(returns: list[float]) -> None:
    """Mean over sample deviation, times the root of the hours in a year, by the standard library."""
    got = sharpe(np.array(returns))
    if len(returns) < 2 or statistics.stdev(returns) < 1e-12:
        assert abs(got) < 1e9
    else:
        want = statistics.mean(returns) / statistics.stdev(returns) * math.sqrt(8_760)
        assert got == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_sharpe_agrees_with_an_independent_library() -> None:
    """The reciprocal of SciPy's coefficient of variation (ddof 1), annualised."""
    from scipy.stats import variation

    returns = np.random.default_rng(3).normal(1e-4, 1e-2, 500)
    assert sharpe(returns) == pytest.approx(math.sqrt(8_760) / variation(returns, ddof=1))


def test_no_trade_is_worth_zero() -> None:
    """An equity that stands still has Sharpe 0 and no drawdown, and so has none at all."""
    still = np.full(50, 10_000.0)
    assert sharpe(hourly_returns(still, 10_000.0)) == 0.0
    assert max_drawdown(still, 10_000.0) == 0.0
    assert sharpe(np.zeros(0)) == max_drawdown(np.zeros(0), 1.0) == 0.0


maybe = st.none() | st.floats(0, 1)


@given(rows=st.lists(st.tuples(maybe, st.sampled_from([None, 0.0, 1.0])), max_size=40))
def test_hit_rate_equals_its_slow_twin(rows: list[tuple[float | None, float | None]]) -> None:
    """Of the hours where both are known, those where a half or more met a 1 or less met a 0."""
    hits = [(p >= 0.5) == (y == 1.0) for p, y in rows if p is not None and y is not None]
    p_up = np.array([np.nan if p is None else p for p, _ in rows], dtype=float)
    label = np.array([np.nan if y is None else y for _, y in rows], dtype=float)
    got = hit_rate(p_up, label)
    assert got == (pytest.approx(sum(hits) / len(hits)) if hits else None)
