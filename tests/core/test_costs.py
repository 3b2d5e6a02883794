"""Quotes, fills and commissions: never better than the price, never off the tick."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given

from tests.support import strategies as our
from trader.core.costs import CostModel, ceil_to, commission, exact, fill_price, floor_to, quote_at
from trader.core.types import Quote

COSTS = CostModel(Decimal("0.001"), Decimal(1), Decimal(1))
TICK = Decimal("0.01")


def test_the_fills_of_a_worked_example() -> None:
    """At an open of 50,000 with 1 bp half spread and 1 bp slippage: ask 50,005.00, bought at 50,010.01 (5.0005 more,
    rounded up to the tick); bid 49,995.00, sold at 49,990.00 (4.9995 less, rounded down)."""
    quote = quote_at(Decimal(50_000), COSTS, TICK)
    assert quote == Quote(bid=Decimal("49995.00"), ask=Decimal("50005.00"))
    assert fill_price("BUY", quote, COSTS, TICK) == Decimal("50010.01")
    assert fill_price("SELL", quote, COSTS, TICK) == Decimal("49990.00")


def test_commission_is_taken_from_what_is_received_and_rounded_up() -> None:
    """Base after a BUY, quote after a SELL, at eight decimals, against us."""
    assert commission("BUY", Decimal("0.12345"), Decimal(50_000), Decimal("0.001")) == Decimal("0.00012345")
    assert commission("BUY", Decimal("0.00001"), Decimal(50_000), Decimal("0.00075")) == Decimal("0.00000001")
    assert commission("SELL", Decimal("0.00001"), Decimal("50000.01"), Decimal("0.001")) == Decimal(
        "0.00050001"
    )


def test_a_discounted_commission_is_charged_in_quote_on_both_sides() -> None:
    """A quarter less of 0.1 %: 0.075 % of the notional, rounded up at eight decimals, whatever the side."""
    costs = CostModel(Decimal("0.001"), Decimal(1), Decimal(1), fee_discount=Decimal("0.25"))
    for side in ("BUY", "SELL"):
        charged = costs.commission(side, Decimal("0.00001"), Decimal("50000.01"))
        assert charged == (Decimal("0.00037501"), "quote")
    assert costs.scaled(Decimal(2)).paid_rate == Decimal("0.0015")
    assert COSTS.commission("BUY", Decimal("0.12345"), Decimal(50_000)) == (Decimal("0.00012345"), "base")
    assert COSTS.commission("SELL", Decimal("0.00001"), Decimal("50000.01")) == (
        Decimal("0.00050001"),
        "quote",
    )


@given(price=our.prices, costs=our.costs, tick=our.ticks)
def test_a_fill_is_never_better_than_its_price(price: Decimal, costs: CostModel, tick: Decimal) -> None:
    """Bid <= price <= ask, fills outside them, all on the tick, and each within one tick of the exact formula."""
    quote = quote_at(price, costs, tick)
    buy, sell = fill_price("BUY", quote, costs, tick), fill_price("SELL", quote, costs, tick)
    assert sell <= quote.bid <= price <= quote.ask <= buy
    assert all(value % tick == 0 for value in (quote.bid, quote.ask, buy, sell))
    worse = 1 + Fraction(costs.half_spread_bps) / 10_000
    assert 0 <= Fraction(quote.ask) - Fraction(price) * worse < Fraction(tick)
    assert (
        0
        <= Fraction(buy) - Fraction(quote.ask) * (1 + Fraction(costs.slippage_bps) / 10_000)
        < Fraction(tick)
    )


@given(price=our.prices, tick=our.ticks)
def test_without_costs_a_price_on_the_tick_is_the_fill(price: Decimal, tick: Decimal) -> None:
    """Costs times zero cost nothing."""
    price = ceil_to(price, tick)
    none = COSTS.scaled(Decimal(0))
    quote = quote_at(price, none, tick)
    assert fill_price("BUY", quote, none, tick) == fill_price("SELL", quote, none, tick) == price
    assert floor_to(price, tick) == price


def test_a_price_is_the_shortest_decimal_of_its_float() -> None:
    """0.1 is a tenth, though its float is not."""
    assert exact(0.1) == Decimal("0.1")
    assert exact(1e-8) == Decimal("1E-8")
