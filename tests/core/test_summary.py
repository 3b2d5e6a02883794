"""The summary against slow twins: gross, buy and hold, hit rate; and from lines as from columns."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine.outcome import summary_of_run
from backtest.engine.simulate import Run, simulate
from tests.support.bars_made import bars_made
from tests.support.examples import share_of
from trader.core.costs import commission, quote_at
from trader.core.hours import HourLine, Rules
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.summary import SUMMARY_KEYS, summarise
from trader.core.trades import trades_of
from trader.core.types import HOUR_MS, Bars, Filters

GAPS = (40, 41, 97, 150, 151, 152)
BARS = bars_made(400, 8, missing=GAPS)
START, STOP = BARS.first + 10 * HOUR_MS, BARS.last - 5 * HOUR_MS
FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))


def run_of(seed: int, **changes: Any) -> tuple[Run, Rules]:
    """A simulated run over random probabilities."""
    rules = Rules(params_of({**DEFAULT_PARAMS, "enter_edge": 0.005, **changes}, "a test"), FILTERS)
    p_up = np.random.default_rng(seed).normal(0.5, 0.01, (STOP - START) // HOUR_MS).astype(np.float32)
    return simulate(BARS, p_up, rules, START, STOP), rules


def summary(run: Run, rules: Rules, bars: Bars = BARS) -> dict[str, Any]:
    """Its summary from columns."""
    return summary_of_run(run, bars, rules, seconds=1.5)


def gross_twin(lines: list[HourLine], rules: Rules) -> Decimal:
    """Hour by hour: where the target is not what is held, all cash but the buffer buys at the next open, or all is
    sold at it; no fee, no spread, quantities on the step."""
    cash, position, close = rules.params.allocation_usdt, Decimal(0), Decimal(0)
    for i, line in enumerate(lines):
        row = BARS.row(START) + i
        close = Decimal(repr(float(BARS.close[row])))
        opened = Decimal(repr(float(BARS.open[row + 1])))
        long = position * close >= 5
        if BARS.flagged[row] or BARS.flagged[row + 1] or long == (line.target == "long"):
            continue
        if long:
            qty = position // FILTERS.step_size * FILTERS.step_size
            cash, position = cash + qty * opened, position - qty
        else:
            qty = cash * Decimal("0.999") // (opened * FILTERS.step_size) * FILTERS.step_size
            cash, position = cash - qty * opened, position + qty
    return cash + position * close


@given(seed=st.integers(0, 10_000), halt=st.sampled_from([None, -0.02, -0.2]))
@settings(max_examples=share_of(30))
def test_gross_equals_its_slow_twin(seed: int, halt: float | None) -> None:
    """The same targets at zero cost, compounded."""
    run, rules = run_of(seed, halt_cumulative_return=halt)
    want = gross_twin(run.lines, rules) / rules.params.allocation_usdt - 1
    assert summary(run, rules)["gross_return"] == float(want)


def test_buy_and_hold_equals_its_slow_twin() -> None:
    """One BUY at the first hour's fill with its commission, marked at the last close."""
    run, rules = run_of(1)
    costs, opened = rules.params.costs, Decimal(repr(float(BARS.open[BARS.row(START) + 1])))
    ask = quote_at(opened, costs, FILTERS.tick_size).ask
    price = (ask * Decimal("1.0001")).quantize(FILTERS.tick_size, ROUND_CEILING)
    qty = Decimal(9_990) // (price * FILTERS.step_size) * FILTERS.step_size
    held = qty - commission("BUY", qty, price, costs.fee_rate)
    last = Decimal(repr(float(BARS.close[BARS.row(STOP) - 1])))
    want = (10_000 - qty * price + held * last) / 10_000 - 1
    assert summary(run, rules)["buy_and_hold"] == float(want)


def test_hit_rate_counts_hours_whose_next_close_is_known() -> None:
    """Line by line: P(up) given, this and the next hour genuine; a half or more is a call for up."""
    run, rules = run_of(2)
    hits = []
    for i, line in enumerate(run.lines):
        row = BARS.row(START) + i
        if line.p_up is None or BARS.flagged[row] or BARS.flagged[row + 1]:
            continue
        hits.append((line.p_up >= 0.5) == bool(BARS.close[row + 1] > BARS.close[row]))
    assert summary(run, rules)["hit_rate"] == pytest.approx(sum(hits) / len(hits), abs=1e-15)


def test_a_prediction_counts_only_once_its_outcome_is_known() -> None:
    """Cut off at the run's last hour, as a bot's own totals are, the hit rate is that of all lines but the last one."""
    run, rules = run_of(2)
    ledger, last = run.state.ledger, run.lines[-1].close_time
    told: dict[str, Any] = {
        "orders": ledger.orders,
        "fills": ledger.fills,
        "trades": [],
        "halted_at": None,
        "seconds": 0.0,
    }
    cut = summarise(run.lines, BARS, rules, **told, known_until=last)
    shorter = summarise(run.lines[:-1], BARS, rules, **told)
    assert cut["hit_rate"] == shorter["hit_rate"] != summary(run, rules)["hit_rate"]


@given(seed=st.integers(0, 10_000), fee=st.sampled_from([0, 0.001, 0.01]))
@settings(max_examples=share_of(20))
def test_written_lines_give_the_summary_of_their_columns(seed: int, fee: float) -> None:
    """Read back from its lines, as replay does, a run has the very same figures."""
    run, rules = run_of(seed, fee_rate=fee)
    ledger = run.state.ledger
    from_columns = summary(run, rules)
    from_lines = summarise(
        run.lines,
        BARS,
        rules,
        orders=ledger.orders,
        fills=ledger.fills,
        trades=trades_of(run.track.fills(), FILTERS.min_notional),
        halted_at=from_columns["halted_at"],
        seconds=1.5,
    )
    assert from_lines == from_columns
    assert tuple(from_columns) == SUMMARY_KEYS


def test_the_figures_of_a_run_agree_with_its_lines() -> None:
    """Hours, orders, fees, final equity and net return, counted again from the lines."""
    run, rules = run_of(3)
    got = summary(run, rules)
    orders = [line for line in run.lines if line.order_side]
    assert (got["hours"], got["orders"], got["fills"]) == (len(run.lines), len(orders), len(orders))
    assert Decimal(got["fees_usdt"]) == sum(line.fee for line in run.lines)
    assert Decimal(got["final_equity_usdt"]) == run.lines[-1].equity
    assert got["net_return"] == pytest.approx(float(run.lines[-1].equity) / 10_000 - 1)


def test_costs_never_help() -> None:
    """Net is not above gross for the same targets."""
    for seed in range(5):
        got = summary(*run_of(seed, halt_cumulative_return=None))
        assert got["net_return"] < got["gross_return"]


def test_a_run_without_hours_has_zeros() -> None:
    """Nothing was done and nothing was lost."""
    _, rules = run_of(1)
    got = summarise([], BARS, rules, orders=0, fills=0, trades=[], halted_at=None, seconds=0.0)
    assert (got["hours"], got["net_return"], got["gross_return"], got["hit_rate"]) == (0, 0.0, 0.0, None)
    assert got["final_equity_usdt"] == "10000"
