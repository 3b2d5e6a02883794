"""Shares of a book beside skfolio's, which knows nothing of this project: inverse volatility, and hierarchical risk parity."""

from __future__ import annotations

import numpy as np
import pytest
from skfolio.cluster import HierarchicalClustering, LinkageMethod
from skfolio.distance import PearsonDistance
from skfolio.optimization import HierarchicalRiskParity, InverseVolatility
from skfolio.seriation import HierarchicalSeriation

from trader.core.shares import ShareRule, ShareSettings, hierarchical_risk_parity, shares_at
from trader.core.types import HOUR_MS, Bars, Floats

HOURS, DAY = 720, 24
# Ours are rounded down to 6 decimals; float64 before that differs in its last bits.
ROUNDED, EXACT = 2e-6, 1e-9


def market(seed: int, n: int) -> list[Bars]:
    """n symbols that move together in groups, over the window of shares and the day after it."""
    random = np.random.default_rng(seed)
    hours = HOURS + DAY + 1
    common = random.normal(size=(3, hours))
    moves = random.normal(size=(n, hours)) + common[random.integers(0, 3, n)] * random.uniform(0, 2, (n, 1))
    closes = 100 * np.exp(np.cumsum(moves * random.uniform(0.001, 0.02, (n, 1)), axis=1))
    times = np.arange(1, hours + 1, dtype=np.int64) * HOUR_MS
    calm = np.zeros(hours, np.bool_)
    return [
        Bars(f"S{i:02d}USDT", times, close, close, close, close, np.ones(hours), calm)
        for i, close in enumerate(closes)
    ]


def returns_of(bars: list[Bars]) -> Floats:
    """(HOURS, n) hourly log returns of the window."""
    closes = np.array([it.close[: HOURS + 1] for it in bars])
    result: Floats = np.diff(np.log(closes), axis=1).T
    return result


def ours(bars: list[Bars], rule: ShareRule) -> list[float]:
    """The weights that the book uses at the last hour."""
    told = shares_at(bars, bars[0].last, ShareSettings(rule, HOURS, 10.0, {}))
    return [float(it) for it in told.weights.values()]


def skfolios_hrp() -> HierarchicalRiskParity:
    """As the paper has it: variance, single linkage, leaves as the tree has them."""
    clustering = HierarchicalClustering(linkage_method=LinkageMethod.SINGLE)
    seriation = HierarchicalSeriation(hierarchical_clustering_estimator=clustering, optimal_ordering=False)
    return HierarchicalRiskParity(seriation_estimator=seriation, distance_estimator=PearsonDistance())


@pytest.mark.parametrize("n", [2, 3, 8, 20])
@pytest.mark.parametrize("seed", range(5))
def test_shares_are_skfolios(seed: int, n: int) -> None:
    """Within 2e-6 of the weights that are used, and within 1e-9 of the risk parity before it is rounded."""
    bars = market(seed, n)
    returns = returns_of(bars)
    theirs = InverseVolatility().fit(returns).weights_
    assert ours(bars, "inverse_volatility") == pytest.approx(theirs, abs=ROUNDED)
    parity = skfolios_hrp().fit(returns).weights_
    assert ours(bars, "hrp") == pytest.approx(parity, abs=ROUNDED)
    assert hierarchical_risk_parity(np.cov(returns.T)) == pytest.approx(parity, abs=EXACT)
    assert np.ptp(parity) > 0.001
