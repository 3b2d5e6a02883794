"""`simulate_book` trades sleeves from one move of cash to the next; its slow twin, a bot a symbol, goes hour by hour. Both write
the same bytes."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine.book import BookRun, Sleeve, newest_records, simulate_book
from tests.support.bars_made import bars_made
from tests.support.book_twin import book_hour_by_hour
from trader.core.book import BOOK_HALT, BookRules
from trader.core.book_line import book_line_text
from trader.core.book_params import BookParams
from trader.core.hours import Rules, line_text
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import HOUR_MS, Bars, Filters

HOURS, WARM_UP = 160, 100
SYMBOLS = ("AAUSDT", "BBUSDT", "CCUSDT")
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 10_000),
    "shares": st.sampled_from(["equal", "inverse_volatility", "volatility_target", "hrp"]),
    "rebalance_hours": st.sampled_from([1, 5, 24, 168]),
    "book_halts": st.sampled_from([(None, None), ("-0.02", None), (None, "0.015"), ("-0.2", "0.1")]),
    "cap": st.sampled_from([{}, {"BBUSDT": "0.3"}]),
    "price_band": st.sampled_from([None, 0.003, 0.02]),
    "halt": st.sampled_from([None, -0.01, -0.2]),
    "horizon_hours": st.sampled_from([1, 6]),
    "limits": st.sampled_from(
        [
            {},
            {},
            {"largest_exposure": "0.4"},
            {"largest_order_usdt": 120},
            {"orders_a_day": 3},
            {"largest_exposure": "0.6", "largest_order_usdt": 400, "orders_a_day": 8},
        ]
    ),
    "closed": st.sampled_from([0, 0, 3, 10]),
    "odd": st.sampled_from([0, 4]),
}


def market(symbol: str, seed: int, closed: int, everywhere: tuple[int, ...], odd: int) -> Bars:
    """Bars with `closed` outages of their own, those that every symbol has, and wrong prints."""
    random = np.random.default_rng([seed, SYMBOLS.index(symbol)])
    own = [
        first + k
        for first in random.integers(WARM_UP - 3, WARM_UP + HOURS, closed).tolist()
        for k in range(int(random.integers(1, 8)))
    ]
    prints = {int(i): 1.05 for i in random.integers(WARM_UP, WARM_UP + HOURS, odd)}
    missing = tuple(i for i in {*own, *everywhere} if i < WARM_UP + HOURS + 2)
    price = 10.0 ** (1 + SYMBOLS.index(symbol))
    return bars_made(
        WARM_UP + HOURS + 3,
        seed + SYMBOLS.index(symbol),
        symbol=symbol,
        price=price,
        decimals=4,
        missing=missing,
        prints=prints,
    )


def book_of(
    seed: int,
    shares: str = "equal",
    rebalance_hours: int = 24,
    book_halts: tuple[str | None, str | None] = (None, None),
    cap: dict[str, str] | None = None,
    price_band: float | None = None,
    halt: float | None = None,
    horizon_hours: int = 1,
    limits: dict[str, Any] | None = None,
    closed: int = 0,
    odd: int = 0,
    symbols: tuple[str, ...] = SYMBOLS,
) -> tuple[list[Sleeve], BookRules, int]:
    """Sleeves of random walks and random P(up), the book's rules, and the end of its hours."""
    random = np.random.default_rng(seed)
    first = int(random.integers(WARM_UP, WARM_UP + HOURS))
    everywhere = tuple(range(first, first + int(random.integers(1, 30)))) if closed else ()
    strategy = {
        **DEFAULT_PARAMS,
        "enter_edge": 0.004,
        "exit_edge": -0.02,
        "price_band": price_band,
        "halt_cumulative_return": halt,
        "horizon_hours": horizon_hours,
    }
    sleeves = []
    for symbol in symbols:
        bars = market(symbol, seed, closed, everywhere, odd)
        p_up = random.normal(0.5, 0.01, HOURS).astype(np.float32)
        p_up[random.random(HOURS) < 0.02] = np.nan
        sleeves.append(
            Sleeve(bars, Rules(params_of(strategy, "a test"), Filters.derived(float(bars.close[0]))), p_up)
        )
    params = BookParams.model_validate(
        {
            "symbols": symbols,
            "capital_usdt": 3_000,
            "shares": shares,
            "rebalance_hours": rebalance_hours,
            "share_hours": 48,
            "halt_cumulative_return": book_halts[0],
            "halt_drawdown": book_halts[1],
            "cap": cap or {},
            **(limits or {}),
        }
    )
    start = sleeves[0].bars.first + WARM_UP * HOUR_MS
    return sleeves, BookRules(params, start), start + HOURS * HOUR_MS


@pytest.mark.parametrize(
    "examples", [12, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])]
)
def test_a_book_writes_the_bytes_of_its_slow_twin(examples: int) -> None:
    """The book records, its lines, every symbol's lines and state: equal to a bot a symbol that closes no hour while its
    exchange is closed, over random prices, outages of one symbol and of all, wrong prints, shares, halts of one and of all."""
    settings(max_examples=examples)(given(**OPTIONS)(compare_with_the_slow_twin))()


def compare_with_the_slow_twin(**drawn: Any) -> None:
    """One book over one market."""
    sleeves, rules, stop = book_of(**drawn)
    run = simulate_book(sleeves, rules, stop)
    hours, lines, bots = book_hour_by_hour(sleeves, rules, stop)
    assert run.hours == hours
    assert list(map(book_line_text, run.lines)) == list(map(book_line_text, lines))
    for sleeve, bot in zip(run.sleeves, bots, strict=True):
        assert sleeve.run.track.texts() == [line_text(line) for line in bot.lines]
        assert sleeve.run.state == bot.state


def reasons(run: BookRun) -> Counter[str]:
    """How many hours of each reason the book had, and how many with a late symbol or a pending transfer."""
    counted = Counter(str(it.reason) for it in run.hours)
    counted["late"] = sum(bool(it.late) for it in run.hours)
    counted["pending"] = sum(bool(it.pending) for it in run.hours)
    return counted


def test_the_drawn_books_meet_everything_that_is_compared() -> None:
    """Among a few of them: rebalances, halts of the book and of a symbol alone, hours that everybody missed, late symbols,
    transfers to a symbol whose exchange is closed."""
    counted: Counter[str] = Counter()
    for seed in range(12):
        sleeves, rules, stop = book_of(
            seed, rebalance_hours=5, closed=10, halt=-0.01, book_halts=(None, "0.015")
        )
        run = simulate_book(sleeves, rules, stop)
        counted += reasons(run)
        counted += Counter(str(it.run.state.risk.halt_reason) for it in run.sleeves)
    for what in (
        "",
        "rebalance",
        "halt",
        "halted",
        "missed",
        "late",
        "pending",
        BOOK_HALT,
        "cumulative_return",
    ):
        assert counted[what] > 0, (what, counted)


def test_limits_of_the_book_hold_in_every_hour() -> None:
    """No purchase costs more than allowed, what is held after purchases stays below the share at the prices that were known, no
    24 hours have more orders than allowed once nothing but exits is left; and each of the limits held back something."""
    limits = {"largest_exposure": "0.5", "largest_order_usdt": 300, "orders_a_day": 6}
    sleeves, rules, stop = book_of(3, rebalance_hours=5, limits=limits)
    run = simulate_book(sleeves, rules, stop)
    free = simulate_book(*book_of(3, rebalance_hours=5))
    assert {it.limit for hour in run.hours for it in hour.limits.values()} == set(limits)
    worst, orders = Decimal(0), list[int]()
    for i in range(len(run.hours)):
        lines = [it.run.lines[i] for it in run.sleeves]
        left = rules.params.orders_a_day - sum(i - at < 24 for at in orders)  # type: ignore[operator]
        buys = [line for line in lines if line.order_side == "BUY"]
        assert len(buys) <= max(0, left)
        for line in buys:
            if line.order_qty and line.fill_price:
                worst = max(worst, line.order_qty * line.fill_price)
        orders += [i for line in lines if line.order_side is not None]
        if buys:
            held = run.lines[i].exposure
            assert held <= Decimal("0.53"), (i, held)  # the room is counted at the closes of the hour before
    assert 250 < worst <= 300
    reasons_of = Counter(line.reason for it in run.sleeves for line in it.run.lines)
    assert reasons_of["book_limit"] > 0
    assert len(orders) < sum(line.order_side is not None for it in free.sleeves for line in it.run.lines)


def test_transfers_are_no_gain_and_no_loss() -> None:
    """Where nothing is ever bought, the whole keeps its capital over every rebalance and outage, and every index stays 1."""
    sleeves, rules, stop = book_of(3, shares="inverse_volatility", rebalance_hours=1, closed=10)
    still = [Sleeve(it.bars, it.rules, np.full(HOURS, np.nan, np.float32)) for it in sleeves]
    run = simulate_book(still, rules, stop)
    assert {line.equity for line in run.lines} == {rules.params.capital_usdt}
    assert {it.equity_usdt for it in run.hours} == {rules.params.capital_usdt}
    assert all(np.allclose(it.index, 1, rtol=1e-12, atol=0) for it in run.sleeves)
    assert reasons(run)["pending"] > 0


def test_an_index_is_the_equity_over_the_limits_base() -> None:
    """The worth of 1 USDT, linked over transfers, is the equity over `base_equity`, which every transfer scales."""
    sleeves, rules, stop = book_of(5, rebalance_hours=7)
    run = simulate_book(sleeves, rules, stop)
    for it in run.sleeves:
        base = float(it.run.state.risk.base_equity)
        assert it.index[-1] == pytest.approx(it.run.equity[-1] / base, rel=1e-9)
        assert it.index[0] == pytest.approx(1, abs=0.01)


def test_a_symbol_whose_exchange_is_closed_has_no_newer_record() -> None:
    """Closed for three hours: the newest record stays the last of before, then all hours that are over have theirs."""
    opened = np.array([True, True, False, False, False, True, True])
    assert newest_records(opened).tolist() == [-1, 0, 1, 1, 1, 4, 5]
    assert newest_records(~opened).tolist() == [-1, -1, 1, 2, 3, 4, 4]
