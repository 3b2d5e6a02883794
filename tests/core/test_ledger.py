"""The ledger: nothing appears, nothing is lost, to the last decimal."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies as our
from trader.core.costs import CostModel, commission, quote_at
from trader.core.ledger import Ledger, fee_usdt
from trader.core.sizing import SizedOrder, SizingRules, size
from trader.core.types import Fill, Filters, PaidIn, Target

BTC = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5), Decimal("0.00001"))


def bought(qty: str, price: str, fee: str) -> Fill:
    """A BUY whose commission is taken in base."""
    return Fill("BUY", Decimal(price), Decimal(qty), Decimal(fee), "base")


def test_a_round_trip_by_hand() -> None:
    """Buy 2 at 100 for a fee of 0.002, sell 1.998 at 110 for a fee of 0.21978: 19.78 - 0.21978 + ... is left."""
    ledger = Ledger(Decimal(1_000)).after(bought("2", "100", "0.002"))
    assert (ledger.cash, ledger.position, ledger.fees_usdt) == (800, Decimal("1.998"), Decimal("0.2"))
    assert ledger.equity(Decimal(105)) == 800 + Decimal("1.998") * 105
    ledger = ledger.after(Fill("SELL", Decimal(110), Decimal("1.998"), Decimal("0.21978"), "quote"))
    assert ledger.cash == 800 + Decimal("1.998") * 110 - Decimal("0.21978")
    assert (ledger.position, ledger.fills) == (0, 2)
    assert ledger.fees_usdt == Decimal("0.2") + Decimal("0.21978")


def test_commission_in_a_third_asset_leaves_the_position_whole() -> None:
    """Buy 2 at 100 for BNB worth 0.15: the position is 2, the value leaves the cash and counts as a fee. A second fill of
    the same order, charged in base, books as ever."""
    ledger = Ledger(Decimal(1_000)).after(
        Fill(
            "BUY",
            Decimal(100),
            Decimal(2),
            Decimal("0.15"),
            "other",
            7,
            "BNB",
            Decimal("0.00025"),
            Decimal(600),
        )
    )
    assert (ledger.cash, ledger.position) == (Decimal("799.85"), 2)
    assert ledger.fees_usdt == Decimal("0.15")
    assert ledger.equity(Decimal(100)) == Decimal("999.85")
    ledger = ledger.after(bought("1", "100", "0.001"))
    assert (ledger.cash, ledger.position) == (Decimal("699.85"), Decimal("2.999"))
    assert ledger.fees_usdt == Decimal("0.25")


def test_less_than_the_minimum_notional_is_flat() -> None:
    """Dust is not a position; exactly the minimum is one, on either side."""
    for position, side in (("0.0499", "flat"), ("0.05", "long"), ("-0.05", "short"), ("-0.0499", "flat")):
        assert Ledger(Decimal(0), Decimal(position)).held(Decimal(100), BTC) == side


moves = st.lists(st.tuples(st.sampled_from(["long", "flat"]), our.decimals("100", "90000", 2)), max_size=25)


@given(moves=moves, costs=our.costs, allocation=our.decimals("50", "1000000", 2))
def test_money_is_conserved_exactly(
    moves: list[tuple[Target, Decimal]], costs: CostModel, allocation: Decimal
) -> None:
    """After any orders: cash + what was paid - what was received + fees in quote is the allocation, the position is
    what was bought less what was sold and the fees in base, both as exact fractions; neither is ever negative, and
    the float shadow of the account stays within 1e-9 of it."""
    ledger, fills = Ledger(allocation), []
    cash, position = float(allocation), 0.0
    for target, price in moves:
        rules = SizingRules(costs, BTC, Decimal("0.001"), Decimal("0.05"))
        quote = quote_at(price, costs, BTC.tick_size)
        order = size(target, ledger.held(price, BTC), ledger, price, quote, rules)
        if not isinstance(order, SizedOrder):
            continue
        paid_in: PaidIn = "base" if order.side == "BUY" else "quote"
        fee = commission(order.side, order.qty, order.expected_price, costs.fee_rate)
        fills.append(Fill(order.side, order.expected_price, order.qty, fee, paid_in))
        ledger = ledger.after(fills[-1])
        sign = 1 if order.side == "BUY" else -1
        cash -= sign * float(order.qty) * float(order.expected_price) + (float(fee) if sign < 0 else 0)
        position += sign * float(order.qty) - (float(fee) if sign > 0 else 0)
        assert ledger.cash >= 0
        assert ledger.position >= 0
    signed = [(1 if f.side == "BUY" else -1) * Fraction(f.qty) for f in fills]
    in_quote = sum(Fraction(f.commission) for f in fills if f.commission_in == "quote")
    in_base = sum(Fraction(f.commission) for f in fills if f.commission_in == "base")
    spent = sum(qty * Fraction(f.price) for qty, f in zip(signed, fills, strict=True))
    assert Fraction(ledger.cash) + spent + in_quote == Fraction(allocation)
    assert Fraction(ledger.position) == sum(signed) - in_base
    assert Fraction(ledger.fees_usdt) == sum(Fraction(fee_usdt(f)) for f in fills)
    assert ledger.fills == len(fills)
    assert abs(float(ledger.cash) - cash) <= 1e-9 * float(allocation)
    assert abs(float(ledger.position) - position) <= 1e-9 * max(1.0, float(allocation) / 100)
