"""The real python-binance client cannot tell: the whole life of an order, and reads, over HTTP."""

from __future__ import annotations

from decimal import Decimal

import pytest
from binance.exceptions import BinanceAPIException

from tests.support.venue_kit import AT, COSTS, MARKET, SYMBOL, Sim
from trader.core.costs import commission, exact, fill_price, quote_at
from trader.core.types import HOUR_MS

TICK = Decimal("0.01")


def expected_quote() -> tuple[Decimal, Decimal, Decimal]:
    """Open, bid and ask of the hour at AT, from the file."""
    price = exact(MARKET.bars.open[MARKET.bars.row(AT + HOUR_MS)])
    quote = quote_at(price, COSTS, TICK)
    return price, quote.bid, quote.ask


def test_market_buy_fills_at_the_contract_price(sim: Sim) -> None:
    """A MARKET BUY gets the price, the quantity and the commission of core.costs, in the FULL shape."""
    order = sim.client.create_order(
        symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.10000", newClientOrderId="bot-1"
    )
    quote = quote_at(expected_quote()[0], COSTS, TICK)
    price = fill_price("BUY", quote, COSTS, TICK)
    assert order["status"] == "FILLED"
    assert order["price"] == "0.00000000"
    assert order["timeInForce"] == "GTC"
    assert Decimal(order["cummulativeQuoteQty"]) == price * Decimal("0.1")
    (fill,) = order["fills"]
    assert (Decimal(fill["price"]), fill["qty"]) == (price, "0.10000000")
    assert Decimal(fill["commission"]) == commission("BUY", Decimal("0.1"), price, COSTS.fee_rate)
    assert fill["commissionAsset"] == "BTC"
    assert sim.free("BTC") == Decimal("0.1") - Decimal(fill["commission"])
    assert sim.free("USDT") == Decimal(10_000) - price * Decimal("0.1")


def test_sell_pays_its_commission_in_quote(sim: Sim) -> None:
    """After a SELL the commission comes out of the proceeds."""
    sim.client.create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.1")
    before = sim.free("USDT")
    order = sim.client.create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.05")
    (fill,) = order["fills"]
    assert fill["commissionAsset"] == "USDT"
    assert sim.free("USDT") == before + Decimal(order["cummulativeQuoteQty"]) - Decimal(fill["commission"])


def test_reads_agree_with_the_order(sim: Sim) -> None:
    """GET order, allOrders, myTrades and the ledger tell one story."""
    client = sim.client
    placed = client.create_order(
        symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01", newClientOrderId="bot-7"
    )
    found = client.get_order(symbol=SYMBOL, origClientOrderId="bot-7")
    assert found == client.get_order(symbol=SYMBOL, orderId=placed["orderId"])
    assert [found] == client.get_all_orders(symbol=SYMBOL)
    assert client.get_open_orders(symbol=SYMBOL) == []
    (trade,) = client.get_my_trades(symbol=SYMBOL)
    assert (trade["orderId"], trade["price"]) == (placed["orderId"], placed["fills"][0]["price"])
    assert [trade] == client.get_my_trades(symbol=SYMBOL, orderId=placed["orderId"])
    (entry,) = sim.sim("ledger")
    assert entry["clientOrderId"] == "bot-7"
    assert entry["fills"][0]["commission"] == trade["commission"]


def test_public_reads(sim: Sim) -> None:
    """Prices, book and symbol are those of the hour; the last price is the open."""
    client = sim.client
    price, bid, ask = expected_quote()
    assert Decimal(client.get_symbol_ticker(symbol=SYMBOL)["price"]) == price
    book = client.get_orderbook_ticker(symbol=SYMBOL)
    assert (Decimal(book["bidPrice"]), Decimal(book["askPrice"])) == (bid, ask)
    depth = client.get_order_book(symbol=SYMBOL, limit=5)
    assert (depth["bids"][0][0], depth["asks"][0][0]) == (book["bidPrice"], book["askPrice"])
    assert len(depth["asks"]) == 5
    assert Decimal(client.get_avg_price(symbol=SYMBOL)["price"]) == price
    assert client.get_server_time() == {"serverTime": AT}
    assert client.ping() == {}
    info = client.get_symbol_info(SYMBOL)
    assert (info["status"], info["baseAsset"], info["permissions"]) == ("TRADING", "BTC", [])
    day = client.get_ticker(symbol=SYMBOL)
    assert Decimal(day["lastPrice"]) == price
    assert Decimal(day["lowPrice"]) <= price <= Decimal(day["highPrice"])
    assert isinstance(client.get_all_tickers(), list)


def test_account_and_rates(sim: Sim) -> None:
    """The account lists every asset, and the commission endpoints name the fee that is really taken."""
    client = sim.client
    account = client.get_account()
    assert {"asset": "USDT", "free": "10000.00000000", "locked": "0.00000000"} in account["balances"]
    assert account["canTrade"] is True
    assert account["commissionRates"]["taker"] == "0.00100000"
    rates = client._get("account/commission", True, data={"symbol": SYMBOL})
    assert rates["standardCommission"]["taker"] == "0.00100000"
    counts = client.get_current_order_count()
    assert [row["count"] for row in counts] == [0, 0]


def test_order_test_validates_and_places_nothing(sim: Sim) -> None:
    """order/test answers {} for a good order, refuses a bad one, and leaves the ledger empty."""
    good = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert sim.client.create_test_order(**good) == {}
    with pytest.raises(BinanceAPIException, match="LOT_SIZE"):
        sim.client.create_test_order(**{**good, "quantity": "0.000001"})
    with pytest.raises(BinanceAPIException, match="insufficient balance"):
        sim.client.create_test_order(**{**good, "quantity": "5"})
    assert sim.sim("ledger") == []


def test_response_types_and_expiry_fields(sim: Sim) -> None:
    """ACK, RESULT and FULL differ by exactly the fields that Binance documents."""
    replies = {
        kind: sim.buy(client_id=f"r-{kind}", newOrderRespType=kind).json for kind in ("ACK", "RESULT", "FULL")
    }
    ack = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert set(replies["ACK"]) == ack
    assert set(replies["FULL"]) - set(replies["RESULT"]) == {"fills"}
    assert {"price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status"} <= set(
        replies["RESULT"]
    )


def test_quote_order_quantity(sim: Sim) -> None:
    """quoteOrderQty buys as much as the amount allows on the lot step, and never more."""
    order = sim.client.create_order(symbol=SYMBOL, side="BUY", type="MARKET", quoteOrderQty="1000")
    spent, price = Decimal(order["cummulativeQuoteQty"]), Decimal(order["fills"][0]["price"])
    assert order["origQuoteOrderQty"] == "1000.00000000"
    assert spent <= 1000 < spent + price * Decimal("0.00001")


def test_the_same_client_id_may_come_again_after_a_fill(sim: Sim) -> None:
    """newClientOrderId is no idempotency key: a filled order frees it, and the newest is found by it."""
    first, second = sim.buy(client_id="same").json, sim.buy(client_id="same").json
    assert first["orderId"] < second["orderId"]
    found = sim.client.get_order(symbol=SYMBOL, origClientOrderId="same")
    assert found["orderId"] == second["orderId"]


def test_historical_klines_through_the_client(sim: Sim) -> None:
    """The client's own pager collects every closed bar and the forming one."""
    rows = sim.client.get_historical_klines(SYMBOL, "1h", MARKET.bars.first - HOUR_MS)
    assert len(rows) == 302
    assert [float(row[4]) for row in rows[:-1]] == MARKET.bars.close[:301].tolist()


def test_cancel_and_open_orders_through_the_client(sim: Sim) -> None:
    """A resting LIMIT order is listed, cancelled once, and unknown to a second cancel."""
    client = sim.client
    order = client.order_limit_buy(symbol=SYMBOL, quantity="0.01", price="20000", newClientOrderId="rest")
    assert order["status"] == "NEW"
    assert [row["clientOrderId"] for row in client.get_open_orders(symbol=SYMBOL)] == ["rest"]
    cancelled = client.cancel_order(symbol=SYMBOL, origClientOrderId="rest")
    assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "rest")
    assert cancelled["clientOrderId"] != "rest"
    with pytest.raises(BinanceAPIException, match="Unknown order") as caught:
        client.cancel_order(symbol=SYMBOL, origClientOrderId="rest")
    assert caught.value.code == -2011
    assert client.get_order(symbol=SYMBOL, orderId=order["orderId"])["status"] == "CANCELED"
