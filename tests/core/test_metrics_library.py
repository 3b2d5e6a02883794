"""The figures of a run against an independent library's, to 1e-9."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from trader.core.metrics import HOURS_PER_YEAR, hourly_returns, max_drawdown, sharpe


@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_empyrical(seed: int) -> None:
    """Sharpe ratio, drawdown and compounded return of a year of hours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empyrical
    rng = np.random.default_rng(seed)
    equity = np.asarray(10_000 * np.cumprod(1 + rng.normal(1e-5, 0.006, 8_760)), np.float64)
    returns = hourly_returns(equity, 10_000.0)
    assert sharpe(returns) == pytest.approx(
        empyrical.sharpe_ratio(returns, annualization=HOURS_PER_YEAR), abs=1e-9
    )
    assert max_drawdown(equity, 10_000.0) == pytest.approx(-empyrical.max_drawdown(returns), abs=1e-9)
    assert equity[-1] / 10_000 - 1 == pytest.approx(empyrical.cum_returns_final(returns), abs=1e-9)
