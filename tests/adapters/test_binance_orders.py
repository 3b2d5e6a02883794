"""Every way an order can end is accepted, refused or unknown, as the exchange's own documentation has it; it is sent once."""

from __future__ import annotations

import socket
from decimal import Decimal
from typing import Any

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NameResolutionError, ProtocolError

from tests.support.fakes import FakeClock
from tests.support.raw_server import (
    NOW,
    Answer,
    close,
    drip,
    error,
    http,
    raw,
    reset,
    serving,
    silence,
    spot,
)
from tests.support.venue_kit import KEY, SECRET, SYMBOL, running
from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_errors import never_sent
from trader.adapters.binance_spot import BinanceSpot
from trader.core.ports import OrderAnswer, SignedOrder
from trader.core.types import Fill

ORDER = SignedOrder("BTCUSDT", "BUY", Decimal("0.006"), "bot-1", NOW, 5_000)
REPLY: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 32,
    "clientOrderId": "bot-1",
    "transactTime": NOW + 7,
    "origQty": "0.00600000",
    "executedQty": "0.00400000",
    "cummulativeQuoteQty": "240.00000000",
    "status": "EXPIRED",
    "type": "MARKET",
    "side": "BUY",
    "fills": [
        {
            "price": "60000.00000000",
            "qty": "0.00400000",
            "commission": "0.00000400",
            "commissionAsset": "BTC",
            "tradeId": 7,
        }
    ],
    "expiryReason": "INSUFFICIENT_LIQUIDITY",
}
HTML = "<html><body><h1>Bad Gateway</h1></body></html>"
WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"orderId": 1}      '


def html(status: int) -> Answer:
    """An error page."""
    return http(status, HTML, {"Content-Type": "text/html"})


def reply(**changes: Any) -> Answer:
    """A reply with something else in it."""
    return http(200, {**REPLY, **changes})


def fill_reply(**changes: Any) -> Answer:
    """A reply with something else in its only fill."""
    return reply(fills=[{**REPLY["fills"][0], **changes}])


REFUSED: dict[str, Answer] = {
    f"{status} {code}": error(status, code, message)
    for status, code, message in [
        (400, -1013, "Filter failure: LOT_SIZE"),
        (400, -1016, "This service is no longer available."),
        (400, -1020, "This operation is not supported."),
        (400, -1021, "Timestamp for this request is outside of the recvWindow."),
        (400, -1022, "Signature for this request is not valid."),
        (404, -1099, "Not found, authenticated, or authorized"),
        (400, -1100, "Illegal characters found in parameter 'quantity'"),
        (400, -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."),
        (400, -1104, "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
        (400, -1105, "Parameter 'quantity' was empty."),
        (400, -1106, "Parameter 'timeInForce' sent when not required."),
        (400, -1111, "Parameter 'quantity' has too much precision."),
        (400, -1112, "No orders on book for symbol."),
        (400, -1115, "Invalid timeInForce."),
        (400, -1116, "Invalid orderType."),
        (400, -1117, "Invalid side."),
        (400, -1121, "Invalid symbol."),
        (400, -1130, "Data sent for parameter 'limit' is not valid."),
        (401, -1002, "You are not authorized to execute this request."),
        (401, -2014, "API-key format invalid."),
        (401, -2015, "Invalid API-key, IP, or permissions for action."),
        (400, -2008, "Invalid Api-Key ID."),
        (400, -2010, "Account has insufficient balance for requested action."),
        (400, -2011, "Unknown order sent."),
        (429, -1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."),
        (418, -1003, "Way too much request weight used; IP banned until 1700000100000."),
        (429, -1015, "Too many new orders; current limit is 100 orders per 10 SECOND."),
        (451, 0, "Service unavailable from a restricted location"),
        (503, -1008, "Server is currently overloaded with other requests."),
    ]
}
REFUSED |= {
    "market closed": error(400, -2010, "Market is closed."),
    "trading phase": error(400, -2010, "This order type is not possible in this trading phase."),
    "not permitted": error(400, -2010, "This symbol is not permitted for this account."),
    "403 by the firewall": html(403),
    "429 without an object": http(429, []),
    "418 without a body": http(418),
}
UNKNOWN: dict[str, Answer] = {
    f"{status} {code}": error(status, code, message)
    for status, code, message in [
        (500, -1000, "An unknown error occurred while processing the request."),
        (400, -1000, "An unknown error occurred while processing the request."),
        (503, -1001, "Internal error; unable to process your request. Please try again."),
        (500, -1006, "An unexpected response was received from the message bus. Execution status unknown."),
        (400, -1006, "An unexpected response was received from the message bus. Execution status unknown."),
        (408, -1007, "Timeout waiting for response from backend server. Send status unknown."),
        (504, -1007, "Timeout waiting for response from backend server. Send status unknown."),
        (403, -1000, "An unknown error occurred while processing the request."),
        (400, -2010, "Duplicate order sent."),
        (503, 0, "Unknown error, please check your request or try again later."),
        (400, 0, "no code that would mean anything"),
        (500, -2010, "Account has insufficient balance for requested action."),
    ]
}
UNKNOWN |= {f"{status} with a page": html(status) for status in (400, 401, 404, 500, 502, 504)}
UNKNOWN |= {f"{status} without a body": http(status) for status in (400, 408, 500, 502, 504, 204)}
UNKNOWN |= {f"{status} []": http(status, []) for status in (200, 400, 500)}
UNKNOWN |= {f"{status} null": http(status, "null") for status in (200, 500)}
UNKNOWN |= {f"{status} redirect": http(status, "", {"Location": "/elsewhere"}) for status in (301, 302, 307)}
UNKNOWN |= {
    "500 text": http(500, '"a text"'),
    "400 a code in words": http(400, {"code": "x", "msg": ["?"]}),
    "200 without a body": http(200),
    "200 {}": http(200, {}),
    "200 no JSON": http(200, "ok, thanks"),
    "200 a page": html(200),
    "200 and then more": http(200, "{} trailing"),
    "200 brackets without end": http(200, "[" * 100_000),
    "200 an endless number": http(200, '{"orderId": ' + "9" * 5_000 + "}"),
    "200 in a charset nobody has": http(200, "{}", {"Content-Type": "application/json; charset=\0"}),
    "ACK instead of FULL": http(
        200, {key: REPLY[key] for key in ("symbol", "orderId", "clientOrderId", "transactTime")}
    ),
    "another order's id": reply(clientOrderId="bot-2"),
    "another symbol": reply(symbol="ETHUSDT"),
    "the other side": reply(side="SELL"),
    "a float for money": reply(executedQty=0.004),
    "NaN": reply(executedQty="NaN"),
    "more than ordered": reply(executedQty="0.00700000"),
    "fills that do not add up": reply(executedQty="0.00500000"),
    "an order id in text": reply(orderId="32"),
    "no fills": reply(fills=None),
    "a tenth of the price": fill_reply(price="6000.00000000"),
    "a tenth of the amount": reply(cummulativeQuoteQty="24.00000000"),
    "filled, but not whole": reply(status="FILLED"),
    "expired, but whole": reply(origQty="0.00400000"),
    "another quantity": reply(origQty="0.00500000"),
    "a LIMIT order": reply(type="LIMIT"),
    "a price of nothing": fill_reply(price="0.00000000"),
    "executed for nothing": reply(cummulativeQuoteQty="0.00000000"),
    "a commission of six percent": fill_reply(commission="0.00024100"),
    "an execution twice": reply(fills=[{**REPLY["fills"][0], "qty": "0.00200000"}] * 2),
    "a cut body": raw(WHOLE[:-9]),
    "a cut chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"),
    "a broken gzip": http(200, "{}", {"Content-Encoding": "gzip"}),
    "no status line": raw(b"hello\r\n\r\n"),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-"),
    "closed": close,
    "reset": reset,
    "silence": silence,
    "a dripping head": drip(WHOLE, at_once=5),
    "a dripping body": drip(WHOLE, at_once=len(WHOLE) - 15),
}
SLOW = ("silence", "a dripping head", "a dripping body")


def sent_to(answer: Answer, timeout_s: float = 5.0) -> OrderAnswer:
    """What the adapter makes of an answer to the order; the order goes out once, whatever comes back."""
    with serving(answer, path="/api/v3/order") as server, spot(server.url, timeout_s) as adapter:
        adapter.assets("BTCUSDT")
        sent = adapter.send(ORDER)
        assert [heard.method for heard in server.of("/api/v3/order")] == ["POST"]
        assert {heard.path for heard in server.heard} == {"/api/v3/order", "/api/v3/exchangeInfo"}
        return sent


@pytest.mark.parametrize("name", REFUSED)
def test_refused_is_what_was_certainly_not_executed(name: str) -> None:
    """These answers say that there is no order, so another attempt is safe."""
    sent = sent_to(REFUSED[name])
    assert (sent.outcome, sent.state) == ("refused", None)
    assert name.split()[0] in sent.message or "code -2010" in sent.message


def test_a_refusal_says_what_may_help() -> None:
    """Another quantity after a filter's or a precision's refusal, another moment after a limit's; nothing after others."""
    again = {name: sent_to(REFUSED[f"400 {name}"]).again for name in ("-1013", "-1111", "-1021", "-2010")}
    assert again == {"-1013": "filters", "-1111": "filters", "-1021": "now", "-2010": ""}
    assert sent_to(REFUSED["429 -1015"]).again == "later"


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_is_everything_in_doubt(name: str) -> None:
    """These leave open whether there is an order, so it must be looked up before anything else is sent."""
    sent = sent_to(UNKNOWN[name], timeout_s=0.25 if name in SLOW else 5.0)
    assert (sent.outcome, sent.state, sent.fills) == ("unknown", None, None)
    assert 0 < len(sent.message) < 300


def test_accepted_is_a_reply_that_says_so_plainly() -> None:
    """200 is not filled: status, executed quantity and every fill are taken from the reply, in exact decimals."""
    sent = sent_to(http(200, {**REPLY, "unheardOf": {"new": 1}}))
    assert sent.outcome == "accepted"
    assert sent.state is not None
    assert (sent.state.status, sent.state.order_id, sent.state.transact_ms) == ("EXPIRED", 32, NOW + 7)
    assert (sent.state.executed_qty, sent.state.quote_qty) == (Decimal("0.004"), Decimal(240))
    assert sent.fills == [Fill("BUY", Decimal(60000), Decimal("0.004"), Decimal("0.000004"), "base", 7)]


def test_nothing_filled_is_accepted_too() -> None:
    """An order that found no book at all is there, final and empty."""
    sent = sent_to(reply(executedQty="0.00000000", cummulativeQuoteQty="0.00000000", fills=[]))
    assert sent.outcome == "accepted"
    assert sent.state is not None
    assert sent.state.final
    assert (sent.state.executed_qty, sent.fills) == (0, [])


def test_a_connection_that_was_never_made_is_a_refusal() -> None:
    """A closed port, a host that does not take up, and a name nobody knows: nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with spot(f"http://127.0.0.1:{port}") as adapter:
        assert adapter.send(ORDER) == OrderAnswer("refused", message="NewConnectionError", again="later")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(deaf.getsockname())
        with spot(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout_s=0.2) as adapter:
            assert adapter.send(ORDER) == OrderAnswer("refused", message="ConnectTimeoutError", again="later")
        for sock in waiting:
            sock.close()
    unknown_name = NameResolutionError("nowhere", HTTPConnection("nowhere"), socket.gaierror())
    assert never_sent(unknown_name)
    assert not never_sent(ProtocolError("cut"))


# Scenario -> what the adapter says at once, how many orders the exchange then has, and the status found later.
SCENARIOS = {
    "ok_baseline": ("accepted", 1, "FILLED"),
    "many_fills": ("accepted", 1, "FILLED"),
    "partial_expired_market": ("accepted", 1, "EXPIRED"),
    "zero_fill_expired": ("accepted", 1, "EXPIRED"),
    "timeout_after_commit": ("unknown", 1, "FILLED"),
    "timeout_before_commit": ("unknown", 0, None),
    "slow_drip": ("unknown", 1, "FILLED"),
    "rst_after_commit": ("unknown", 1, "FILLED"),
    "rst_before_commit": ("unknown", 0, None),
    "close_after_commit": ("unknown", 1, "FILLED"),
    "keepalive_close_race": ("unknown", 0, None),
    "1007_after_commit": ("unknown", 1, "FILLED"),
    "1007_not_committed": ("unknown", 0, None),
    "1006_commit": ("unknown", 1, "FILLED"),
    "502_html_commit": ("unknown", 1, "FILLED"),
    "504_empty_commit": ("unknown", 1, "FILLED"),
    "truncated_json_after_commit": ("unknown", 1, "FILLED"),
    "200_empty_body_after_commit": ("unknown", 1, "FILLED"),
    "json_list_error": ("unknown", 1, "FILLED"),
    "null_error": ("unknown", 1, "FILLED"),
    "redirect_302_on_order": ("unknown", 1, "FILLED"),
    "insufficient_balance": ("refused", 0, None),
    "overloaded_1008": ("refused", 0, None),
    "order_429": ("refused", 0, None),
    "held_up_past_horizon": ("refused", 0, None),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_exchange_and_the_adapter_agree(scenario: str) -> None:
    """At the embedded exchange: refused means no order, accepted means one, and unknown is settled by a look."""
    outcome, orders, status = SCENARIOS[scenario]
    with running() as sim:
        patience = 0.25 if "timeout" in scenario or scenario == "slow_drip" else 5.0
        adapter = BinanceSpot(VenueAddress(sim.exchange.url, KEY, SECRET, patience), FakeClock(NOW))
        signed = adapter.sign(SYMBOL, "BUY", Decimal("0.01"), "bot-1", adapter.time_ms())
        sim.sim("faults", {"scenario": scenario})
        sent = adapter.send(signed)
        assert (sent.outcome, len(sim.sim("ledger?all=true"))) == (outcome, orders)
        posts = [row for row in sim.sim("requests") if row["method"] == "POST" and "order" in row["path"]]
        assert len(posts) == 1
        found = adapter.find(SYMBOL, "bot-1")
        assert (found.status if found else None) == status
        if found and sent.state:
            assert adapter.fills(SYMBOL, found.order_id) == sent.fills
            assert found == sent.state
        adapter.close()
