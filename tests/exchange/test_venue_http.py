"""The wire: keep-alive, broken requests, garbage, many clients at once, and a clean end."""

from __future__ import annotations

import socket
import threading
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import share_of
from tests.support.venue_kit import AT, SYMBOL, Sim, config, running
from trader.core.errors import ConfigError
from trader.exchange.server import EmbeddedExchange

PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


def talk(sim: Sim, *pieces: bytes) -> bytes:
    """Send bytes on a bare connection, then read until the exchange ends it."""
    with socket.create_connection(("127.0.0.1", sim.port), timeout=10) as sock:
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65_536):
            answer += piece
        return answer


def test_a_connection_serves_many_requests(sim: Sim) -> None:
    """Requests one after the other, even sent together or in pieces, are answered in order."""
    assert talk(sim, PING * 3).count(b"HTTP/1.1 200 OK") == 3
    assert talk(sim, *(PING[i : i + 1] for i in range(len(PING)))).count(b"200 OK") == 1
    closing = PING.replace(b"Host: localhost", b"Connection: close")
    assert talk(sim, closing * 2).count(b"200 OK") == 1


def test_an_old_client_gets_its_answer_and_the_end(sim: Sim) -> None:
    """HTTP/1.0 closes unless told otherwise; HEAD gets a head alone, so what follows it is not misread."""
    old = PING.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert talk(sim, old * 2).count(b"200 OK") == 1
    answers = talk(sim, PING.replace(b"GET", b"HEAD").replace(b"/api/v3/ping", b"/sim/nothing") + PING)
    assert [line[9:12] for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [b"404", b"200"]
    assert b"is not one of" not in answers


def test_a_get_is_read_from_its_query_alone(sim: Sim) -> None:
    """Parameters in the body of a GET are not parameters."""
    answer = sim.raw("GET", "/api/v3/klines?symbol=BTCUSDT", b"interval=1h")
    assert (answer.status, answer.json["code"]) == (400, -1102)


def test_headers_of_every_answer(sim: Sim) -> None:
    """Answers say what they are and what they cost, in JSON with its charset."""
    headers = sim.raw("GET", "/api/v3/ping").headers
    assert headers["content-type"] == "application/json;charset=UTF-8"
    assert headers["x-mbx-used-weight"] == headers["x-mbx-used-weight-1m"] == "1"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"HELLO\r\n\r\n", b"400"),
        (b"GET /api/v3/ping FTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, b"431"),
    ],
)
def test_broken_requests_are_told_so(sim: Sim, request_bytes: bytes, status: bytes) -> None:
    """What is no request gets its status and the end of the connection; the exchange goes on."""
    assert talk(sim, request_bytes).startswith(b"HTTP/1.1 " + status)
    assert sim.raw("GET", "/api/v3/ping").status == 200


def test_expect_continue_is_answered(sim: Sim) -> None:
    """A client that asks before it sends its body is told to go on."""
    head = b"POST /sim/clock HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    body = b'{"to": %d}' % AT
    answer = talk(sim, head % len(body), body)
    assert answer.startswith(b"HTTP/1.1 100 Continue")
    assert b"200 OK" in answer


@settings(
    deadline=None, max_examples=share_of(150), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=300), st.sampled_from([b"", b"GET /api/v3/", b"POST /api/v3/order?", b"GET /sim/"]))
def test_garbage_breaks_nothing(sim: Sim, garbage: bytes, prefix: bytes) -> None:
    """Whatever bytes arrive, the answer is HTTP or nothing, no thread dies, and nothing is booked."""
    answer = talk(sim, prefix + garbage + b" HTTP/1.1\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert sim.instrument.orders.by_id == {}


@settings(
    deadline=None, max_examples=share_of(100), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(
        ["klines", "depth", "exchangeInfo", "ticker/price", "account", "order", "myTrades", "allOrders"]
    ),
    params=st.dictionaries(
        st.sampled_from(
            ["symbol", "limit", "startTime", "endTime", "interval", "orderId", "symbols", "fromId"]
        ),
        st.one_of(
            st.sampled_from([SYMBOL, "1h", "0", "99999999999999999999", "", "[]", "null"]),
            st.text(max_size=8),
        ),
        max_size=5,
    ),
)
def test_random_parameters_are_answered_in_shape(sim: Sim, path: str, params: dict[str, str]) -> None:
    """Any parameters get JSON: data, or an error with a negative code; never a dead connection."""
    sim.to(sim.now() + 60_000 if sim.now() < AT + 3_000_000 else sim.now())
    answer = sim.signed("GET", path, **params)
    assert answer.status in (200, 400, 418, 429)
    assert answer.status == 200 or answer.json["code"] < 0


def test_many_clients_at_once_lose_nothing(sim: Sim) -> None:
    """Eight clients buying at the same time: every order is booked once and the balance is the sum of them."""

    def buy(worker: int) -> None:
        for number in range(5):
            assert sim.buy("0.005", client_id=f"w{worker}-{number}").status == 200

    threads = [threading.Thread(target=buy, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger = sim.sim("ledger")
    assert sorted(row["orderId"] for row in ledger) == list(range(1, 41))
    spent = sum((Decimal(row["cummulativeQuoteQty"]) for row in ledger), Decimal(0))
    assert sim.free("USDT") == Decimal(10_000) - spent


def test_loopback_only_and_a_taken_port_is_said() -> None:
    """The exchange listens on 127.0.0.1, and a port in use is an error that a person can act on."""
    with running() as sim:
        assert sim.exchange.url.startswith("http://127.0.0.1:")
        other = EmbeddedExchange(config(port=sim.port))
        with pytest.raises(ConfigError, match=f"port {sim.port} cannot be used"):
            other.start()
        with pytest.raises(RuntimeError, match="before start"):
            _ = other.url
        other.stop()


def test_serve_forever_ends_with_stop() -> None:
    """`serve_forever` starts the exchange and returns after `stop`, which may be called twice."""
    exchange = EmbeddedExchange(config())
    exchange.start()
    server = threading.Thread(target=exchange.serve_forever)
    server.start()
    exchange.stop()
    exchange.stop()
    server.join(10)
    assert not server.is_alive()


@pytest.mark.parametrize(
    "said",
    [
        "Host: evil.example",
        "Host: evil.example:80",
        "Host: localhost\r\nOrigin: https://evil.example",
        "Host: localhost\r\nOrigin: null",
        "Host: localhost\r\nOrigin: http://[",
        "Host: [",
    ],
)
def test_a_page_of_elsewhere_cannot_move_the_clock(sim: Sim, said: str) -> None:
    """A browser on this machine that shows a stranger's page names another host or origin: nothing is done for it."""
    order = b'{"to": 9999999999999}'
    head = f"POST /sim/clock HTTP/1.1\r\n{said}\r\nContent-Length: {len(order)}\r\nConnection: close\r\n\r\n"
    before = sim.exchange.venue.clock.now()
    assert b"403 Forbidden" in talk(sim, head.encode() + order)
    assert sim.exchange.venue.clock.now() == before


@pytest.mark.parametrize(
    "said",
    [
        "Host: 127.0.0.1:8900",
        "Host: localhost",
        "Host: [::1]:80",
        "X: y",
        "Host: localhost:1\r\nOrigin: http://localhost:3000",
    ],
)
def test_this_machine_may_ask(sim: Sim, said: str) -> None:
    """By any of its own names, and by a page that it serves itself."""
    assert b"200 OK" in talk(sim, f"GET /sim/clock HTTP/1.1\r\n{said}\r\nConnection: close\r\n\r\n".encode())
