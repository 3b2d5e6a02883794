"""What the exchange refuses before it trades: malformed parameters, broken filters, missing money."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.venue_kit import AT, SYMBOL, Sim, config, running
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, Filters
from trader.exchange.filters import CheckedOrder, SymbolFilters, symbol_row
from trader.exchange.replies import ApiError
from trader.exchange.venue import Venue

MARKET_BUY = {"side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT_BUY = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "30000"}


@pytest.mark.parametrize(
    ("params", "code", "says"),
    [
        ({**MARKET_BUY, "symbol": "ETHUSDT"}, -1121, "Invalid symbol."),
        ({**MARKET_BUY, "side": "HOLD"}, -1117, "Invalid side."),
        ({**MARKET_BUY, "type": "FANCY"}, -1116, "Invalid orderType."),
        ({**MARKET_BUY, "side": None}, -1102, "'side'"),
        ({**MARKET_BUY, "quantity": None}, -1102, "'quantity' or 'quoteOrderQty'"),
        ({**MARKET_BUY, "quantity": ""}, -1105, "'quantity' was empty"),
        ({**MARKET_BUY, "quantity": "1e-05"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({**MARKET_BUY, "quantity": "-1"}, -1100, "legal range"),
        ({**MARKET_BUY, "quantity": "0.123456789"}, -1111, "too much precision"),
        ({**MARKET_BUY, "quantity": "0"}, -1013, "Invalid quantity."),
        ({**MARKET_BUY, "quoteOrderQty": "100"}, -1128, "Combination"),
        ({**MARKET_BUY, "timeInForce": "GTC"}, -1106, "'timeInForce' sent when not required"),
        ({**MARKET_BUY, "price": "30000"}, -1106, "'price' sent when not required"),
        ({**MARKET_BUY, "newClientOrderId": "a" * 37}, -1100, "newClientOrderId"),
        ({**MARKET_BUY, "newOrderRespType": "LONG"}, -1130, "newOrderRespType"),
        ({**LIMIT_BUY, "icebergQty": "0.005"}, -2010, "Iceberg orders are not supported"),
        ({**LIMIT_BUY, "stopPrice": "29000"}, -1106, "'stopPrice' sent when not required"),
        ({**LIMIT_BUY, "trailingDelta": "100"}, -1106, "'trailingDelta' sent when not required"),
        ({**LIMIT_BUY, "pegPriceType": "PRIMARY_PEG"}, -1211, "Pegged orders"),
        ({**MARKET_BUY, "colour": "red"}, -1104, "read '6' parameter(s) but was sent '7'"),
        ({**LIMIT_BUY, "timeInForce": None}, -1102, "'timeInForce'"),
        ({**LIMIT_BUY, "timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({**LIMIT_BUY, "price": None}, -1102, "'price'"),
        ({**LIMIT_BUY, "quantity": None}, -1102, "'quantity'"),
        ({**LIMIT_BUY, "quoteOrderQty": "5"}, -1106, "'quoteOrderQty' sent when not required"),
        ({**LIMIT_BUY, "type": "STOP_LOSS_LIMIT"}, -2010, "not supported for this symbol"),
        ({**LIMIT_BUY, "price": "30000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({**LIMIT_BUY, "price": "3000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({**LIMIT_BUY, "type": "LIMIT_MAKER"}, -1106, "'timeInForce' sent when not required"),
        ({**MARKET_BUY, "quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({**MARKET_BUY, "quantity": "0.000015"}, -1013, "Filter failure: LOT_SIZE"),
        ({**MARKET_BUY, "quantity": "0.0001"}, -1013, "Filter failure: NOTIONAL"),
        ({**MARKET_BUY, "quantity": "1"}, -2010, "insufficient balance"),
        ({**MARKET_BUY, "side": "SELL"}, -2010, "insufficient balance"),
        ({**LIMIT_BUY, "quantity": "1"}, -2010, "insufficient balance"),
    ],
)
def test_refused_orders(sim: Sim, params: dict[str, Any], code: int, says: str) -> None:
    """Each broken order is answered with Binance's code and words, and nothing is booked."""
    answer = sim.signed("POST", "order", **{"symbol": SYMBOL, **params})
    assert (answer.status, answer.json["code"]) == (400, code)
    assert says in answer.json["msg"]
    assert sim.sim("ledger?all=true") == []
    assert sim.free("USDT") == 10_000


def test_market_notional_uses_the_price_it_would_fill_at() -> None:
    """The smallest quantity that passes NOTIONAL is the smallest whose fill is worth the minimum."""
    with running() as sim:
        price = sim.instrument.market.market_price("BUY", AT)
        step = Decimal("0.00001")
        enough = (Decimal(5) / price / step).to_integral_value("ROUND_CEILING") * step
        assert sim.buy(str(enough - step)).json["msg"] == "Filter failure: NOTIONAL"
        assert sim.buy(str(enough)).json["status"] == "FILLED"


CANDIDATE = CheckedOrder(
    side="BUY",
    is_market=False,
    qty=Decimal("0.01"),
    price=Decimal(30_000),
    last_price=Decimal(30_000),
    open_orders=0,
    base_held=Decimal(0),
)
ROWS: dict[str, dict[str, Any]] = {
    "MIN_NOTIONAL": {"minNotional": "301", "applyToMarket": False},
    "PERCENT_PRICE": {"multiplierUp": "0.9", "multiplierDown": "0.1"},
    "MAX_POSITION": {"maxPosition": "0.005"},
    "MAX_NUM_ORDERS": {"maxNumOrders": 0},
    "NOTIONAL": {"minNotional": "0", "maxNotional": "299", "applyMaxToMarket": False},
    "MARKET_LOT_SIZE": {"minQty": "0", "maxQty": "0.001", "stepSize": "0"},
}


@pytest.mark.parametrize("name", ROWS)
def test_filters_of_other_symbols(name: str) -> None:
    """Filter types that our own row does not use are known too, and say so by name."""
    is_market = name == "MARKET_LOT_SIZE"
    rules = SymbolFilters({"filters": [{"filterType": name, **ROWS[name]}]})
    with pytest.raises(ApiError, match=f"Filter failure: {name}"):
        rules.check(replace(CANDIDATE, is_market=is_market))
    rules.check(replace(CANDIDATE, is_market=not is_market, side="SELL" if name == "MAX_POSITION" else "BUY"))


def test_unknown_filters_are_served_and_let_through() -> None:
    """A filter type from the future stands in exchangeInfo, and an order passes it; the known ones still refuse."""
    future = {"filterType": "POSITION_RISK_CONTROL", "x": 1}
    row = symbol_row(SYMBOL, "BTC", "USDT", Filters.derived(30_000.0))
    row["filters"].append(future)
    with running(exchange_info_row=row) as sim:
        assert future in sim.client.get_symbol_info(SYMBOL)["filters"]
        assert sim.buy("0.01").json["status"] == "FILLED"
        assert sim.buy("0.000015").json["msg"] == "Filter failure: LOT_SIZE"


def test_a_poor_row_is_completed() -> None:
    """A row that says little more than its filters is served with every field that a client may look for."""
    poor = {
        "symbol": SYMBOL,
        "filters": symbol_row(SYMBOL, "BTC", "USDT", Filters.derived(30_000.0))["filters"],
    }
    with running(exchange_info_row=poor) as sim:
        served = sim.client.get_symbol_info(SYMBOL)
    assert set(served) == set(symbol_row(SYMBOL, "BTC", "USDT", Filters.derived(30_000.0)))
    assert served["status"] == "TRADING"


def test_a_given_row_rules() -> None:
    """With a real exchangeInfo row its filters are served and enforced, whatever else was configured."""
    row = symbol_row(SYMBOL, "BTC", "USDT", Filters.derived(30_000.0))
    for entry in row["filters"]:
        if entry["filterType"] == "LOT_SIZE":
            entry["stepSize"] = entry["minQty"] = "0.00100000"
    with running(exchange_info_row=row) as sim:
        assert sim.client.get_symbol_info(SYMBOL)["filters"] == row["filters"]
        assert sim.buy("0.0015").json["msg"] == "Filter failure: LOT_SIZE"
        assert sim.buy("0.002").json["status"] == "FILLED"


def test_a_row_of_another_symbol_is_refused() -> None:
    """A row that names another symbol than the bars is a mistake of configuration."""
    row = symbol_row("ETHUSDT", "ETH", "USDT", Filters.derived(2_000.0))
    with pytest.raises(ConfigError, match="ETHUSDT"):
        Venue(config(exchange_info_row=row))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("klines?symbol=BTCUSDT", -1102),
        ("klines?symbol=BTCUSDT&interval=1H", -1120),
        ("klines?symbol=BTCUSDT&interval=1h&timeZone=15", -1130),
        ("klines?symbol=BTCUSDT&interval=1h&timeZone=-12:30", -1130),
        ("klines?symbol=BTCUSDT&interval=1h&timeZone=noon", -1130),
        (f"ticker/price?symbols={'[' * 5000}", -1100),
        ("klines?symbol=NOPE&interval=1h", -1121),
        ("klines?symbol=BTCUSDT&interval=1h&limit=0", -1130),
        ("klines?symbol=BTCUSDT&interval=1h&limit=ten", -1100),
        ("klines?symbol=BTCUSDT&interval=1h&startTime=2&endTime=1", -1023),
        ("klines?symbol=BTCUSDT&symbol=BTCUSDT&interval=1h", -1101),
        ("exchangeInfo?symbol=NOPE", -1121),
        ('exchangeInfo?symbols=["BTCUSDT","NOPE"]', -1121),
        ("exchangeInfo?symbols=nonsense", -1100),
        ("exchangeInfo?symbol=BTCUSDT&symbols=[]", -1128),
        ("exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING", -1128),
        ("exchangeInfo?showPermissionSets=perhaps", -1130),
        ("depth", -1102),
    ],
)
def test_refused_reads(sim: Sim, path: str, code: int) -> None:
    """Public endpoints check their parameters as well."""
    answer = sim.raw("GET", f"/api/v3/{path}")
    assert (answer.status, answer.json["code"]) == (400, code)


def test_reads_of_a_symbol_list_and_permissions(sim: Sim) -> None:
    """`symbols` is understood, permission sets can be left out, and another status shows no symbol."""
    listed = sim.raw("GET", '/api/v3/exchangeInfo?symbols=["BTCUSDT"]&showPermissionSets=false').json
    assert listed["symbols"][0]["permissionSets"] == []
    assert sim.raw("GET", "/api/v3/exchangeInfo?symbolStatus=HALT").json["symbols"] == []
    assert {row["rateLimitType"] for row in listed["rateLimits"]} == {
        "REQUEST_WEIGHT",
        "ORDERS",
        "RAW_REQUESTS",
    }


def test_signed_reads_check_their_spans(sim: Sim) -> None:
    """Order and trade lists refuse spans over 24 hours and combinations that mean nothing."""
    refused: dict[int, dict[str, Any]] = {
        -1127: {"startTime": 0, "endTime": 24 * HOUR_MS + 1},
        -1023: {"startTime": 2, "endTime": 1},
        -1128: {"startTime": 0, "fromId": 1},
    }
    for code, params in refused.items():
        assert sim.signed("GET", "myTrades", symbol=SYMBOL, **params).json["code"] == code
    assert sim.signed("GET", "order", symbol=SYMBOL).json["code"] == -1102
    assert sim.signed("GET", "order", symbol=SYMBOL, orderId=9).json["code"] == -2013
    sim.buy(client_id="one")
    mismatch = sim.signed("GET", "order", symbol=SYMBOL, orderId=1, origClientOrderId="two")
    assert mismatch.json["code"] == -2039


def test_pages_of_orders_and_trades(sim: Sim) -> None:
    """Lists are oldest first; a start pages forward, no start gives the newest."""
    for hour in range(4):
        sim.to(AT + hour * HOUR_MS)
        sim.buy(client_id=f"page-{hour}")

    def ids(path: str, **params: Any) -> list[int]:
        rows = sim.signed("GET", path, symbol=SYMBOL, **params).json
        return [row.get("id", row["orderId"]) for row in rows]

    for path in ("allOrders", "myTrades"):
        assert ids(path) == [1, 2, 3, 4]
        assert ids(path, limit=2) == [3, 4]
        assert ids(path, limit=2, startTime=AT) == [1, 2]
        assert ids(path, startTime=AT + HOUR_MS, endTime=AT + 2 * HOUR_MS) == [2, 3]
        assert ids(path, endTime=AT) == [1]
    assert ids("allOrders", orderId=3) == [3, 4]
    assert ids("myTrades", fromId=2, limit=2) == [2, 3]
