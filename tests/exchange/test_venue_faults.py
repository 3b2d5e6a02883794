"""Faults as data: every way to spoil a request, seen through the real client."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException, BinanceRequestException
from requests import exceptions

from tests.support.venue_kit import AT, KEY, SECRET, SYMBOL, Sim, running
from trader.core.errors import ConfigError
from trader.exchange.edits import EDITS
from trader.exchange.fault_settings import ACTIONS, KLINE_EDITS
from trader.exchange.faults import parse_faults
from trader.exchange.scenarios import SCENARIOS

ORDER = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "bot-1"}


@pytest.fixture
def hasty(sim: Sim) -> Iterator[Any]:
    """A client that waits half a second for an answer."""
    sim.clients.append(sim.new_client(timeout_s=0.5))
    yield sim.clients[0]
    sim.sim("faults", [])


def outcome(client: Any) -> tuple[str, int]:
    """How an order ended for the client: the exception's name ('' for none) and Binance's code."""
    try:
        client.create_order(**ORDER)
    except (
        exceptions.RequestException,
        BinanceAPIException,
        BinanceRequestException,
        AttributeError,
    ) as error:
        return type(error).__name__, int(getattr(error, "code", 0) or 0)
    return "", 0


@pytest.mark.parametrize(
    ("scenario", "error", "code", "orders"),
    [
        ("ok_baseline", "", 0, 1),
        ("timeout_after_commit", "ReadTimeout", 0, 1),
        ("timeout_before_commit", "ReadTimeout", 0, 0),
        ("rst_after_commit", "ConnectionError", 0, 1),
        ("rst_before_commit", "ConnectionError", 0, 0),
        ("close_after_commit", "ConnectionError", 0, 1),
        ("keepalive_close_race", "ConnectionError", 0, 0),
        ("idle_close", "", 0, 1),
        ("late_commit", "ReadTimeout", 0, 0),
        ("1007_after_commit", "BinanceAPIException", -1007, 1),
        ("1007_not_committed", "BinanceAPIException", -1007, 0),
        ("1006_commit", "BinanceAPIException", -1006, 1),
        ("502_html_commit", "BinanceAPIException", 0, 1),
        ("504_empty_commit", "BinanceAPIException", 0, 1),
        ("truncated_json_after_commit", "ChunkedEncodingError", 0, 1),
        ("200_empty_body_after_commit", "", 0, 1),
        ("json_list_error", "AttributeError", 0, 1),
        ("null_error", "AttributeError", 0, 1),
        ("redirect_302_on_order", "TooManyRedirects", 0, 1),
        ("insufficient_balance", "BinanceAPIException", -2010, 0),
        ("overloaded_1008", "BinanceAPIException", -1008, 0),
        ("order_429", "BinanceAPIException", -1015, 0),
        ("weight_429", "BinanceAPIException", -1003, 0),
        ("ban_418", "BinanceAPIException", -1003, 0),
        ("waf_403_html", "BinanceAPIException", 0, 0),
        ("geo_451", "BinanceAPIException", 0, 0),
        ("symbol_halt", "BinanceAPIException", -2010, 0),
        ("symbol_cancel_only", "BinanceAPIException", -2010, 0),
        ("held_up_past_horizon", "BinanceAPIException", -1021, 0),
        ("bad_signature", "BinanceAPIException", -1022, 0),
        ("key_revoked", "BinanceAPIException", -2015, 0),
        ("permission_false", "BinanceAPIException", -2015, 0),
        ("clock_behind_20s", "BinanceAPIException", -1021, 0),
        ("partial_expired_market", "", 0, 1),
        ("zero_fill_expired", "", 0, 1),
        ("maintenance_window", "BinanceAPIException", -1001, 0),
    ],
)
def test_order_scenarios(sim: Sim, hasty: Any, scenario: str, error: str, code: int, orders: int) -> None:
    """Each named scenario ends for the client as it should, and the ledger knows whether there is an order."""
    sim.sim("faults", {"scenario": scenario})
    assert outcome(hasty) == (error, code)
    assert len(sim.sim("ledger?all=true")) == orders
    assert scenario == "ok_baseline" or sim.sim("requests")[-1]["faults"] == scenario


# The first fifteen of the catalogue: does the reply come, and is the order there at once, later, or never.
FIFTEEN = {
    "ok_baseline": "at once",
    "ping_fail_at_start": "at once",
    "timeout_after_commit": "at once",
    "timeout_before_commit": "never",
    "rst_after_commit": "at once",
    "rst_before_commit": "never",
    "late_commit": "later",
    "1007_after_commit": "at once",
    "1007_not_committed": "never",
    "1006_commit": "at once",
    "502_html_commit": "at once",
    "504_empty_commit": "at once",
    "truncated_json_after_commit": "at once",
    "200_empty_body_after_commit": "at once",
    "json_list_error": "at once",
    "null_error": "at once",
}


@pytest.mark.parametrize("scenario", FIFTEEN)
def test_the_first_fifteen_end_with_one_order(sim: Sim, hasty: Any, scenario: str) -> None:
    """A client that asks before it repeats, and repeats only past the horizon, ends with one order, whatever the
    reply was; the account is what the ledger says to the last unit."""
    sim.sim("faults", {"scenario": scenario})
    query = {"symbol": SYMBOL, "origClientOrderId": ORDER["newClientOrderId"]}
    outcome(hasty)
    found = sim.signed("GET", "order", **query)
    assert found.status == (200 if FIFTEEN[scenario] == "at once" else 400)
    assert found.status == 200 or found.json["code"] == -2013
    sim.to(AT + 5_000 + 10_000)
    found = sim.signed("GET", "order", **query)
    assert found.status == (400 if FIFTEEN[scenario] == "never" else 200)
    if found.status == 400:
        sim.sync(hasty)
        assert outcome(hasty) == ("", 0)
    (entry,) = sim.sim("ledger?all=true")
    assert (entry["status"], entry["executedQty"]) == ("FILLED", "0.01000000")
    (fill,) = entry["fills"]
    account = {row["asset"]: Decimal(row["free"]) for row in sim.signed("GET", "account").json["balances"]}
    assert account["USDT"] == Decimal(10_000) - Decimal(fill["price"]) * Decimal(fill["qty"])
    assert account["BTC"] == Decimal(fill["qty"]) - Decimal(fill["commission"])


def test_three_pings_fail_at_the_start(sim: Sim) -> None:
    """The fourth is answered."""
    sim.sim("faults", {"scenario": "ping_fail_at_start"})
    answers = [sim.raw("GET", "/api/v3/ping") for _ in range(4)]
    assert [answer.status for answer in answers] == [502, 502, 502, 200]
    assert answers[0].headers["content-type"] == "text/html"


def test_a_connection_may_end_after_its_answer(sim: Sim) -> None:
    """The answer is whole and promises to keep the connection, which then ends all the same."""
    sim.sim("faults", {"scenario": "idle_close"})
    with socket.create_connection(("127.0.0.1", sim.port), timeout=10) as sock:
        sock.sendall(b"GET /api/v3/time HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = b""
        while piece := sock.recv(65_536):
            told += piece
    assert b"connection: keep-alive" in told
    assert told.endswith(b'{"serverTime":%d}' % AT)


def test_answers_in_the_exchanges_place_carry_the_weight_too(sim: Sim) -> None:
    """A reply that a fault gives before the exchange has looked still says what was used."""
    sim.sim("faults", [{"action": "reply", "status": 503, "nth": 2}])
    sim.raw("GET", "/api/v3/ping")
    answer = sim.raw("GET", "/api/v3/ping")
    assert (answer.status, answer.headers["x-mbx-used-weight-1m"]) == (503, "1")


def test_every_scenario_is_well_formed() -> None:
    """All named scenarios pass the check that a user's own list has to pass, and every action is used by one."""
    used = {fault.action for name in SCENARIOS for fault in parse_faults(SCENARIOS[name])}
    assert set(ACTIONS) - used == {"delay"}
    assert set(EDITS) == set(KLINE_EDITS)


def test_scenarios_are_listed_and_unknown_ones_refused(sim: Sim) -> None:
    """The control channel lists what there is."""
    assert set(sim.sim("scenarios")) == set(SCENARIOS)
    answer = sim.raw("POST", "/sim/faults", b'{"scenario": "none"}')
    assert answer.status == 400
    assert "timeout_after_commit" in answer.json["error"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"action": "explode"}, "needs an 'action' out of"),
        ({"action": "drop", "colour": 1}, "unknown"),
        ({"action": "delay"}, "missing"),
        ({"action": "delay", "seconds": "long"}, "seconds must be a number"),
        ({"action": "delay", "seconds": -1}, "seconds must be a number from 0"),
        ({"action": "drop", "phase": "during"}, "phase must be one of before, after"),
        ({"action": "truncate", "phase": "before"}, "phase must be one of after"),
        ({"action": "drop", "nth": 0}, "nth must be"),
        ({"action": "drop", "nth": [1]}, "nth must be"),
        ({"action": "drop", "nth": [3, 2]}, "nth must be"),
        ({"action": "drop", "from": 1.5}, "a time is milliseconds"),
        ({"action": "drop", "from": "noon"}, "is not a date"),
        ({"action": "book", "share": "half"}, "must be a decimal"),
        ({"action": "book", "share": "1.5"}, "must be a decimal from 0 to 1"),
        ({"action": "book", "fills": 0}, "fills must be a number from 1"),
        ({"action": "drip", "bytes_per_s": float("nan")}, "bytes_per_s must be a number"),
        ({"action": "delay", "seconds": float("inf")}, "seconds must be a number"),
        ({"action": "deposit", "asset": [], "amount": "1"}, "asset must be the name"),
        ({"action": "deposit", "asset": "BTC", "amount": "NaN"}, "amount must be a decimal"),
        ({"action": "reply", "status": "HALT"}, "status must be a number from 100"),
        ({"action": "reply", "headers": {"a": "b\r\nc: d"}}, "printable"),
        ({"action": "status", "status": 500}, "status must be one of TRADING"),
        ({"action": "klines", "edit": "paint"}, "edit must be one of"),
        ({"action": "reply", "headers": 1}, "must be an object"),
        ({"action": "filters", "set": {"LOT_SIZE": 1}}, "each an object of numbers"),
        (
            {"action": "filters", "set": {"LOT_SIZE": {"stepSize": "wide"}}},
            "numbers in plain notation",
        ),
        ("drop", "needs an 'action'"),
        ({"action": "drop", "since": "close"}, r"since must name another fault here \(none\), not 'close'"),
        ({"action": "drop", "since": "drop"}, "since must name another fault"),
    ],
)
def test_malformed_faults_are_refused(fault: Any, says: str) -> None:
    """A fault that could not mean anything is refused with its number and the reason."""
    with pytest.raises(ConfigError, match=says):
        parse_faults([fault])
    with pytest.raises(ConfigError, match="JSON list"):
        parse_faults({"action": "drop"})


def test_matching_by_count_path_and_time(sim: Sim) -> None:
    """`nth`, a path with `*`, and a span of virtual time choose the requests."""
    note = {"action": "reply", "status": 418}
    sim.sim("faults", [{**note, "path": "/api/v3/ti*", "nth": [2, 3]}])
    assert [sim.raw("GET", "/api/v3/time").status for _ in range(4)] == [200, 418, 418, 200]
    sim.sim("faults", [{**note, "path": "/api/v3/ping", "from": AT + 10, "until": AT + 20}])
    statuses = []
    for moment in (AT + 9, AT + 10, AT + 19, AT + 20):
        sim.to(moment)
        statuses.append(sim.raw("GET", "/api/v3/ping").status)
    assert statuses == [200, 418, 418, 200]
    assert sim.sim("faults")[0]["seen"] == 2


def test_a_fault_since_another(sim: Sim) -> None:
    """It meets what comes after the request that the other one met, that one excepted; what came before is not counted."""
    refused = {"name": "first", "path": "/api/v3/ping", "nth": 2, "action": "reply", "status": 503}
    later = {"path": "/api/v3/*", "since": "first", "nth": [1, 2], "action": "reply", "status": 418}
    sim.sim("faults", [later, refused])
    statuses = [
        sim.raw("GET", f"/api/v3/{path}").status for path in ("ping", "time", "ping", "time", "ping", "ping")
    ]
    assert statuses == [200, 200, 503, 418, 418, 200]


def test_late_commit_appears_on_the_virtual_clock(sim: Sim, hasty: Any) -> None:
    """The order that nobody heard of appears 8 virtual seconds later, priced at that moment."""
    sim.sim("faults", {"scenario": "late_commit"})
    assert outcome(hasty)[0] == "ReadTimeout"
    sim.to(AT + 7_999)
    assert sim.signed("GET", "order", symbol=SYMBOL, origClientOrderId="bot-1").json["code"] == -2013
    sim.to(AT + 60_000)
    (entry,) = sim.sim("ledger")
    assert entry["time"] == AT + 8_000


def test_late_commit_on_the_wall_clock(sim: Sim, hasty: Any) -> None:
    """Held back by wall seconds, the order appears without the virtual clock moving."""
    late = {"method": "POST", "path": "/api/v3/order", "action": "late_commit", "wall_s": 0.3, "nth": 1}
    sim.sim("faults", [late])
    assert outcome(hasty)[0] == "ReadTimeout"
    deadline = time.monotonic() + 10
    while not sim.sim("ledger") and time.monotonic() < deadline:
        pass
    assert sim.sim("ledger")[0]["time"] == AT


def test_reads_may_lag(sim: Sim) -> None:
    """A lagging GET order is blind to an order for 5 virtual seconds; other reads see it."""
    sim.sim("faults", {"scenario": "read_after_write_lag"})
    sim.buy(client_id="young")
    query = {"symbol": SYMBOL, "origClientOrderId": "young"}
    assert sim.signed("GET", "order", **query).json["code"] == -2013
    assert len(sim.signed("GET", "myTrades", symbol=SYMBOL).json) == 1
    sim.to(AT + 5_000)
    assert sim.signed("GET", "order", **query).json["status"] == "FILLED"
    sim.sim("faults", [{"action": "lag", "wall_s": 600}])
    assert sim.signed("GET", "order", **query).json["code"] == -2013
    assert sim.signed("GET", "myTrades", symbol=SYMBOL).json == []


def test_a_thin_book_expires_the_rest(sim: Sim) -> None:
    """40 % is filled, the rest expires for lack of liquidity, and the balances follow the fill."""
    sim.sim("faults", {"scenario": "partial_expired_market"})
    order = sim.buy("0.1").json
    assert (order["status"], order["executedQty"], order["expiryReason"]) == (
        "EXPIRED",
        "0.04000000",
        "INSUFFICIENT_LIQUIDITY",
    )
    assert len(order["fills"]) == 1
    assert sim.free("BTC") == sim.free("BTC").quantize(sim.free("BTC"))
    assert sim.buy("0.1").json["status"] == "FILLED"
    sim.sim("faults", [{"action": "book", "base": "0.02"}])
    assert sim.buy("0.1").json["executedQty"] == "0.02000000"
    assert sim.client.get_orderbook_ticker(symbol=SYMBOL)["askQty"] == "0.02000000"
    sim.sim("faults", [{"action": "book", "share": "0"}])
    none = sim.buy("0.1").json
    assert (none["status"], none["fills"]) == ("EXPIRED", [])
    thin = sim.order(side="BUY", type="MARKET", quoteOrderQty="100").json
    assert thin["msg"] == "Order book liquidity is less than LOT_SIZE filter minimum quantity."


def test_an_order_may_come_in_parts(sim: Sim) -> None:
    """Three fills, each a tick worse, add up to the order."""
    sim.sim("faults", {"scenario": "many_fills"})
    order = sim.buy("0.1").json
    prices = [float(fill["price"]) for fill in order["fills"]]
    assert [round(price - prices[0], 2) for price in prices] == [0.0, 0.01, 0.02]
    assert sum(float(fill["qty"]) for fill in order["fills"]) == pytest.approx(0.1)
    assert order["status"] == "FILLED"


def test_a_filter_change_is_served_and_enforced(sim: Sim) -> None:
    """New filters show in exchangeInfo and refuse orders that were fine before."""
    assert sim.buy("0.0015").status == 200
    sim.sim("faults", {"scenario": "filter_change_midrun"})
    assert sim.buy("0.0015").json["msg"] == "Filter failure: LOT_SIZE"
    filters = {f["filterType"]: f for f in sim.client.get_symbol_info(SYMBOL)["filters"]}
    assert filters["LOT_SIZE"]["stepSize"] == "0.00100000"


def test_a_halt_shows_and_still_lets_cancel(sim: Sim) -> None:
    """CANCEL_ONLY stands in exchangeInfo, refuses orders, and cancels."""
    sim.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="20000")
    sim.sim("faults", {"scenario": "symbol_cancel_only"})
    assert sim.client.get_symbol_info(SYMBOL)["status"] == "CANCEL_ONLY"
    assert sim.buy().json["msg"] == "This order type is not possible in this trading phase."
    assert sim.signed("DELETE", "order", symbol=SYMBOL, orderId=1).json["status"] == "CANCELED"


def test_a_cancel_may_come_too_late(sim: Sim) -> None:
    """An order filled between the decision to cancel and the cancel is unknown to it, and filled for good."""
    sim.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="20000")
    sim.sim("faults", {"scenario": "limit_then_cancel_race"})
    assert sim.signed("DELETE", "order", symbol=SYMBOL, orderId=1).json["code"] == -2011
    (entry,) = sim.sim("ledger")
    assert (entry["status"], entry["fills"][0]["price"]) == ("FILLED", "20000.00000000")
    assert sim.free("USDT") == 9_800


def test_a_skewed_clock_is_skewed_everywhere_it_was_asked_for(sim: Sim) -> None:
    """A server 1.5 s behind refuses a client that is on time; its own time endpoint says what it thinks."""
    sim.sim("faults", {"scenario": "clock_ahead_1500ms"})
    assert sim.raw("GET", "/api/v3/time").json["serverTime"] == AT - 1500
    refused = sim.signed("GET", "account")
    assert refused.json["msg"] == "Timestamp for this request was 1000ms ahead of the server's time."
    assert sim.signed("GET", "account", timestamp=AT - 1500).status == 200
    sim.sim("faults", {"scenario": "time_endpoint_skewed"})
    assert sim.raw("GET", "/api/v3/time").json["serverTime"] == AT - 4000
    assert sim.signed("GET", "account").status == 200


def test_a_testnet_reset_forgets_everything(sim: Sim) -> None:
    """Orders vanish, balances and ids start anew, and the ledger keeps both lives apart."""
    sim.buy(client_id="old")
    sim.sim("faults", {"scenario": "testnet_reset"})
    assert sim.signed("GET", "order", symbol=SYMBOL, origClientOrderId="old").json["code"] == -2013
    assert sim.free("USDT") == 10_000
    assert sim.buy(client_id="new").json["orderId"] == 1
    assert [(row["epoch"], row["clientOrderId"]) for row in sim.sim("ledger")] == [(1, "old"), (2, "new")]


def test_money_may_come_and_go_from_outside(sim: Sim) -> None:
    """A withdrawal by hand changes the balance once."""
    sim.sim("faults", {"scenario": "external_trade"})
    for _ in range(2):
        sim.signed("GET", "account")
    assert sim.free("USDT") == 9_900


def test_blocked_and_banned_until_the_time_is_over(sim: Sim) -> None:
    """429 and 418 last for their Retry-After on the virtual clock, and requests in between are in the log."""
    sim.sim("faults", {"scenario": "weight_429"})
    assert sim.raw("GET", "/api/v3/ping").headers["retry-after"] == "30"
    assert sim.raw("GET", "/api/v3/ping").status == 429
    sim.to(AT + 30_000)
    assert sim.raw("GET", "/api/v3/ping").status == 200
    sim.sim("faults", {"scenario": "ban_418"})
    assert sim.raw("GET", "/api/v3/ping").headers["retry-after"] == "120"
    sim.to(AT + 150_000)
    assert sim.raw("GET", "/api/v3/ping").status == 200
    assert [entry["status"] for entry in sim.sim("requests")] == [429, 429, 200, 418, 200]


def test_a_slow_drip_arrives_whole(sim: Sim) -> None:
    """A dripping reply is late, byte by byte, but complete, and its connection lives on."""
    sim.sim("faults", [{"path": "/api/v3/time", "nth": 1, "action": "drip", "bytes_per_s": 200}])
    started = time.monotonic()
    assert sim.client.get_server_time() == {"serverTime": AT}
    assert time.monotonic() - started > 0.1
    assert sim.client.get_server_time() == {"serverTime": AT}


def test_a_delay_holds_one_request_and_nobody_else(sim: Sim) -> None:
    """While one request is held up, another connection is served."""
    sim.sim("faults", [{"path": "/api/v3/ping", "action": "delay", "seconds": 30}])
    client = sim.new_client(timeout_s=0.2)
    with pytest.raises(exceptions.ReadTimeout):
        client.ping()
    client.close_connection()
    assert sim.raw("GET", "/api/v3/time").status == 200


@pytest.mark.parametrize("edit", KLINE_EDITS)
def test_candles_may_be_wrong(sim: Sim, edit: str) -> None:
    """Each edit changes the page it meets, and only that."""
    path = f"/api/v3/klines?symbol={SYMBOL}&interval=1h&limit=20"
    good = sim.raw("GET", path).json
    sim.sim(
        "faults", [{"method": "GET", "path": "/api/v3/klines", "action": "klines", "edit": edit, "nth": 1}]
    )
    bad = sim.raw("GET", path).json
    assert bad != good
    assert bad[0] == good[0]
    assert sim.raw("GET", path).json == good


def test_faults_can_be_given_at_the_start() -> None:
    """The configuration's own list is active from the first request on."""
    with running(faults=[{"path": "/api/v3/ping", "action": "reply", "status": 502}]) as sim:
        assert sim.raw("GET", "/api/v3/ping").status == 502
        assert sim.sim("faults", []) == []
        assert sim.raw("GET", "/api/v3/ping").status == 200


def test_faults_wait_for_nobody_at_the_end() -> None:
    """Stopping the exchange ends a silent connection at once."""
    started = time.monotonic()
    with running(faults=[{"action": "drop"}]) as sim:
        client = sim.new_client(timeout_s=0.1, key=KEY, secret=SECRET)
        with pytest.raises(exceptions.ReadTimeout):
            client.ping()
        sim.clients.append(client)
    assert time.monotonic() - started < 5
