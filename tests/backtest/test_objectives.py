"""What a study maximises, each beside its slow twin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from backtest.engine.ideal import halted, quotes, signals, simulate_ideal
from backtest.engine.simulate import simulate
from backtest.study.objectives import (
    annualised,
    net_value,
    next_moves,
    objective_named,
    sides_of,
    sum_of_returns,
)
from tests.support.bars_made import bars_made
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, Filters


def params(**changes: Any) -> Params:
    """The documented defaults, changed."""
    return params_of({**DEFAULT_PARAMS, **changes}, "a test")


def test_sides_are_signed_and_kept_where_nothing_can_be_traded() -> None:
    """Long 1, short -1: an hour without a prediction, or that cannot be traded, keeps the side of the one before."""
    p_up = np.array([0.5, 0.52, np.nan, 0.48, 0.48, 0.5, 0.5], np.float32)
    tradable = np.array([True, True, True, False, True, True, True])
    both = params(enter_edge=0.01, exit_edge=0.0, exposure="long_short")
    assert sides_of(p_up, both, tradable).tolist() == [0, 1, 1, 1, -1, 0, 0]
    assert sides_of(p_up, params(), tradable).tolist() == [0, 1, 1, 1, 0, 0, 0]


def test_sum_of_returns_adds_up_the_moves_that_follow() -> None:
    """A long hour gains the next close over this one, a short hour loses it, a hole is worth nothing."""
    bars = bars_made(400, 1, missing=(150,))
    start, hours = bars.first + 100 * HOUR_MS, 200
    sides = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], hours)
    wanted = 0.0
    for i, side in enumerate(sides):
        here, after = 100 + i, 101 + i
        if not bars.flagged[here] and not bars.flagged[after]:
            wanted += side * (bars.close[after] - bars.close[here]) / bars.close[here]
    assert sum_of_returns(sides, next_moves(bars, start, hours)) == pytest.approx(wanted, abs=1e-12)


def test_net_return_and_calmar_by_hand() -> None:
    """A gain of 5 % over a year with a fall from 110 to 88 on the way: 0.05, and 0.05 over 0.2."""
    equity = np.full(8_760, 110.0)
    equity[4_000:5_000], equity[5_000:] = 88.0, 105.0
    assert net_value("net_return", equity, Decimal(100)) == pytest.approx(0.05)
    assert net_value("calmar", equity, Decimal(100)) == pytest.approx(0.05 / 0.2)
    assert annualised(0.21, 2 * 8_760) == pytest.approx(0.1)


@pytest.mark.parametrize("objective", ["net_sharpe", "net_return", "calmar"])
def test_no_trade_is_worth_zero(objective: Any) -> None:
    """In each net objective."""
    assert net_value(objective, np.full(500, 10_000.0), Decimal(10_000)) == 0.0


@pytest.mark.parametrize("limits", [{"halt_cumulative_return": -0.1}, {"halt_drawdown": 0.08}])
def test_a_halted_ideal_account_ends_where_the_exact_one_does(limits: dict[str, float]) -> None:
    """Within half a percent, after dear trading has reached the limit."""
    bars = bars_made(1_500, 3)
    start, hours = bars.first + 200 * HOUR_MS, 1_000
    stop = start + hours * HOUR_MS
    chosen = params(**{"enter_edge": 0.0, **limits})
    p_up = np.random.default_rng(2).uniform(0.4, 0.6, hours).astype(np.float32)
    rules = Rules(chosen, Filters.derived(float(bars.close[200])))
    exact = simulate(bars, p_up, rules, start, stop)
    ideal = simulate_ideal(bars, p_up, chosen, start, stop)
    told = signals(quotes(bars, chosen, start, stop), p_up, chosen)
    assert exact.state.risk.halted_at is not None
    assert halted(ideal, told, chosen)[-1] == pytest.approx(exact.equity[-1], rel=5e-3)
    never = params(halt_cumulative_return=None)
    assert halted(ideal, told, never) is ideal.equity


def test_an_objective_by_its_earlier_name_is_the_same() -> None:
    """`gross_return` was a sum; anything else is refused with what there is."""
    assert objective_named("gross_return") == objective_named("sum_of_returns") == "sum_of_returns"
    with pytest.raises(ConfigError, match=r"--objective sharpe is not known\. Choose one of: net_sharpe, "):
        objective_named("sharpe")
