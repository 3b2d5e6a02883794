"""Target -> order: what leaves always passes the filters, and nothing leaves for the drift of a price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies as our
from trader.core.costs import CostModel, quote_at
from trader.core.ledger import Ledger
from trader.core.sizing import NoOrder, SizedOrder, SizingRules, floor_step, size
from trader.core.types import Fill, Filters, Target

FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))
RULES = SizingRules(
    CostModel(Decimal("0.001"), Decimal(1), Decimal(1)), FILTERS, Decimal("0.001"), Decimal("0.05")
)
PRICE = Decimal(50_000)
QUOTE = quote_at(PRICE, RULES.costs, FILTERS.tick_size)
FLAT, LONG = Ledger(Decimal(10_000)), Ledger(Decimal(10), Decimal("0.2"))


def test_a_buy_spends_the_cash_but_the_buffer() -> None:
    """10,000 less 0.1 % is 9,990; at 50,010.01 that is 0.19976 by the step."""
    order = size("long", "flat", FLAT, PRICE, QUOTE, RULES)
    assert order == SizedOrder("BUY", Decimal("0.19976"), Decimal("50010.01"), "enter")
    assert Decimal("0.19976") * Decimal("50010.01") <= 9_990 < Decimal("0.19977") * Decimal("50010.01")


def test_a_sale_sells_all_but_what_the_step_leaves() -> None:
    """0.19975 less its commission of 0.00019975 is 0.19955025; 0.19955 is sold."""
    order = size("flat", "long", Ledger(Decimal(10), Decimal("0.19955025")), PRICE, QUOTE, RULES)
    assert order == SizedOrder("SELL", Decimal("0.19955"), Decimal("49990.00"), "leave")


@pytest.mark.parametrize(
    ("target", "held", "ledger", "reason"),
    [
        ("flat", "flat", FLAT, "hold"),
        ("long", "long", LONG, "hold"),
        ("short", "short", LONG, "hold"),
        ("long", "flat", Ledger(Decimal(4)), "dust"),
        ("long", "flat", Ledger(Decimal(-1)), "dust"),
        ("flat", "long", Ledger(Decimal(0), Decimal("0.000009")), "dust"),
    ],
)
def test_reasons_without_an_order(target: Target, held: Target, ledger: Ledger, reason: str) -> None:
    """What is held is kept, and what is worth less than the minimum notional stays."""
    assert size(target, held, ledger, PRICE, QUOTE, RULES) == NoOrder(reason)


def test_a_partial_fill_is_completed_the_next_hour() -> None:
    """Half a position with half the cash left buys the rest; cash of 4 % of the equity does not."""
    half = Ledger(Decimal(5_000), Decimal("0.1"))
    order = size("long", "long", half, PRICE, QUOTE, RULES)
    assert isinstance(order, SizedOrder)
    assert (order.side, order.reason) == ("BUY", "complete")
    assert size("long", "long", Ledger(Decimal(400), Decimal("0.192")), PRICE, QUOTE, RULES) == NoOrder(
        "hold"
    )


def test_a_largest_quantity_is_not_exceeded() -> None:
    """An exchange's largest order bounds ours, down to the step."""
    rules = replace(RULES, filters=replace(FILTERS, max_qty=Decimal("0.050005")))
    order = size("long", "flat", FLAT, PRICE, QUOTE, rules)
    assert isinstance(order, SizedOrder)
    assert order.qty == Decimal("0.05000")


def test_turning_round_sells_what_is_held_and_what_the_equity_allows() -> None:
    """From long to short: 0.2 held, and 9,990 of about 10,008 equity opened."""
    order = size("short", "long", LONG, PRICE, QUOTE, RULES)
    assert isinstance(order, SizedOrder)
    assert order.side == "SELL"
    opened = order.qty - Decimal("0.2")
    equity = 10 + Decimal("0.2") * order.expected_price
    assert (
        opened * order.expected_price
        <= equity * Decimal("0.999")
        < (opened + Decimal("0.00001")) * order.expected_price
    )


def test_what_is_missing_must_reach_the_least_quantity() -> None:
    """A partial fill whose rest is worth enough but smaller than an order may be is left as it is."""
    rules = replace(RULES, filters=replace(FILTERS, min_qty=Decimal("0.2")))
    half = Ledger(Decimal(5_000), Decimal("0.1"))
    assert size("long", "long", half, PRICE, QUOTE, rules) == NoOrder("hold")


@given(
    price=our.prices,
    costs=our.costs,
    filters=our.filters,
    buffer=our.shares,
    band=our.shares,
    cash=our.decimals("0", "100000", 8),
    position=our.decimals("0", "10", 8),
    target=st.sampled_from(["flat", "long"]),
)
def test_an_order_always_passes_the_filters(
    price: Decimal,
    costs: CostModel,
    filters: Filters,
    buffer: Decimal,
    band: Decimal,
    cash: Decimal,
    position: Decimal,
    target: Target,
) -> None:
    """On the step, within the bounds, worth the minimum; a BUY never spends more than cash x (1 - buffer), a SELL never
    sells more than is held."""
    ledger = Ledger(cash, position)
    quote = quote_at(price, costs, filters.tick_size)
    order = size(
        target, ledger.held(price, filters), ledger, price, quote, SizingRules(costs, filters, buffer, band)
    )
    if isinstance(order, NoOrder):
        assert order.reason in ("hold", "dust")
        return
    assert order.qty > 0
    assert order.qty % filters.step_size == 0
    assert order.qty >= filters.min_qty
    assert filters.max_qty is None or order.qty <= filters.max_qty
    assert order.qty * order.expected_price >= filters.min_notional
    if order.side == "BUY":
        assert order.qty * order.expected_price <= cash * (1 - buffer)
    else:
        assert order.qty <= position


@given(amount=our.decimals("-10", "100000", 8), price=our.prices, filters=our.filters)
def test_a_floored_quantity_is_the_largest_that_fits(
    amount: Decimal, price: Decimal, filters: Filters
) -> None:
    """One step more would cost more than there is; nothing is bought with a debt."""
    qty = floor_step(amount, price, filters.step_size)
    assert 0 <= qty * price <= max(amount, Decimal(0))
    assert (qty + filters.step_size) * price > amount


# Selling what is not held: research only, until there is a venue for it. Worth 50,000 a piece at 0.01 a tick, a market
# order sells at 49,990.00 and buys at 50,010.01, as in the examples above.
SOLD, BOUGHT = Decimal("49990.00"), Decimal("50010.01")
SHORT = Ledger(Decimal(20_000), Decimal("-0.2"))


def filled(order: SizedOrder, rules: SizingRules) -> Fill:
    """The order executed whole at its expected price, the commission rounded up at eight decimals by hand."""
    received = order.qty if order.side == "BUY" else order.qty * order.expected_price
    fee = (received * rules.costs.fee_rate).quantize(Decimal("1e-8"), "ROUND_UP")
    return Fill(order.side, order.expected_price, order.qty, fee, "base" if order.side == "BUY" else "quote")


def test_a_short_sells_what_the_equity_allows() -> None:
    """10,000 flat, less 0.1 %, is 9,990; at 49,990.00 that is 0.19983 by the step: not more is owed than is owned."""
    order = size("short", "flat", FLAT, PRICE, QUOTE, RULES)
    assert order == SizedOrder("SELL", Decimal("0.19983"), SOLD, "enter")
    assert Decimal("0.19983") * SOLD <= 9_990 < Decimal("0.19984") * SOLD


def test_a_short_is_bought_back_to_the_step() -> None:
    """0.2 owed is bought back whole; of 0.200005 owed the last 0.000005 lies below the step and stays."""
    assert size("flat", "short", SHORT, PRICE, QUOTE, RULES) == SizedOrder(
        "BUY", Decimal("0.2"), BOUGHT, "leave"
    )
    odd = replace(SHORT, position=Decimal("-0.200005"))
    assert size("flat", "short", odd, PRICE, QUOTE, RULES) == SizedOrder(
        "BUY", Decimal("0.20000"), BOUGHT, "leave"
    )


def test_what_the_commission_leaves_of_a_short_is_dust() -> None:
    """The 0.1 % of a buy is taken in base, so 0.0002 stays owed, worth 10: above the least order, it would be a short
    again, and the next hour buys it back; then 0.0000002 is left, which is none."""
    first = size("flat", "short", SHORT, PRICE, QUOTE, RULES)
    assert isinstance(first, SizedOrder)
    left = SHORT.after(filled(first, RULES))
    assert (left.position, left.held(PRICE, FILTERS)) == (Decimal("-0.0002"), "short")
    again = size("flat", "short", left, PRICE, QUOTE, RULES)
    assert isinstance(again, SizedOrder)
    rest = left.after(filled(again, RULES))
    assert (rest.position, rest.held(PRICE, FILTERS)) == (Decimal("-0.0000002"), "flat")


def test_turning_a_short_round_buys_it_back_and_what_the_equity_allows() -> None:
    """20,000 cash and 0.2 owed are 9,997.998 at 50,010.01: less 0.1 %, 0.19972 is opened on top of the 0.2."""
    order = size("long", "short", SHORT, PRICE, QUOTE, RULES)
    assert order == SizedOrder("BUY", Decimal("0.39972"), BOUGHT, "enter")
    worth = (20_000 - Decimal("0.2") * BOUGHT) * Decimal("0.999")
    assert Decimal("0.19972") * BOUGHT <= worth < Decimal("0.19973") * BOUGHT


def test_a_short_gains_what_the_price_falls_less_its_costs() -> None:
    """Sold 0.19983 at 49,990, bought back at 45,009.01 (45,000 with spread and slippage): the difference, less 0.1 % of
    either side, is in cash and dust."""
    order = size("short", "flat", FLAT, PRICE, QUOTE, RULES)
    assert isinstance(order, SizedOrder)
    held = FLAT.after(filled(order, RULES))
    close = Decimal(45_000)
    back = size("flat", "short", held, close, quote_at(close, RULES.costs, FILTERS.tick_size), RULES)
    assert isinstance(back, SizedOrder)
    assert (back.qty, back.expected_price) == (order.qty, Decimal("45009.01"))
    after = held.after(filled(back, RULES))
    gained = order.qty * (SOLD - back.expected_price)
    fees = order.qty * SOLD * Decimal("0.001") + order.qty * close * Decimal("0.001")
    assert abs(after.equity(close) - 10_000 - gained + fees) < Decimal("0.001")


def test_the_drift_of_a_price_never_trades_a_short() -> None:
    """Held and wanted short, whatever the price does: nothing is added, nothing is taken off."""
    for close in (Decimal(20_000), PRICE, Decimal(90_000)):
        quote = quote_at(close, RULES.costs, FILTERS.tick_size)
        assert size("short", "short", SHORT, close, quote, RULES) == NoOrder("hold")


def test_a_short_under_water_is_bought_back_and_nothing_is_opened() -> None:
    """At 110,000 the 0.2 owed cost more than the 20,000 there is: turning round closes it and opens no long."""
    close = Decimal(110_000)
    order = size("long", "short", SHORT, close, quote_at(close, RULES.costs, FILTERS.tick_size), RULES)
    assert isinstance(order, SizedOrder)
    assert (order.side, order.qty) == ("BUY", Decimal("0.2"))


@given(
    price=our.prices,
    costs=our.costs,
    filters=our.filters,
    buffer=our.shares,
    band=our.shares,
    cash=our.decimals("0", "100000", 8),
    position=our.decimals("-10", "10", 8),
    target=st.sampled_from(["flat", "long", "short"]),
)
def test_either_side_passes_the_filters_and_is_never_levered(
    price: Decimal,
    costs: CostModel,
    filters: Filters,
    buffer: Decimal,
    band: Decimal,
    cash: Decimal,
    position: Decimal,
    target: Target,
) -> None:
    """Long, flat and short: on the step and within the bounds; a fill never makes a short larger than the equity less
    its buffer, never spends cash that is not there, and never overshoots flat."""
    ledger, rules = Ledger(cash, position), SizingRules(costs, filters, buffer, band)
    held = ledger.held(price, filters)
    order = size(target, held, ledger, price, quote_at(price, costs, filters.tick_size), rules)
    if isinstance(order, NoOrder):
        assert order.reason in ("hold", "dust")
        return
    assert order.qty > 0
    assert order.qty % filters.step_size == 0
    assert order.qty >= filters.min_qty
    assert filters.max_qty is None or order.qty <= filters.max_qty
    assert order.qty * order.expected_price >= filters.min_notional
    equity = ledger.equity(order.expected_price)
    after = ledger.after(filled(order, rules))
    if order.side == "SELL" and after.position < 0:
        owed = -after.position - max(Decimal(0), -ledger.position if held != "short" else Decimal(0))
        assert owed * order.expected_price <= max(equity, Decimal(0)) * (1 - buffer)
    if order.side == "BUY" and equity >= 0:
        assert after.cash >= 0
    if target == "flat":
        assert abs(after.position) <= abs(position)
        assert order.qty <= abs(position)
