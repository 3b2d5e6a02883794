"""What anybody could have had: each figure against a plain computation of its own."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from backtest.engine.simulate import simulate
from backtest.evidence.baselines import (
    baselines,
    break_even_bps,
    break_even_words,
    cost_stress,
    costs_times,
    delayed,
    random_entry_test,
)
from tests.support.bars_made import bars_made
from trader.core.hours import Rules
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, Bars, Filters

HOURS = 2_000


@pytest.fixture(scope="module")
def market() -> Bars:
    """A random walk without gaps."""
    return bars_made(HOURS + 50, 11)


def params(**changes: object) -> Params:
    """The documented parameters, limits off."""
    return params_of({**DEFAULT_PARAMS, "halt_cumulative_return": None, "enter_edge": 0.0, **changes}, "test")


def span(market: Bars) -> tuple[int, int]:
    """Hours with a day before them and a bar after them."""
    start = market.first + 30 * HOUR_MS
    return start, start + HOURS * HOUR_MS


def rules(**changes: object) -> Rules:
    """Fine filters, so that rounding is small."""
    return Rules(params(**changes), Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5)))


def signal(market: Bars, start: int, skill: float, seed: int = 1) -> np.ndarray:
    """P(up) that is right with probability `skill`."""
    rng = np.random.default_rng(seed)
    at = market.row(start)
    rose = market.close[at + 1 : at + HOURS + 1] > market.close[at : at + HOURS]
    right = rng.random(HOURS) < skill
    return np.where(rose == right, 0.6, 0.4).astype(np.float32)


def test_rivals_are_what_they_are_called(market: Bars) -> None:
    """Buy and hold follows the close; held exposure is its share of the market; flat is nothing."""
    start, stop = span(market)
    run = simulate(market, signal(market, start, 0.5), rules(), start, stop)
    found = {
        row.name.split(" of ")[0]: row
        for row in baselines(
            market, run.track.target, run.track.p_up.astype(np.float32), rules(), start, stop
        )
    }
    first, last = market.row(start), market.row(stop) - 1
    grown = market.close[last] / market.open[first + 1]
    assert found["buy and hold"].net_return == pytest.approx(grown * 0.999 - 1, abs=2e-3)
    assert (found["flat"].net_return, found["flat"].orders) == (0.0, 0)
    share = np.mean(run.track.target == 1)
    steps = market.close[first + 1 : last + 1] / market.close[first:last] - 1
    assert found["exposure"].net_return == pytest.approx(np.prod(1 + share * steps) - 1)
    assert found["yesterday's sign"].orders is not None
    # The strategy's own signal was given for the naive one: traded by its thresholds, it is the strategy.
    naive = found["naive forecast"]
    assert naive.orders == run.state.ledger.orders > 0
    assert naive.net_return == pytest.approx(float(run.equity[-1]) / 10_000 - 1)


def test_an_oracle_beats_every_lottery_ticket_and_a_coin_does_not(market: Bars) -> None:
    """Same number of entries, same spans: skill is what is left."""
    start, stop = span(market)
    for skill, least, most in ((0.8, 1.0, 1.0), (0.5, 0.02, 0.98)):
        run = simulate(market, signal(market, start, skill), rules(), start, stop)
        found = random_entry_test(market, run.track.target, params(), start, stop, draws=200)
        assert found is not None
        assert least <= found.share_below <= most
        assert found.median_return < 0  # costs


def test_a_strategy_that_never_changes_has_no_lottery(market: Bars) -> None:
    """There is nothing to shuffle."""
    start, stop = span(market)
    assert random_entry_test(market, np.zeros(HOURS, np.int8), params(), start, stop) is None


def test_the_break_even_cost_is_where_the_return_is_nothing(market: Bars) -> None:
    """At that fee a run ends near its allocation; a loser at no cost breaks even at nothing."""
    start, stop = span(market)
    p_up = signal(market, start, 0.62)
    found = break_even_bps(market, p_up, params(), start, stop)
    assert found is not None
    assert found > 1
    at_cost = rules(fee_rate=round(found * 1e-4, 10), half_spread_bps=0, slippage_bps=0)
    end = simulate(market, p_up, at_cost, start, stop).equity[-1]
    assert end == pytest.approx(10_000, rel=5e-3)
    assert break_even_bps(market, signal(market, start, 0.3), params(), start, stop) == 0.0
    assert break_even_bps(market, np.full(HOURS, 0.4, np.float32), params(), start, stop) is None


@pytest.mark.parametrize(
    ("bps", "orders", "words"),
    [(12.34, 5, "12.3 bps"), (None, 2, "above 1,000 bps"), (None, 0, "nothing was traded")],
)
def test_a_gain_at_any_cost_is_not_called_no_trade(bps: float | None, orders: int, words: str) -> None:
    """A strategy that buys once and holds through a rise has no break-even cost below 10 %, and has traded."""
    assert break_even_words(bps, orders) == words


def test_stress_costs_more_and_comes_late(market: Bars) -> None:
    """Twice the costs are twice the parameters; a late signal is the same signal an hour later."""
    start, stop = span(market)
    p_up = signal(market, start, 0.7)
    found = {case.name: case for case in cost_stress(market, p_up, rules(), start, stop)}
    returns = [found[f"costs x {factor}"].net_return for factor in (1, 2, 3)]
    assert returns == sorted(returns, reverse=True)
    assert costs_times(params(), Decimal(2)).fee_rate == Decimal("0.002")
    late = simulate(market, delayed(p_up), rules(), start, stop)
    assert found["one bar late"].net_return == pytest.approx(late.equity[-1] / 10_000 - 1)
    assert found["one bar late"].net_return < returns[0]
    assert np.array_equal(delayed(p_up)[1:], p_up[:-1])
