"""Several symbols on one account: ids, balances, limits and outages of each, through HTTP and the real client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.venue_kit import AT, BOOK, COSTS, Sim, running
from trader.core.costs import commission, fill_price
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS
from trader.exchange.listings import ListedSymbol
from trader.exchange.server import TradedSymbol
from trader.exchange.venue import Venue

BTC, ETH, SOL = BOOK
NAMES = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture
def sim() -> Iterator[Sim]:
    """BTCUSDT, ETHUSDT and SOLUSDT on an account of 10,000 USDT."""
    with running(traded=BOOK) as started:
        yield started


def price_of(sim: Sim, symbol: str, side: Any = "BUY") -> Decimal:
    """What a MARKET order gets now, from the quote."""
    market = sim.exchange.venue.instruments[symbol].market
    return fill_price(side, market.quote(sim.now()), COSTS, market.tick)


def test_orders_in_two_symbols_in_one_hour_settle_on_one_account(sim: Sim) -> None:
    """The client buys two coins and sells half of one: every balance is exact to the last unit, and the third coin is there with
    nothing."""
    client = sim.client
    told = [
        client.create_order(symbol=symbol, side=side, type="MARKET", quantity=quantity)
        for symbol, side, quantity in (
            ("BTCUSDT", "BUY", "0.1"),
            ("ETHUSDT", "BUY", "1.5"),
            ("BTCUSDT", "SELL", "0.05"),
        )
    ]
    btc, eth, sold = price_of(sim, "BTCUSDT"), price_of(sim, "ETHUSDT"), price_of(sim, "BTCUSDT", "SELL")
    fees = [
        commission("BUY", Decimal("0.1"), btc, COSTS.fee_rate),
        commission("BUY", Decimal("1.5"), eth, COSTS.fee_rate),
        commission("SELL", Decimal("0.05"), sold, COSTS.fee_rate),
    ]
    account = {row["asset"]: Decimal(row["free"]) for row in client.get_account()["balances"]}
    assert account == {
        "BTC": Decimal("0.05") - fees[0],
        "ETH": Decimal("1.5") - fees[1],
        "SOL": 0,
        "USDT": 10_000 - btc * Decimal("0.1") - eth * Decimal("1.5") + sold * Decimal("0.05") - fees[2],
    }
    assert [row["fills"][0]["commissionAsset"] for row in told] == ["BTC", "ETH", "USDT"]


def test_ids_count_in_each_symbol_on_its_own(sim: Sim) -> None:
    """Order and trade ids begin with 1 in each symbol; a client's id may be open in two symbols, and not twice in one; queries of
    a symbol see its orders alone."""
    for symbol, price in (("BTCUSDT", "20000"), ("ETHUSDT", "900")):
        assert sim.trade(symbol, "BUY", "0.01")["orderId"] == 1
        assert sim.trade(symbol, "BUY", "0.01", price=price, newClientOrderId="same")["orderId"] == 2
    assert sim.trade("ETHUSDT", "BUY", "0.01", price="900", newClientOrderId="same")["code"] == -2010
    client = sim.client
    for symbol, price in (("BTCUSDT", "20000"), ("ETHUSDT", "900")):
        found = client.get_order(symbol=symbol, origClientOrderId="same")
        assert (found["symbol"], found["orderId"], float(found["price"])) == (symbol, 2, float(price))
        (trade,) = client.get_my_trades(symbol=symbol)
        assert (trade["symbol"], trade["id"], trade["orderId"]) == (symbol, 1, 1)
        assert [row["symbol"] for row in client.get_all_orders(symbol=symbol)] == [symbol] * 2
        assert [row["symbol"] for row in client.get_open_orders(symbol=symbol)] == [symbol]
    assert client.get_all_orders(symbol="SOLUSDT") == client.get_my_trades(symbol="SOLUSDT") == []
    assert [row["symbol"] for row in client.get_open_orders()] == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "order"), ("GET", "allOrders"), ("GET", "myTrades"), ("DELETE", "openOrders")],
)
def test_what_is_of_one_symbol_must_name_it(sim: Sim, method: str, path: str) -> None:
    """Without a symbol -1102; a symbol that is not traded here is -1121."""
    assert sim.signed(method, path).json["code"] == -1102
    assert sim.signed(method, path, symbol="XRPUSDT", orderId=1).json["code"] == -1121


def test_the_quote_asset_is_one_purse(sim: Sim) -> None:
    """What one symbol's order spends or locks, no other symbol's order can spend; what a cancel frees, it can."""
    sim.trade("BTCUSDT", "BUY", "0.45", price="20000", newClientOrderId="most")
    assert sim.trade("ETHUSDT", "BUY", "1")["code"] == -2010
    assert sim.signed("DELETE", "openOrders", symbol="ETHUSDT").json["code"] == -2011
    sim.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="most")
    assert sim.trade("ETHUSDT", "BUY", "1")["status"] == "FILLED"
    # A balance is of an asset: selling a coin needs that very coin.
    assert sim.trade("SOLUSDT", "SELL", "1")["code"] == -2010


def test_the_ledger_lists_every_symbol_in_the_order_of_execution(sim: Sim) -> None:
    """One list for the account, each row with its symbol; orders that were only accepted come with all=true."""
    for symbol in ("SOLUSDT", "BTCUSDT", "ETHUSDT", "BTCUSDT"):
        sim.trade(symbol, "BUY", "1" if symbol == "SOLUSDT" else "0.01")
    sim.trade("ETHUSDT", "BUY", "0.01", price="900")
    rows = sim.sim("ledger")
    assert [(row["symbol"], row["orderId"]) for row in rows] == [
        ("SOLUSDT", 1), ("BTCUSDT", 1), ("ETHUSDT", 1), ("BTCUSDT", 2),
    ]  # fmt: skip  # read as a table
    assert [row["symbol"] for row in sim.sim("ledger?all=true")][4:] == ["ETHUSDT"]


def test_limits_are_one_budget_of_the_account(sim: Sim) -> None:
    """Weight and order counts add up over symbols."""
    used = int(sim.raw("GET", "/api/v3/ticker/price?symbol=BTCUSDT").headers["x-mbx-used-weight-1m"])
    again = int(sim.raw("GET", "/api/v3/ticker/price?symbol=ETHUSDT").headers["x-mbx-used-weight-1m"])
    assert again == used + 2
    for symbol, price in (("BTCUSDT", "20000"), ("ETHUSDT", "900")):
        sim.trade(symbol, "BUY", "0.01", price=price)
    assert sim.signed("GET", "rateLimit/order").json[0]["count"] == 2


def test_resting_orders_of_every_symbol_are_filled_when_their_hour_comes(sim: Sim) -> None:
    """An hour's range is the symbol's own; both are filled at the end of the hour, and the money of both is booked."""
    for it in (BTC, ETH):
        low = it.bars.low[it.bars.row(AT + HOUR_MS)]
        above = Decimal(str(low)).quantize(it.filters.tick_size) + it.filters.tick_size
        sim.trade(it.name, "BUY", "0.1", price=str(above))
    sim.to(AT + HOUR_MS)
    assert sim.signed("GET", "openOrders").json == []
    assert {row["symbol"]: (row["status"], row["updateTime"]) for row in sim.sim("ledger")} == {
        "BTCUSDT": ("FILLED", AT + HOUR_MS),
        "ETHUSDT": ("FILLED", AT + HOUR_MS),
    }
    assert Decimal(sim.sim("balances")["USDT"]["locked"]) == 0


def test_a_reset_of_the_testnet_is_one_of_all_symbols(sim: Sim) -> None:
    """Balances are fresh and ids begin with 1 in every symbol; the ledger keeps both lives."""
    for symbol in NAMES[:2]:
        sim.trade(symbol, "BUY", "0.01")
    sim.sim("faults", {"scenario": "testnet_reset"})
    assert sim.signed("GET", "openOrders").json == []
    assert sim.free("USDT") == 10_000
    assert [sim.trade(symbol, "BUY", "0.01")["orderId"] for symbol in NAMES[:2]] == [1, 1]
    assert [(row["symbol"], row["epoch"]) for row in sim.sim("ledger")] == [
        ("BTCUSDT", 1), ("ETHUSDT", 1), ("BTCUSDT", 2), ("ETHUSDT", 2),
    ]  # fmt: skip  # read as a table


def test_filters_are_each_symbols_own(sim: Sim) -> None:
    """A price on BTCUSDT's tick is off that of SOLUSDT's row; exchangeInfo tells each row, all of them without a name."""
    rows = {row["symbol"]: row for row in sim.client.get_exchange_info()["symbols"]}
    assert list(rows) == list(NAMES)
    ticks = {name: row["filters"][0]["tickSize"] for name, row in rows.items()}
    assert len(set(ticks.values())) > 1
    for name in NAMES:
        told = sim.signed("GET", "myFilters", symbol=name).json["symbolFilters"]
        assert told == rows[name]["filters"]
    step = Decimal(rows["BTCUSDT"]["filters"][1]["stepSize"])
    assert step < Decimal(rows["SOLUSDT"]["filters"][1]["stepSize"])
    assert sim.trade("BTCUSDT", "BUY", str(step * 101))["status"] == "FILLED"
    refused = sim.trade("SOLUSDT", "BUY", str(1 + step))
    assert refused == {"code": -1013, "msg": "Filter failure: LOT_SIZE"}


def test_symbols_that_are_quoted_only_are_not_traded() -> None:
    """Beside traded symbols others may be quoted: they have a price, and an order in them is refused."""
    with running(traded=BOOK[:2], others=[ListedSymbol(SOL.bars, "SOL", "USDT", SOL.filters)]) as sim:
        prices = sim.raw("GET", "/api/v3/ticker/price").json
        assert [row["symbol"] for row in prices] == list(NAMES)
        assert sim.trade("SOLUSDT", "BUY", "1")["code"] == -1121
        assert "SOL" not in sim.sim("balances")


@pytest.mark.parametrize(
    ("traded", "says"),
    [
        ((BTC, ETH, BTC), "each symbol once: BTCUSDT was named"),
        ((), "each symbol once: none was named"),
        (
            (BTC, TradedSymbol(ETH.bars, "ETH", "BTC", ETH.filters)),
            "BTCUSDT in USDT, ETHUSDT in BTC were named",
        ),
    ],
)
def test_symbols_that_one_account_cannot_trade_are_refused(
    traded: tuple[TradedSymbol, ...], says: str
) -> None:
    """A symbol twice, none at all, and two quote assets."""
    with running(traded=BOOK) as sim, pytest.raises(ConfigError, match=says):
        Venue(replace(sim.exchange.venue.config, traded=traded))
