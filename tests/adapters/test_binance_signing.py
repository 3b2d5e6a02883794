"""An order's bytes are fixed before it is stored: the worked signatures, the pin, and the clock they are signed by."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from tests.adapters.test_binance_orders import ORDER, REPLY
from tests.support import venue_kit
from tests.support.fakes import FakeClock
from tests.support.raw_server import KEY, NOW, SECRET, Answer, Heard, http, serving, spot
from tests.support.venue_kit import AT, SYMBOL, running
from trader.adapters.binance_client import SigningClient, VenueAddress
from trader.adapters.binance_connection import GOOD_ROUND_TRIP_MS, VenueApi
from trader.adapters.binance_spot import BinanceSpot
from trader.core.errors import ConfigError
from trader.core.ports import SignedOrder

DOCS_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
FUTURES_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
LTC = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
# As the documentation of Binance works them out, and one in the order in which the client sends.
VECTORS = [
    (DOCS_SECRET, f"symbol=LTCBTC&{LTC}", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
    (
        DOCS_SECRET,
        f"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&{LTC}",
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
    ),
    (
        FUTURES_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
        "&timestamp=1591702613943",
        "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
    ),
]
SORTED_SIGNATURE = "70fd30433bc3a2e3b5ff17d075e50538dde3734841da6dc28d79113dd37fa9c7"


@contextmanager
def client(secret: str) -> Iterator[SigningClient]:
    """The signing client with a documented secret."""
    api = VenueApi(VenueAddress("http://127.0.0.1:1", KEY, secret), FakeClock(NOW))
    yield api.client
    api.close()


@pytest.mark.parametrize(("secret", "payload", "signature"), VECTORS)
def test_worked_signatures_of_the_documentation(secret: str, payload: str, signature: str) -> None:
    """HMAC-SHA256 over the percent-encoded payload, as printed."""
    with client(secret) as signing:
        assert signing._hmac_signature(payload) == signature


def test_the_clients_own_signature_is_the_worked_one() -> None:
    """With time and window pinned, the client signs its sorted parameters to the documented value."""
    order = {"symbol": "LTCBTC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    with client(DOCS_SECRET) as signing:
        signing.pinned = SignedOrder("LTCBTC", "BUY", Decimal(1), "x", 1_499_827_319_559, 5_000)
        assert signing._generate_signature({**order, "quantity": "1", "price": "0.1"}) == SORTED_SIGNATURE


def bytes_of(order: SignedOrder) -> str:
    """What must be on the wire for an order, computed here from its documentation alone."""
    payload = (
        f"newClientOrderId={order.client_order_id}&newOrderRespType=FULL&quantity={order.qty}"
        f"&recvWindow={order.recv_window_ms}&side={order.side}&symbol={quote(order.symbol)}"
        f"&timestamp={order.timestamp_ms}&type=MARKET"
    )
    return f"{payload}&signature={hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()}"


def test_an_order_is_sent_with_the_bytes_that_were_fixed() -> None:
    """However late it is sent, body and signature are those of its own timestamp and window: nothing is signed anew.

    This pins how the client signs: a version that stamps an order afresh, adds a parameter or signs other bytes
    fails here.
    """
    clock = FakeClock(NOW)
    with serving(order=[http(200, REPLY)]) as server, spot(server.url, clock=clock) as adapter:
        adapter.time_ms()
        order = adapter.sign("BTCUSDT", "BUY", Decimal("0.006"), "bot-1", NOW)
        assert order == ORDER
        for wait_s in (0, 18, 3_600):
            clock.sleep(wait_s)
            adapter.send(order)
        bodies = [heard.body for heard in server.of("/api/v3/order")]
        assert bodies == [bytes_of(ORDER)] * 3
        (heard, *_) = server.of("/api/v3/order")
    assert heard.target == "/api/v3/order"
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    assert heard.headers["x-mbx-apikey"] == KEY


def test_the_pin_is_for_the_order_alone() -> None:
    """Reads after an order are signed by the clock again, with the window of every request."""
    clock = FakeClock(NOW)
    with (
        serving(order=[http(500)], openOrders=[http(200, [])]) as server,
        spot(server.url, clock=clock) as adapter,
    ):
        adapter.send(ORDER)
        clock.sleep(60)
        adapter.open_orders("BTCUSDT")
        (read,) = server.of("/api/v3/openOrders")
    assert (read.params["timestamp"], read.params["recvWindow"]) == (str(NOW + 60_000), "5000")


def test_a_stopped_process_cannot_revive_its_order() -> None:
    """At the embedded exchange: sent past its horizon the order is refused with -1021, and there is none."""
    with running() as sim:
        adapter = BinanceSpot(VenueAddress(sim.exchange.url, venue_kit.KEY, venue_kit.SECRET), FakeClock(NOW))
        order = adapter.sign(SYMBOL, "BUY", Decimal("0.01"), "bot-1", adapter.time_ms())
        sim.to(order.expires_at_ms + 1)
        sent = adapter.send(order)
        assert (sent.outcome, "code -1021" in sent.message) == ("refused", True)
        assert sim.sim("ledger?all=true") == []
        adapter.close()


@pytest.mark.parametrize("name", ["a:b", "a/b", "a b", "a&b=c", "ä", "", "x" * 37])
def test_ids_that_would_break_a_signature_are_refused(name: str) -> None:
    """The client signs ids as they are and sends them encoded, so only characters that are both may stand in one."""
    with serving() as server, spot(server.url) as adapter, pytest.raises(ConfigError, match="must match"):
        adapter.sign("BTCUSDT", "BUY", Decimal(1), name, NOW)


@pytest.mark.parametrize("skew_ms", [0, -1_500, 20_000, 86_400_000])
def test_requests_follow_the_venues_clock(skew_ms: int) -> None:
    """However wrong this machine's clock is against the venue's, signed reads are accepted after a measurement."""
    with running() as sim:
        sim.sim("faults", [{"path": "/api/*", "action": "skew", "ms": 2_500}])
        adapter = BinanceSpot(
            VenueAddress(sim.exchange.url, venue_kit.KEY, venue_kit.SECRET), FakeClock(AT + skew_ms)
        )
        assert adapter.time_ms() == AT + 2_500
        assert adapter._api.offset_ms == 2_500 - skew_ms
        assert adapter.balances()["USDT"] == 10_000
        assert [row["status"] for row in sim.sim("requests")] == [200, 200]
        adapter.close()


def slow_time(clock: FakeClock, there_ms: int, back_ms: int) -> Answer:
    """The venue's clock is 7 s ahead; a request takes so long to it and its answer so long back."""

    def answer(sock: Any, heard: Heard) -> bool:
        clock.time_ms += there_ms
        reply = http(200, {"serverTime": clock.time_ms + 7_000})
        clock.time_ms += back_ms
        return reply(sock, heard)

    return answer


def test_the_fastest_of_a_few_round_trips_tells_the_clock() -> None:
    """A round trip of 4 s, all of it on the way there, would set the clock 2 s wrong; a fast sample mends it."""
    clock = FakeClock(NOW)
    samples = [slow_time(clock, 4_000, 0), slow_time(clock, 0, 900), slow_time(clock, 350, 50)]
    with serving(*samples) as server, spot(server.url, clock=clock) as adapter:
        adapter.time_ms()
        assert len(server.heard) == 3
        assert adapter._api.offset_ms == 7_000 + (350 - 50) // 2  # within half of the fastest round trip
        assert adapter._api.stamp() == clock.time_ms + 7_150


def test_a_fast_round_trip_is_measured_once() -> None:
    """One good sample is enough; its midpoint is off by at most half of its round trip."""
    clock = FakeClock(NOW)
    with serving(slow_time(clock, GOOD_ROUND_TRIP_MS, 0)) as server, spot(server.url, clock=clock) as adapter:
        assert adapter.time_ms() == NOW + GOOD_ROUND_TRIP_MS + 7_000
        assert len(server.heard) == 1
        assert adapter._api.offset_ms == 7_000 + GOOD_ROUND_TRIP_MS // 2
