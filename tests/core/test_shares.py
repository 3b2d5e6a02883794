"""Shares of a book: each rule beside an independent twin, caps, rounding, and what they may see."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from tests.support.bars_made import bars_made
from tests.support.examples import share_of
from trader.core.errors import DataError
from trader.core.lookahead import poisoned
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.shares import (
    ShareRule,
    ShareSettings,
    hierarchical_risk_parity,
    shares_at,
    single_linkage_order,
)
from trader.core.types import HOUR_MS, Bars, Floats

RULES: tuple[ShareRule, ...] = ("equal", "inverse_volatility", "volatility_target", "hrp")
WINDOW, DAY = 100, 24
BARS = [bars_made(200, i + 1, symbol=f"S{i}USDT", price=10.0 * 7**i) for i in range(4)]
HOUR = BARS[0].close_time[150].item()


def asked(rule: ShareRule, caps: dict[str, str] | None = None, target: float = 0.4) -> ShareSettings:
    """Settings over WINDOW hours."""
    return ShareSettings(rule, WINDOW, target, {name: Decimal(it) for name, it in (caps or {}).items()})


def returns_of(bars: list[Bars], hour: int) -> Floats:
    """(symbols, WINDOW) log returns up to a day before the hour, by name."""
    rows = [it.row(hour) - DAY for it in bars]
    closes = [it.close[row - WINDOW : row + 1] for it, row in zip(bars, rows, strict=True)]
    return np.diff(np.log(closes), axis=1)


def drawn(seed: int, n: int, hours: int = 200) -> Floats:
    """A covariance (n, n) of returns that move together in groups."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(3, hours))
    returns = random.normal(size=(n, hours)) + common[random.integers(0, 3, n)] * random.uniform(0, 2, (n, 1))
    covariance: Floats = np.cov(returns * random.uniform(0.1, 5, (n, 1)))
    return covariance.reshape(n, n)


def distance_of(covariance: Floats) -> Floats:
    """As the paper has it."""
    deviation = np.sqrt(np.diag(covariance))
    distance: Floats = np.sqrt((1 - np.clip(covariance / np.outer(deviation, deviation), -1, 1)) / 2)
    np.fill_diagonal(distance, 0)
    return distance


@settings(max_examples=share_of(60))
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12))
def test_the_leaves_are_those_of_scipys_tree(seed: int, n: int) -> None:
    """Single linkage joins the same clusters, each of which is one run of leaves, and draws the same branch left."""
    distance = distance_of(drawn(seed, n))
    order = single_linkage_order(distance)
    tree = linkage(squareform(distance, checks=False), "single")
    assert sorted(order) == list(range(n))
    members: dict[int, set[int]] = {i: {i} for i in range(n)}
    for i, (a, b, *_) in enumerate(tree):
        members[n + i] = members[int(a)] | members[int(b)]
        places = sorted(order.index(leaf) for leaf in members[n + i])
        assert places == list(range(places[0], places[0] + len(places)))
    assert order == leaves_list(tree).tolist()


def test_ties_go_to_the_first_symbol() -> None:
    """Equal distances join in alphabetical order, on every machine."""
    assert single_linkage_order(np.ones((4, 4)) - np.eye(4)) == [0, 1, 2, 3]
    assert single_linkage_order(np.zeros((1, 1))) == [0]


def slow_hrp(covariance: Floats) -> Floats:
    """Recursive bisection as the paper writes it, over scipy's leaves."""
    leaves = leaves_list(linkage(squareform(distance_of(covariance), checks=False), "single")).tolist()
    weights = np.ones(len(covariance))

    def variance(part: list[int]) -> float:
        inverse = np.linalg.inv(np.diag(np.diag(covariance[np.ix_(part, part)])))
        held = np.diag(inverse) / np.trace(inverse)
        return float(held @ covariance[np.ix_(part, part)] @ held)

    def bisect(part: list[int]) -> None:
        if len(part) > 1:
            left, right = part[: len(part) // 2], part[len(part) // 2 :]
            alpha = 1 - variance(left) / (variance(left) + variance(right))
            weights[left] *= alpha
            weights[right] *= 1 - alpha
            bisect(left)
            bisect(right)

    bisect(leaves)
    return weights


@settings(max_examples=share_of(60))
@given(seed=st.integers(0, 10_000), n=st.integers(2, 10))
def test_hierarchical_risk_parity_is_the_papers(seed: int, n: int) -> None:
    """Equal to a recursion over scipy's leaves; all weights are positive and add up to 1."""
    covariance = drawn(seed, n)
    weights = hierarchical_risk_parity(covariance)
    assert weights == pytest.approx(slow_hrp(covariance))
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()


def test_each_rule_is_its_formula() -> None:
    """Equal parts; parts by the inverse deviation of hourly log returns; the same scaled down to a volatility; of numpy's."""
    returns = returns_of(BARS, HOUR)
    inverse = 1 / returns.std(axis=1, ddof=1)
    inverse /= inverse.sum()
    volatility = float((inverse @ returns).std(ddof=1)) * HOURS_PER_YEAR**0.5
    want = {
        "equal": np.full(4, 0.25),
        "inverse_volatility": inverse,
        "volatility_target": inverse * min(1, 0.1 / volatility),
        "hrp": slow_hrp(np.cov(returns)),
    }
    assert volatility > 0.1
    for rule in RULES:
        told = shares_at(BARS, HOUR, asked(rule, target=0.1))
        assert [float(it) for it in told.weights.values()] == pytest.approx(want[rule], abs=2e-6), rule


@settings(max_examples=share_of(40))
@given(
    rule=st.sampled_from(RULES),
    hour=st.integers(130, 199),
    caps=st.dictionaries(
        st.sampled_from([it.symbol for it in BARS]), st.sampled_from(["0.3", "0.05", "0.9"])
    ),
)
def test_shares_are_six_decimals_within_their_caps_and_never_more_than_all(
    rule: ShareRule, hour: int, caps: dict[str, str]
) -> None:
    """Alphabetical, whatever the order of the bars; what a cap cuts off goes to the others as far as theirs allow."""
    at = BARS[0].close_time[hour].item()
    told = shares_at(BARS, at, asked(rule, caps))
    assert told == shares_at(BARS[::-1], at, asked(rule, caps))
    assert list(told.weights) == sorted(told.weights)
    for symbol, weight in told.weights.items():
        assert 0 <= weight <= Decimal(caps.get(symbol, "1"))
        assert weight == weight.quantize(Decimal("0.000001"))
    total, free = sum(told.weights.values()), shares_at(BARS, at, asked(rule))
    assert total <= 1
    most = sum(Decimal(caps.get(it.symbol, "1")) for it in BARS)
    if rule != "volatility_target":
        assert float(total) == pytest.approx(float(min(most, sum(free.weights.values()))), abs=1e-5)


def test_the_newest_day_is_not_seen() -> None:
    """With everything after T - 24 h poisoned the shares and their hash stay; one close before it changes both."""
    for rule in RULES[1:]:
        told = shares_at(BARS, HOUR, asked(rule))
        row = BARS[1].row(HOUR) - DAY
        later = [BARS[0], poisoned(BARS[1], row + 1), *BARS[2:]]
        assert shares_at(later, HOUR, asked(rule)) == told
        other = shares_at([BARS[0], poisoned(BARS[1], row), *BARS[2:]], HOUR, asked(rule))
        assert other.bars_hash != told.bars_hash != ""


def still(bars: Bars) -> Bars:
    """The same symbol, whose close never moves."""
    columns: dict[str, Any] = {name: np.full(len(bars), 5.0) for name in ("open", "high", "low", "close")}
    return Bars(bars.symbol, bars.close_time, volume=bars.volume, flagged=bars.flagged, **columns)


def test_a_symbol_that_does_not_move_gets_nothing() -> None:
    """It is delisted or its exchange was closed: the others share as without it, and where nothing moves nobody gets any."""
    for rule in RULES[1:]:
        told = shares_at([*BARS[:3], still(BARS[3])], HOUR, asked(rule)).weights
        assert told[BARS[3].symbol] == 0
        assert list(told.values())[:3] == list(shares_at(BARS[:3], HOUR, asked(rule)).weights.values())
        assert set(shares_at([still(it) for it in BARS], HOUR, asked(rule)).weights.values()) == {Decimal(0)}


def test_too_few_bars_are_said_with_the_way_out() -> None:
    """Bars that begin too late, and bars that end before the window does."""
    first = BARS[0].first + (WINDOW + DAY - 1) * HOUR_MS
    with pytest.raises(
        DataError, match=r"S0USDT: its share is computed from the 101 bars up to .*begin the book later"
    ):
        shares_at(BARS, first, asked("hrp"))
    assert shares_at(BARS, first + HOUR_MS, asked("hrp"))
    with pytest.raises(DataError, match="S3USDT: its share"):
        shares_at([*BARS[:3], BARS[3].until(HOUR - 25 * HOUR_MS)], HOUR, asked("hrp"))
