"""Trades: worked examples the eye can check, and the figures against slow twins."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine.outcome import summary_of_run
from backtest.engine.simulate import Run, simulate
from tests.support.bars_made import bars_made
from tests.support.examples import share_of
from trader.core.hours import HourLine, Rules
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.trades import TRADE_KEYS, Trade, TradeFigures, trades_of
from trader.core.types import HOUR_MS, Fill, Filters, PaidIn, Side, parse_hour

BARS = bars_made(400, 8, missing=(40, 41, 97))
START, STOP = BARS.first + 10 * HOUR_MS, BARS.last - 5 * HOUR_MS
FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))
NOON = parse_hour("2022-01-01T12:00Z")


def fill(side: Side, qty: str, price: str, fee: str = "0", paid_in: PaidIn = "quote") -> Fill:
    """An execution."""
    return Fill(side, Decimal(price), Decimal(qty), Decimal(fee), paid_in)


def told(*fills: tuple[int, Fill]) -> list[Trade]:
    """Trades of fills so many hours after noon."""
    return trades_of([(NOON + after * HOUR_MS, one) for after, one in fills], Decimal(5))


def test_a_round_trip_is_one_trade() -> None:
    """Bought 2 at 100, sold at 110 three hours later: 20 less the fees, 0.2 taken in USDT and 0.002 in what was bought."""
    (trade,) = told((0, fill("BUY", "2", "100", "0.002", "base")), (3, fill("SELL", "1.998", "110", "0.2")))
    assert trade.as_json() == {
        "entry_time": "2022-01-01T12:00:00Z",
        "exit_time": "2022-01-01T15:00:00Z",
        "side": "long",
        "quantity": "2",
        "entry_price": "100",
        "exit_price": "110",
        "fees_usdt": "0.4",
        "net_profit_usdt": "19.58",
        "holding_hours": 3,
    }
    assert tuple(trade.as_json()) == TRADE_KEYS


def test_what_is_bought_in_parts_and_sold_in_parts_is_one_trade() -> None:
    """It begins with the first part, ends with the last, and its prices are averages by quantity."""
    (trade,) = told(
        (0, fill("BUY", "1", "100")), (1, fill("BUY", "3", "104")),
        (5, fill("SELL", "2", "110")), (6, fill("SELL", "2", "111")),
    )  # fmt: skip  # in, then out
    assert (trade.quantity, trade.entry_price, trade.exit_price) == (4, 103, Decimal("110.5"))
    assert (trade.net_profit_usdt, trade.holding_hours) == (30, 6)


def test_dust_ends_a_trade_and_is_counted_in_the_next() -> None:
    """0.01 that is left at 100 is worth 1 and cannot be sold: the trade is over, and the rest belongs to the account."""
    first, second = told(
        (0, fill("BUY", "1", "100")), (1, fill("SELL", "0.99", "100")),
        (4, fill("BUY", "1", "200")), (5, fill("SELL", "1.01", "300")),
    )  # fmt: skip  # one trade a line
    assert (first.net_profit_usdt, first.exit_time) == (0, NOON + HOUR_MS)
    assert second.net_profit_usdt == Decimal("101")


def test_a_fill_that_turns_the_side_ends_one_trade_and_begins_the_next() -> None:
    """Sold 3 while 1 is held: a long of 1 ends, a short of 2 begins, and the fee is divided by quantity."""
    long, short = told(
        (0, fill("BUY", "1", "100")),
        (2, fill("SELL", "3", "110", "0.3")),
        (3, fill("BUY", "2", "90")),
    )
    assert (long.side, long.net_profit_usdt, long.fees_usdt) == ("long", Decimal("9.9"), Decimal("0.1"))
    assert (short.side, short.quantity, short.fees_usdt) == ("short", 2, Decimal("0.2"))
    assert (short.net_profit_usdt, short.holding_hours) == (Decimal("39.8"), 1)


def test_what_is_still_held_is_listed_and_not_counted() -> None:
    """The last trade has no exit; the figures are those of the one before it."""
    trades = told((0, fill("BUY", "1", "100")), (2, fill("SELL", "1", "101")), (4, fill("BUY", "1", "100")))
    assert trades[-1].exit_time is trades[-1].net_profit_usdt is trades[-1].holding_hours is None
    assert TradeFigures.of(trades) == TradeFigures.of(trades[:1]) == TradeFigures(1, 1.0, None, 2.0)


def test_nothing_traded_has_no_figures() -> None:
    """No trade is neither won nor lost."""
    assert TradeFigures.of([]) == TradeFigures(0, None, None, None)


def run_of(seed: int, **changes: Any) -> tuple[Run, Rules]:
    """A simulated run over random probabilities."""
    rules = Rules(params_of({**DEFAULT_PARAMS, "enter_edge": 0.005, **changes}, "a test"), FILTERS)
    p_up = np.random.default_rng(seed).normal(0.5, 0.01, (STOP - START) // HOUR_MS).astype(np.float32)
    return simulate(BARS, p_up, rules, START, STOP), rules


def twin(lines: list[HourLine]) -> list[tuple[int, Decimal]]:
    """Hours held and net profit of each long, read from written lines alone: cash is equity less the position at its close,
    and what is left over of a base commission counts at the price of the fill."""
    found: list[tuple[int, Decimal]] = []
    cash, position, entered = Decimal(10_000), Decimal(0), (0, Decimal(0))
    for i, line in enumerate(lines):
        close = Decimal(repr(float(BARS.close[BARS.row(START) + i])))
        if line.fill_price is not None and line.order_side == "BUY":
            entered = (i, cash + position * line.fill_price)
        cash, position = line.equity - line.position * close, line.position
        if line.fill_price is not None and line.order_side == "SELL":
            found.append((i - entered[0], cash + position * line.fill_price - entered[1]))
    return found


@given(seed=st.integers(0, 10_000), fee=st.sampled_from([0, 0.001, 0.01]))
@settings(max_examples=share_of(20))
def test_the_figures_of_a_run_equal_their_slow_twins(seed: int, fee: float) -> None:
    """Count, win rate, profit factor and holding time, counted one by one from the written lines."""
    run, rules = run_of(seed, fee_rate=fee, halt_cumulative_return=None)
    got = summary_of_run(run, BARS, rules, seconds=0.0)
    trades = twin(run.lines)
    assert got["trades"] == len(trades) > 5
    won = [profit for _, profit in trades if profit > 0]
    lost = [-profit for _, profit in trades if profit < 0]
    assert got["win_rate"] == len(won) / len(trades)
    assert got["profit_factor"] == (pytest.approx(float(sum(won) / sum(lost))) if lost else None)
    assert got["average_holding_hours"] == pytest.approx(sum(hours for hours, _ in trades) / len(trades))


def test_the_profits_of_all_trades_are_what_the_account_gained() -> None:
    """To a cent: between two trades only dust changes its worth."""
    run, rules = run_of(3, halt_cumulative_return=None)
    trades = trades_of(run.track.fills(), FILTERS.min_notional)
    closed = [trade for trade in trades if trade.net_profit_usdt is not None]
    flat = [line for line in run.lines if line.order_side == "SELL"][-1]
    gained = sum((trade.net_profit_usdt or Decimal(0) for trade in closed), Decimal(0))
    assert abs(flat.equity - rules.params.allocation_usdt - gained) < Decimal("0.01")
    assert sum((trade.fees_usdt for trade in trades), Decimal(0)) == run.track.fees_usdt


def test_a_run_with_shorts_has_trades_of_both_sides() -> None:
    """Every turn of the side ends a trade: as many trades as times a side was taken, the open one too."""
    run, _ = run_of(5, exposure="long_short", halt_cumulative_return=None)
    trades = trades_of(run.track.fills(), FILTERS.min_notional)
    taken = [line for line in run.lines if line.reason == "enter"]
    assert len(trades) == len(taken)
    assert {trade.side for trade in trades} == {"long", "short"}
