"""Replay equals backtest on whatever Hypothesis draws: prices, wrong prints, filters, costs, parameters, outages, halts."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.bars_made import START, bars_made
from tests.support.rig import quick_params
from tests.support.twins import Twins, told
from trader.core.hours import Rules
from trader.core.params import Params, params_of
from trader.core.types import HOUR_MS, Filters, parse_time

HOURS = 48
# Symbol, price in quote, digits after the point.
MARKETS = [("BTCUSDT", 40_000.0, 2), ("SOLUSDT", 30.0, 2), ("XRPUSDT", 0.5, 5), ("SHIBUSDT", 0.00002, 8)]


@st.composite
def params_drawn(draw: st.DrawFn) -> Params:
    """Small models that change their mind; costs from none to heavy; limits that a day can reach."""
    trees = {
        "n_estimators": draw(st.integers(2, 12)),
        "max_depth": draw(st.integers(1, 4)),
        "learning_rate": 0.3,
    }
    choices = {
        "model": {"family": "xgboost", **trees},
        "look_back_days": draw(st.integers(4, 12)),
        "step_days": draw(st.integers(1, 3)),
        "gap_hours": draw(st.integers(1, 5)),
        "enter_edge": draw(st.sampled_from([0.0, 0.01, 0.05])),
        "exit_edge": draw(st.sampled_from([-0.01, 0.0, 0.02])),
        "fee_rate": draw(st.sampled_from([0, 0.001, 0.0075])),
        "fee_discount": draw(st.sampled_from([None, None, 0, 0.25])),
        "half_spread_bps": draw(st.sampled_from([0, 1, 17.5])),
        "slippage_bps": draw(st.sampled_from([0, 1, 30])),
        "allocation_usdt": draw(st.sampled_from([20, 1_234.56, 10_000, 750_000])),
        "cash_buffer": draw(st.sampled_from([0, 0.001, 0.3])),
        "rebalance_band": draw(st.sampled_from([0, 0.05])),
        "halt_cumulative_return": draw(st.sampled_from([None, -0.2, -0.02])),
        "halt_drawdown": draw(st.sampled_from([None, None, 0.01])),
        "price_band": draw(st.sampled_from([None, 0.005, 0.02])),
        "seed": draw(st.integers(0, 5)),
    }
    return params_of(quick_params(**choices), "drawn")


@dataclass(frozen=True)
class Drawn:
    """What makes a market and its rules; small enough to be read when an example fails."""

    market: tuple[str, float, int]
    seed: int
    begins: int
    outages: tuple[tuple[int, int], ...]
    prints: tuple[tuple[int, float], ...]
    rules: Rules

    def twins(self) -> Twins:
        """The bars from the seed, without the outages: (hours after the first traded one, hours without a bar), and with
        closes that are wrong: (hours after the first traded one, times the price)."""
        symbol, price, decimals = self.market
        missing = {self.begins + first + i for first, hours in self.outages for i in range(hours)}
        bars = bars_made(
            self.begins + HOURS + 30,
            self.seed,
            missing=tuple(sorted(missing)),
            symbol=symbol,
            price=price,
            decimals=decimals,
            prints={self.begins + hour: factor for hour, factor in self.prints},
        )
        start = parse_time(START) + self.begins * HOUR_MS
        return Twins(bars, self.rules, start, start + HOURS * HOUR_MS)


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    """Two days somewhere around a month's end, with up to three outages."""
    market = draw(st.sampled_from(MARKETS))
    usual = Filters.derived(market[1])
    filters = Filters(
        tick_size=usual.tick_size * draw(st.sampled_from([1, 100])),
        step_size=draw(
            st.sampled_from([usual.step_size, usual.step_size * 500, Decimal(1), Decimal("1e-8")])
        ),
        min_notional=Decimal(draw(st.sampled_from([1, 5, 100]))),
    )
    outages = draw(st.lists(st.tuples(st.integers(-4, HOURS), st.integers(1, 5)), max_size=3))
    wrong = st.tuples(st.integers(0, HOURS), st.sampled_from([0.5, 3.0, 0.99, 1.02]))
    prints = draw(st.lists(wrong, max_size=4))
    rules = Rules(draw(params_drawn()), filters, freeze_on_halt=draw(st.booleans()))
    return Drawn(
        market,
        draw(st.integers(0, 10_000)),
        draw(st.integers(500, 750)),
        tuple(outages),
        tuple(prints),
        rules,
    )


def told_example(
    outages: tuple[tuple[int, int], ...],
    least: str,
    prints: tuple[tuple[int, float], ...] = (),
    **changes: object,
) -> Drawn:
    """An example that is always among them, so that what is looked for does not hang on what is drawn."""
    params = params_of(quick_params(step_days=2, look_back_days=6, **changes), "told")
    usual = Filters.derived(40_000.0)
    return Drawn(
        MARKETS[0],
        3,
        600,
        outages,
        prints,
        Rules(params, Filters(usual.tick_size, usual.step_size, Decimal(least))),
    )


# Too small an allocation for any order; and outages, wrong prints, costs and a limit that a day reaches.
TOO_SMALL = told_example((), "100", allocation_usdt=20)
TROUBLED = told_example(
    ((5, 3), (20, 1)),
    "5",
    ((2, 0.5), (3, 3.0)),
    fee_rate=0.0075,
    halt_cumulative_return=-0.02,
    price_band=0.02,
)


@pytest.mark.parametrize("examples", [3, pytest.param(24, marks=pytest.mark.long)])
def test_replay_is_the_backtest_on_drawn_markets(examples: int) -> None:
    """Every line is equal, and what was drawn holds what the promise is about: orders, halts, outages, dust."""
    seen: Counter[str] = Counter()

    # Not shrunk: an example is a whole replay, and one that fails is small enough to be read as it is.
    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(drawn())
    @example(TOO_SMALL)
    @example(TROUBLED)
    def compare(market: Drawn) -> None:
        twins = market.twins()
        backtest = twins.backtest()
        with tempfile.TemporaryDirectory() as folder:
            assert twins.replay(Path(folder)) == backtest
        seen.update(told(backtest))

    compare()
    assert seen["orders"] >= 2 * examples, seen
    wanted = ("gap", "venue_closed", "price_band", "dust", "halt", "halted", "hold")
    assert all(seen[reason] for reason in wanted), seen
