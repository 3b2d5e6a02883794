"""`simulate` finds its orders; its slow twin visits every hour. Both write the same lines."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine.ideal import simulate_ideal
from backtest.engine.simulate import simulate
from tests.support.bars_made import bars_made
from tests.support.examples import share_of
from tests.support.published_study import simulate_hour_by_hour
from trader.core.errors import ConfigError
from trader.core.hours import Rules, line_text
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import HOUR_MS, Bars, Filters
from trader.core.windows import require_span

HOURS = 300

strategies = st.fixed_dictionaries(
    {
        "enter_edge": st.sampled_from([0.0, 0.004, 0.01, 0.03]),
        "exit_edge": st.sampled_from([-0.02, -0.004, 0.0, 0.004, 0.02]),
        "exposure": st.sampled_from(["long_flat", "long_flat", "long_short"]),
        "fee_rate": st.sampled_from([0, 0.00075, 0.001, 0.02]),
        "fee_discount": st.sampled_from([None, None, 0, 0.25]),
        "half_spread_bps": st.sampled_from([0, 1, 30]),
        "slippage_bps": st.sampled_from([0, 1.5, 40]),
        "allocation_usdt": st.sampled_from([4, 12, 40, 1_000, 10_000.55]),
        "cash_buffer": st.sampled_from([0, 0.001, 0.3]),
        "rebalance_band": st.sampled_from([0, 0.0005, 0.05, 1]),
        "halt_cumulative_return": st.sampled_from([None, -0.005, -0.05, -0.2, -0.9]),
        "halt_drawdown": st.sampled_from([None, 0.01, 0.1]),
        "horizon_hours": st.sampled_from([1, 1, 2, 6, 24]),
        "price_band": st.sampled_from([None, 0.0001, 0.003, 0.02, 0.5]),
    }
)
exchanges = st.builds(
    Filters,
    tick_size=st.sampled_from([Decimal("0.01"), Decimal("0.5")]),
    step_size=st.sampled_from([Decimal("0.00001"), Decimal("0.001")]),
    min_notional=st.sampled_from([Decimal(0), Decimal(5), Decimal(11)]),
    min_qty=st.sampled_from([Decimal(0), Decimal("0.0005")]),
    max_qty=st.sampled_from([None, None, Decimal("0.02")]),
)
# (random bars, their decimals, volatility around the price): long tails leave the quick integers, jumps cross limits.
markets = st.tuples(
    st.integers(0, 10_000), st.sampled_from([0, 2, 12]), st.sampled_from([3.0, 300.0, 30_000.0])
)


def scores(seed: int, spread: float, undefined: float) -> np.ndarray:
    """Random P(up) around a half, some exactly a half, some undefined."""
    random = np.random.default_rng(seed)
    p_up = random.normal(0.5, spread, HOURS).clip(0, 1).astype(np.float32)
    p_up[random.random(HOURS) < 0.05] = 0.5
    p_up[random.random(HOURS) < undefined] = np.nan
    return p_up


def outages(seed: int) -> tuple[int, ...]:
    """Single missing hours and longer ones."""
    random = np.random.default_rng(seed)
    singles = random.integers(1, HOURS + 8, 6)
    first = int(random.integers(1, HOURS))
    return (*singles.tolist(), *range(first, first + int(random.integers(0, 6))))


def wrong_prices(seed: int, many: int) -> dict[str, dict[int, float]]:
    """Prints that are wrong, alone and two or three in a row, and jumps that stay; most beyond every band, some at one."""
    random = np.random.default_rng(seed)
    sizes = np.array([0.5, 3.0, 0.98, 1.02, 1.003, 0.9, 1.6, 0.01])
    firsts, rows = random.integers(1, HOURS + 8, many), random.integers(1, 4, many)
    prints = {
        int(first) + k: float(size)
        for first, n, size in zip(firsts, rows, random.choice(sizes, many), strict=True)
        for k in range(n)
        if first + k < HOURS + 10
    }
    jumps = random.integers(1, HOURS + 8, many // 2).tolist()
    return {
        "prints": prints,
        "jumps": dict(zip(jumps, random.choice(sizes[:7], many).tolist(), strict=False)),
    }


@pytest.mark.parametrize("examples", [25, pytest.param(250, marks=pytest.mark.long)])
def test_the_lines_are_those_of_the_slow_twin(examples: int) -> None:
    """Every line, its bytes, the final state and the equities as floats: equal to one `decide_hour` an hour, over random
    prices, gaps, wrong prints, price bands, probabilities, thresholds, costs, accounts, filters and halts."""
    settings(max_examples=examples)(given(**drawn)(compare_with_the_slow_twin))()


drawn: dict[str, st.SearchStrategy[Any]] = {
    "market": markets,
    "chosen": strategies,
    "filters": exchanges,
    "spread": st.sampled_from([0.002, 0.01, 0.05]),
    "undefined": st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    "freeze": st.booleans(),
    "wrong": st.sampled_from([0, 0, 2, 12]),
}


def compare_with_the_slow_twin(
    market: tuple[int, int, float],
    chosen: dict[str, Any],
    filters: Filters,
    spread: float,
    undefined: float,
    freeze: bool,
    wrong: int,
) -> None:
    """One market under one strategy."""
    seed, decimals, price = market
    odd = wrong_prices(seed, wrong)
    bars = bars_made(
        HOURS + 10,
        seed,
        missing=outages(seed),
        price=price,
        decimals=decimals,
        prints=odd["prints"],
        jumps=odd["jumps"],
    )
    rules = Rules(params_of({**DEFAULT_PARAMS, **chosen}, "a test"), filters, freeze_on_halt=freeze)
    start = bars.first + 3 * HOUR_MS
    stop = start + HOURS * HOUR_MS
    p_up = scores(seed, spread, undefined)
    want, state = simulate_hour_by_hour(bars, p_up, rules, start, stop)
    run = simulate(bars, p_up, rules, start, stop)
    assert run.lines == want
    assert list(run.track.texts()) == [line_text(line) for line in want]
    assert run.state == state
    assert run.equity.tolist() == [float(line.equity) for line in want]


@pytest.mark.parametrize("hours", [2_190, pytest.param(8_760, marks=pytest.mark.long)])
def test_a_year_of_bars_gives_the_lines_of_the_slow_twin(two_symbols: tuple[Bars, Bars], hours: int) -> None:
    """A quarter of each symbol's year, and in the long run all of it, outages and all, at the documented defaults and without a
    halt."""
    for bars in two_symbols:
        start = bars.first + 3_000 * HOUR_MS
        stop = start + hours * HOUR_MS
        p_up = np.random.default_rng(1).normal(0.5, 0.008, hours).astype(np.float32)
        for halt in (-0.2, None):
            params = params_of({**DEFAULT_PARAMS, "halt_cumulative_return": halt}, "a test")
            rules = Rules(params, Filters.derived(float(bars.close[bars.row(start)])))
            want, state = simulate_hour_by_hour(bars, p_up, rules, start, stop)
            run = simulate(bars, p_up, rules, start, stop)
            assert run.lines == want
            assert run.state == state


def test_the_last_hour_may_be_the_last_bar() -> None:
    """Without a bar that opens at it, the venue is shut in the last hour."""
    bars = bars_made(20)
    rules = Rules(params_of(DEFAULT_PARAMS, "x"), Filters.derived(30_000))
    p_up = np.full(20, 0.9, np.float32)
    run = simulate(bars, p_up, rules, bars.first, bars.last + HOUR_MS)
    assert run.lines == simulate_hour_by_hour(bars, p_up, rules, bars.first, bars.last + HOUR_MS)[0]
    assert run.lines[-1].reason == "venue_closed"


def test_a_drawdown_counts_from_a_peak_long_before() -> None:
    """Nothing happens for two thousand hours but a slow rise and a slow fall: the halt is in the hour of the slow twin,
    however far back the peak lies."""
    hours, top = 2_000, 300
    close = np.concatenate([np.linspace(300, 360, top), np.linspace(360, 300, hours + 10 - top)]).round(2)
    bars = bars_made(hours + 10, 1, price=300.0)
    for column in (bars.open, bars.high, bars.low, bars.close):
        column[:] = close
    changes = {"halt_cumulative_return": None, "halt_drawdown": 0.1, "rebalance_band": 1}
    rules = Rules(params_of({**DEFAULT_PARAMS, **changes}, "x"), Filters.derived(300.0))
    p_up = np.full(hours, 0.9, np.float32)
    want, state = simulate_hour_by_hour(bars, p_up, rules, bars.first, bars.first + hours * HOUR_MS)
    run = simulate(bars, p_up, rules, bars.first, bars.first + hours * HOUR_MS)
    halted = [i for i, line in enumerate(want) if line.reason == "halt"]
    assert len(halted) == 1
    assert halted[0] > top + 512
    assert run.lines == want
    assert run.state == state


def test_no_hour_sees_a_later_one() -> None:
    """Other prices and probabilities after an hour change no line up to it."""
    bars, other = bars_made(200, 1), bars_made(200, 2)
    rules = Rules(params_of({**DEFAULT_PARAMS, "enter_edge": 0.002}, "x"), Filters.derived(30_000))
    p_up, p_other = scores(1, 0.01, 0.0)[:150], scores(2, 0.01, 0.0)[:150]
    for cut in (1, 40, 99, 149):
        mixed = bars.rows(0, cut + 1).then(other.rows(cut + 1, 200))
        # The bar that opens at the hour is known by its open alone.
        mixed.open[cut + 1] = bars.open[cut + 1]
        p_mixed = np.concatenate((p_up[: cut + 1], p_other[cut + 1 :]))
        stop = bars.first + 150 * HOUR_MS
        lines = simulate(mixed, p_mixed, rules, bars.first, stop).lines
        assert lines[: cut + 1] == simulate(bars, p_up, rules, bars.first, stop).lines[: cut + 1]


@given(
    seed=st.integers(0, 10_000),
    fee=st.sampled_from([0, 0.001]),
    discount=st.sampled_from([None, 0.25]),
    edge=st.sampled_from([0.0, 0.005]),
    horizon=st.sampled_from([1, 1, 5]),
    band=st.sampled_from([None, None, 0.02, 0.2]),
)
@settings(max_examples=share_of(60))
def test_the_exact_account_stays_near_the_ideal_one(
    seed: int, fee: float, discount: float | None, edge: float, horizon: int, band: float | None
) -> None:
    """Ticks, steps, buffers and fees in base move the equity by less than, for each order, two ticks of the price, one
    step's worth of cash in the market, the square of the fee, and eight decimals. Under a price band both pass over wrong
    prints in the same hours."""
    honest = bars_made(HOURS + 10, seed, missing=outages(seed))
    prints = wrong_prices(seed, 6)["prints"] if band else {}
    bars = bars_made(HOURS + 10, seed, missing=outages(seed), prints=prints)
    changes = {"fee_rate": fee, "enter_edge": edge, "halt_cumulative_return": None, "horizon_hours": horizon}
    changes |= {"price_band": band, "fee_discount": discount}
    rules = Rules(params_of({**DEFAULT_PARAMS, **changes}, "a test"), Filters.derived(30_000.0))
    start = bars.first + 3 * HOUR_MS
    p_up = scores(seed, 0.01, 0.02)
    exact = simulate(bars, p_up, rules, start, start + HOURS * HOUR_MS)
    ideal = simulate_ideal(bars, p_up, rules.params, start, start + HOURS * HOUR_MS)
    orders = [i for i, line in enumerate(exact.lines) if line.order_side]
    assert orders == ideal.orders.tolist()
    lowest, highest = float(honest.low.min()), float(honest.high.max())
    each = 2 * 0.01 / lowest + fee**2 + 1e-8 + 2 * (0.00001 * highest) / 10_000
    moved = highest / lowest
    bound = 10_000 * moved * each * (len(orders) + 1)
    assert np.abs(exact.equity - ideal.equity).max() <= bound


def test_the_ideal_account_refuses_to_go_short() -> None:
    """It is a yardstick for what the bot can hold."""
    bars = bars_made(20)
    params = params_of({**DEFAULT_PARAMS, "exposure": "long_short"}, "x")
    with pytest.raises(ConfigError, match="long or flat, not 'long_short'"):
        simulate_ideal(bars, np.full(5, 0.5, np.float32), params, bars.first, bars.first + 5 * HOUR_MS)


def test_an_ideal_account_by_hand() -> None:
    """Buy 9,990 / (price x 1.001) at the first call, sell it at the first call to leave: plain floats."""
    bars = bars_made(12)
    params = params_of({**DEFAULT_PARAMS, "half_spread_bps": 0, "slippage_bps": 0}, "x")
    p_up = np.array([0.5, 0.6, 0.6, 0.505, 0.4, 0.4], np.float32)
    got = simulate_ideal(bars, p_up, params, bars.first, bars.first + 6 * HOUR_MS)
    units = 9_990 / (bars.open[2] * 1.001)
    cash = 10 + units * bars.open[5] * 0.999
    want = [10_000, *(10 + units * bars.close[i] for i in (1, 2, 3)), cash, cash]
    assert got.orders.tolist() == [1, 4]
    np.testing.assert_allclose(got.equity, want, rtol=1e-12)


def test_hours_outside_the_bars_are_refused() -> None:
    """The message says which hours there are."""
    bars = bars_made(20)
    with pytest.raises(ConfigError, match=r"need bars that close from .* made holds 2021-01-01T01:00:00Z to"):
        require_span(bars, bars.first - HOUR_MS, bars.last, "made")
    with pytest.raises(ConfigError, match="must be later than"):
        require_span(bars, bars.last, bars.last, "made")
    require_span(bars, bars.first, bars.last, "made")
