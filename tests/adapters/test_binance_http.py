"""How requests leave: one patience for a whole answer, no redirect, no proxy, no other address, nothing sent twice."""

from __future__ import annotations

import gzip
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from urllib3.exceptions import LocationValueError

from tests.adapters.test_binance_orders import HTML, ORDER, REPLY
from tests.support import venue_kit
from tests.support.fakes import FakeClock
from tests.support.raw_server import (
    KEY,
    NOW,
    SECRET,
    Answer,
    close,
    drip,
    error,
    http,
    klines,
    raw,
    reset,
    serving,
    silence,
    spot,
)
from tests.support.venue_kit import running
from trader.adapters.binance_client import DEAD, DEAD_SOCKET, VenueAddress
from trader.adapters.binance_connection import VenueApi
from trader.adapters.binance_errors import VenueSilence
from trader.adapters.binance_spot import BinanceSpot
from trader.core.errors import Retry, TraderError

PATIENCE_S = 0.3
# A byte every 50 ms never keeps a single read waiting; waited for, these would be good replies.
LONG = b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 60 + b"\r\nContent-Length: 60\r\n\r\n{}" + b" " * 58
CHUNKS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" + b"1\r\n \r\n" * 20 + b"0\r\n\r\n"
)
DRIPS = {
    "status line": drip(LONG, at_once=3),
    "headers": drip(LONG, at_once=40),
    "body": drip(LONG, at_once=len(LONG) - 55),
    "chunks": drip(CHUNKS, at_once=50),
    "silence": silence,
}


@pytest.mark.parametrize("where", DRIPS)
def test_no_server_holds_a_call_beyond_its_patience(where: str) -> None:
    """A server that sends a byte now and then, wherever in its answer, is given up when the patience is over."""
    with serving(DRIPS[where]) as server:
        api = VenueApi(VenueAddress(server.url, timeout_s=PATIENCE_S), FakeClock(NOW))
        with pytest.raises(VenueSilence, match=r"ReadTimeoutError|ProtocolError") as none:
            api.call(api.client.get_server_time)
        assert none.value.sent
        api.close()


def test_the_exchange_that_drips_is_given_up_too() -> None:
    """The drip of the embedded exchange, two bytes a second, ends a read with Retry and an order in doubt."""
    with running() as sim:
        connection = VenueAddress(sim.exchange.url, venue_kit.KEY, venue_kit.SECRET, PATIENCE_S)
        adapter = BinanceSpot(connection, FakeClock(venue_kit.AT))
        signed = adapter.sign("BTCUSDT", "BUY", Decimal("0.01"), "bot-1", adapter.time_ms())
        sim.sim("faults", [{"path": "/api/v3/*", "action": "drip", "bytes_per_s": 2}])
        assert adapter.send(signed).outcome == "unknown"
        with pytest.raises(Retry, match="cannot reach the exchange at"):
            adapter.time_ms()
        adapter.close()


def test_a_flood_is_given_up_before_it_fills_the_memory() -> None:
    """An answer that does not end is cut off at its 33rd MiB, however fast it comes."""
    sent = 0

    def flood(sock: Any, heard: Any) -> bool:
        nonlocal sent
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(bytes(1 << 20))
            sent += 1

    with serving(order=[flood]) as server, spot(server.url, 60) as adapter:
        assert adapter.send(ORDER).outcome == "unknown"
    assert sent < 64


def test_a_small_answer_that_unpacks_to_a_flood_is_given_up() -> None:
    """What is unpacked is counted: 64 KiB of gzip are 64 MiB of zeros, and are not kept."""
    packed = gzip.compress(bytes(64 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with (
        serving(order=[raw(head + packed)], time=[raw(head + packed)]) as server,
        spot(server.url, 60) as adapter,
    ):
        assert adapter.send(ORDER).outcome == "unknown"
        with pytest.raises(Retry, match=r"OSError|ProtocolError"):
            adapter.time_ms()


def test_a_packed_answer_is_taken() -> None:
    """A page of klines comes as gzip, and its connection serves the next request."""
    body = gzip.compress(b'{"serverTime": 1700000000001}')
    said = f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    heard: list[int] = []

    def packed(sock: Any, _: Any) -> bool:
        heard.append(sock.fileno())
        sock.sendall(b"HTTP/1.1 200 OK\r\n" + said.encode() + body)
        return True

    with serving(time=[packed, packed]) as server, spot(server.url) as adapter:
        assert [adapter.time_ms(), adapter.time_ms()] == [NOW + 1, NOW + 1]
    assert len(set(heard)) == 1


def test_a_slow_but_timely_answer_is_taken() -> None:
    """Patience is for the whole answer, so one that drips and ends in time counts."""
    body = b'{"serverTime": 1700000000001}'
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with serving(drip(data, len(data) - 8, 0.01)) as server, spot(server.url) as adapter:
        assert adapter.time_ms() == NOW + 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    """Neither a read nor an order goes where a redirect points, not even on the same host."""
    with serving(http(200, REPLY)) as elsewhere:
        there = {"Location": f"{elsewhere.url}/api/v3/order"}
        with serving(http(status, "", there)) as server, spot(server.url) as adapter:
            with pytest.raises(Retry, match=f"answered {status}"):
                adapter.time_ms()
            assert {heard.path for heard in server.heard} == {"/api/v3/time"}
            assert adapter.send(ORDER).outcome == "unknown"
            assert len(server.of("/api/v3/order")) == 1
        assert elsewhere.heard == []


def test_proxies_of_the_environment_are_ignored() -> None:
    """With every proxy variable pointing at a dead port, the venue is still reached directly."""
    code = (
        "import sys\n"
        "from trader.adapters.binance_connection import VenueAddress\n"
        "from trader.adapters.binance_klines import BinanceKlines\n"
        "from trader.adapters.clocks import WallClock\n"
        "print(BinanceKlines(VenueAddress(sys.argv[1]), WallClock()).time_ms())\n"
    )
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    proxied = dict.fromkeys(names, "http://127.0.0.1:9")
    with serving() as server:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, server.url],
            env={"PATH": os.defpath, **proxied},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert (done.stdout, done.returncode) == (f"{NOW}\n", 0), done.stderr


def test_every_other_address_of_the_client_is_dead() -> None:
    """Whatever base address the client has, or a new version adds, points at this machine's closed port."""
    api = VenueApi(VenueAddress("http://127.0.0.1:1"), FakeClock(NOW))
    addresses = {
        name: getattr(api.client, name)
        for name in dir(api.client)
        if name.endswith("_URL") and name.isupper()
    }
    assert addresses.pop("API_URL") == "http://127.0.0.1:1/api"
    assert len(addresses) > 20
    assert set(addresses.values()) == {DEAD, DEAD_SOCKET}
    assert api.client.ws_api._url == api.client.ws_future._url == DEAD_SOCKET
    api.close()


STRAYS: dict[str, Callable[[Any], Any]] = {
    "futures": lambda client: client.futures_ping(),
    "futures data": lambda client: client.futures_top_longshort_account_ratio(symbol="BTCUSDT", period="1h"),
    "coin futures": lambda client: client.futures_coin_ping(),
    "options": lambda client: client.options_ping(),
    "margin": lambda client: client.get_system_status(),
    "portfolio": lambda client: client.papi_ping(),
    "website": lambda client: client.get_products(),
}


@pytest.mark.parametrize("flag", ["", "testnet", "demo"])
@pytest.mark.parametrize("name", STRAYS)
def test_a_stray_call_never_leaves(name: str, flag: str) -> None:
    """Futures, options, margin and the rest fail before anything is sent, also with the client's testnet and demo switches."""
    api = VenueApi(VenueAddress("http://127.0.0.1:1", KEY, SECRET), FakeClock(NOW))
    if flag:
        setattr(api.client, flag, True)
    with pytest.raises(LocationValueError, match=f"^{DEAD}"):
        STRAYS[name](api.client)
    api.close()


@pytest.mark.parametrize("cut", [close, reset])
def test_a_dropped_connection_repeats_no_order(cut: Answer) -> None:
    """A kept-alive connection that breaks as the order arrives: the order went out once; a read goes out again."""
    healthy = http(200, {"serverTime": NOW})
    with (
        serving(order=[cut, http(200, REPLY)], time=[healthy, cut, healthy]) as server,
        spot(server.url) as adapter,
    ):
        adapter.time_ms()
        assert adapter.send(ORDER).outcome == "unknown"
        assert len(server.of("/api/v3/order")) == 1
        assert adapter.time_ms() == NOW
        assert len(server.of("/api/v3/time")) == 3


def test_an_idle_connection_that_was_closed_is_opened_anew() -> None:
    """A connection that the server closed between two requests costs nothing: the order is sent once, on a new one."""
    closing = http(200, {"serverTime": NOW}, keep=False)
    with serving(time=[closing], order=[http(200, REPLY)]) as server, spot(server.url) as adapter:
        adapter.assets("BTCUSDT")
        adapter.time_ms()
        time.sleep(0.05)
        assert adapter.send(ORDER).outcome == "accepted"
        assert len(server.of("/api/v3/order")) == 1


# An echo of the request, as a firewall's page has it.
def echo(status: int) -> Answer:
    """A page that repeats everything that was sent."""

    def answer(sock: Any, heard: Any) -> bool:
        return http(status, f"{HTML} {heard.target} {heard.body} {heard.headers}")(sock, heard)

    return answer


LEAKS: dict[str, Answer] = {
    "an echo in an error": echo(500),
    "an echo by a firewall": echo(403),
    "an echo in a reply": echo(200),
    "a key in an error": error(400, -1100, f"not {KEY} nor {SECRET}"),
    "a bad key": error(401, -2015, "Invalid API-key, IP, or permissions for action."),
    "a broken connection": reset,
    "silence": silence,
    "a list": http(500, []),
    "a header that is none": raw(b"HTTP/1.1 500 X\r\nno colon\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_no_error_and_no_log_holds_a_key_a_secret_or_a_signature(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Message, repr, traceback with every chained error, order outcome and the most talkative log are searched."""
    told: list[str] = []
    with caplog.at_level(logging.DEBUG), serving(LEAKS[name]) as server:
        with spot(server.url, 0.1 if name == "silence" else 5.0) as adapter:
            sent = adapter.send(ORDER)
            told.append(f"{sent} {sent!r}")
        with spot(server.url, 0.1 if name == "silence" else 5.0) as adapter:
            for read in (adapter.balances, partial(adapter.open_orders, "BTCUSDT")):
                with pytest.raises(TraderError) as caught:
                    read()
                chain: BaseException | None = caught.value
                while chain is not None:
                    told += [str(chain), repr(chain), repr(chain.args), repr(vars(chain))]
                    chain = chain.__cause__ or chain.__context__
                told.append("".join(traceback.format_exception(caught.value)))
        signatures = [heard.params["signature"] for heard in server.heard if "signature" in heard.params]
    assert signatures
    told += [caplog.text, repr(VenueAddress(server.url, KEY, SECRET))]
    for secret in (KEY, SECRET, *signatures):
        assert secret not in "\n".join(told)


def test_the_keyless_market_sends_no_key() -> None:
    """Bars are asked for without a key, a signature or a timestamp."""
    with serving() as server, klines(server.url) as market:
        with pytest.raises(Retry):
            market.bars("BTCUSDT", NOW - NOW % 3_600_000, NOW - NOW % 3_600_000 + 3_600_000)
        sent = " ".join(f"{heard.target} {heard.headers}" for heard in server.heard)
    assert "x-mbx-apikey" not in sent
    assert "signature" not in sent
