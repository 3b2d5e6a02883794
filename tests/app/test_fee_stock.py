"""A stock that pays for commission: what it suffices for, and when a person hears of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.support.fakes import FakeClock, FakeExchange, MemoryStore
from tests.support.records_made import record_made
from trader.app.fee_stock import shortage, valued_by_rate
from trader.core.news import News
from trader.core.types import Fill, parse_hour
from trader.observers.messages import Message, messages

HOUR = parse_hour("2022-01-01T10:00")
IN_BASE = Fill("BUY", Decimal(50_000), Decimal("0.1"), Decimal("0.0001"), "base", 1)


def in_bnb(amount: str, price: str | None = "600") -> Fill:
    """A fill whose commission was taken in BNB."""
    priced = None if price is None else Decimal(price)
    qty, value = Decimal("0.1"), Decimal("3.75")
    return Fill("BUY", Decimal(50_000), qty, value, "other", 2, "BNB", Decimal(amount), priced)


@pytest.fixture
def venue() -> FakeExchange:
    """An account with no BNB yet."""
    return FakeExchange(FakeClock(HOUR))


@pytest.mark.parametrize(("stock", "orders"), [("0.14", 22), ("0", 0)])
def test_a_stock_that_runs_out_is_said(venue: FakeExchange, stock: str, orders: int) -> None:
    """One order took 0.00625 BNB in two fills: less than 24 times that deserves a sentence with the number."""
    venue.free["BNB"] = Decimal(stock)
    said = shortage(venue, [in_bnb("0.006"), in_bnb("0.00025")])
    assert f"{stock} BNB are left for commission, enough for about {orders} more orders" in said


def test_nothing_is_said_or_asked_without_need(venue: FakeExchange) -> None:
    """A stock that lasts is silent; commission in base asks for no balances; a venue that is silent spoils no hour."""
    venue.free["BNB"] = Decimal("0.15")
    assert shortage(venue, [in_bnb("0.00625")]) == ""
    venue.reads_fail = True
    assert shortage(venue, [IN_BASE]) == ""
    assert shortage(venue, [in_bnb("0.00625")]) == ""


def test_a_value_without_a_price_is_said() -> None:
    """The outcome of such an order says how its commission was valued; one with a price says nothing."""
    assert valued_by_rate([in_bnb("0.006", None)]).startswith(
        "commission in BNB is valued by the account's rate"
    )
    assert valued_by_rate([in_bnb("0.006"), IN_BASE]) == ""


def told(*fills: Fill) -> Message:
    """The message of an hour with these fills."""
    line = {
        "order_side": "BUY",
        "order_qty": Decimal("0.2"),
        "fill_price": Decimal(50_000),
        "fee": Decimal("3.75"),
    }
    record = record_made(HOUR, line=line, fills=fills, expected_price=Decimal(50_000))
    news = News("BTCUSDT", "abcd", 0, (record,), lambda n: (), (), MemoryStore())
    [message] = messages(news)
    return message


def test_a_notice_says_what_was_taken() -> None:
    """The fee's value and the asset stand beside each other; a stock that ended within the order is a warning."""
    whole, ended = told(in_bnb("0.00625")), told(in_bnb("0.00625"), IN_BASE)
    assert whole.level == "info"
    assert "fee 3.75 USDT (0.00625 BNB)" in whole.body
    assert ended.level == "warning"
    assert "its stock is used up" in ended.body
