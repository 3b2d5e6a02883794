"""Target -> order: what leaves always passes the filters, and nothing leaves for the drift of a price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import strategies as our
from trader.core.costs import CostModel, quote_at
from trader.core.ledger import Ledger
from trader.core.sizing import NoOrder, SizedOrder, SizingRules, floor_step, size
from trader.core.types import Filters, Target

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
