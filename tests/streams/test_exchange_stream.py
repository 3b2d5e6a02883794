"""The embedded exchange's stream of klines, heard by a plain websocket client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.venue_kit import AT, BOOK, Sim, running
from trader.core.types import HOUR_MS

KLINE_KEYS = {"t", "T", "s", "i", "f", "L", "o", "c", "h", "l", "v", "n", "x", "q", "V", "Q", "B"}


def heard(sim: Sim, path: str = "/ws/btcusdt@kline_1h") -> ClientConnection:
    """A client of a stream."""
    return connect(sim.exchange.url.replace("http", "ws") + path, proxy=None)


def next_closed(client: ClientConnection) -> dict[str, Any]:
    """The next event of a bar that is called closed."""
    while True:
        said = json.loads(client.recv(timeout=10))
        event: dict[str, Any] = said.get("data", said)
        if event["k"]["x"]:
            return event


def hear_out(client: ClientConnection) -> None:
    """Hear the stream until its connection ends."""
    while True:
        client.recv(timeout=10)


def move(sim: Sim, to: int) -> None:
    """Set the clock."""
    sim.sim("clock", {"to": to})


def test_a_bar_is_told_as_rest_tells_it_when_the_clock_reaches_its_end(sim: Sim) -> None:
    """The event has Binance's keys, its figures are those of klines, and the forming bar does not give away its close."""
    with heard(sim) as client:
        forming = json.loads(client.recv(timeout=10))
        assert (forming["e"], forming["s"], set(forming["k"]) == KLINE_KEYS) == ("kline", "BTCUSDT", True)
        assert (forming["k"]["x"], forming["k"]["o"]) == (False, forming["k"]["c"])
        move(sim, AT + HOUR_MS)
        closed = next_closed(client)
    row = sim.raw("GET", f"/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime={AT}&limit=1").json[0]
    told = closed["k"]
    assert [told[key] for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")] == row
    assert (closed["E"], told["T"]) == (AT + HOUR_MS, AT + HOUR_MS - 1)


def test_hours_that_the_clock_jumps_over_are_told_in_order(sim: Sim) -> None:
    """Each bar once; a client that connects later hears none of them."""
    with heard(sim) as client:
        move(sim, AT + 5 * HOUR_MS)
        ends = [next_closed(client)["k"]["T"] + 1 for _ in range(5)]
    assert ends == [AT + n * HOUR_MS for n in range(1, 6)]
    with heard(sim) as late:
        assert not json.loads(late.recv(timeout=10))["k"]["x"]


def test_a_combined_stream_wraps_several_symbols_and_takes_subscriptions() -> None:
    """/stream names the stream of each event; SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS answer as Binance does."""
    with (
        running(traded=BOOK) as sim,
        heard(sim, "/stream?streams=btcusdt@kline_1h/ethusdt@kline_1h") as client,
    ):
        first = [json.loads(client.recv(timeout=10)) for _ in range(2)]
        assert {it["stream"] for it in first} == {"btcusdt@kline_1h", "ethusdt@kline_1h"}
        said = []
        for number, (method, names) in enumerate(
            [
                ("SUBSCRIBE", ["solusdt@kline_1h"]),
                ("UNSUBSCRIBE", ["btcusdt@kline_1h"]),
                ("LIST_SUBSCRIPTIONS", []),
            ]
        ):
            client.send(json.dumps({"method": method, "params": names, "id": number}))
            while "id" not in (answer := json.loads(client.recv(timeout=10))):
                pass
            said.append(answer)
        assert said[0] == {"result": None, "id": 0}
        assert said[2]["result"] == ["ethusdt@kline_1h", "solusdt@kline_1h"]
        move(sim, AT + HOUR_MS)
        assert {next_closed(client)["s"] for _ in range(2)} == {"ETHUSDT", "SOLUSDT"}


@pytest.mark.parametrize("text", ["{", "[]", '{"method": "BUY"}', '{"method": "SUBSCRIBE", "params": 3}'])
def test_what_is_no_subscription_is_refused(sim: Sim, text: str) -> None:
    """With a code and words, and the connection goes on."""
    with heard(sim) as client:
        client.send(text)
        while "error" not in (answer := json.loads(client.recv(timeout=10))):
            pass
        assert answer["error"]["code"] in (2, 3)
        move(sim, AT + HOUR_MS)
        assert next_closed(client)["s"] == "BTCUSDT"


def test_an_hour_without_a_bar_and_an_unknown_stream_are_silent() -> None:
    """As on Binance, whose streams of nothing bring nothing."""
    with running() as sim, heard(sim, "/ws/nosuch@kline_1h/btcusdt@kline_5m/BTCUSDT@kline_1h") as client:
        move(sim, AT + HOUR_MS)
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.3)


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ({"action": "stream_twice", "times": 3}, [1, 1, 1, 2, 2, 2]),
        ({"action": "stream_unordered"}, [1, 0, 2, 1]),
        ({"action": "stream_silence", "nth": 1}, [2]),
        ({"action": "stream_late", "nth": 1}, [2, 1]),
        ({"action": "stream_twice", "symbol": "BTCUSDT", "nth": 2}, [1, 2, 2]),
    ],
)
def test_faults_of_closed_bars(sim: Sim, fault: dict[str, Any], ends: list[int]) -> None:
    """Told several times, out of order, late, or not at all; nth counts closed bars, and no request meets such a fault."""
    sim.sim("faults", [fault])
    with heard(sim) as client:
        for hour in (1, 2):
            sim.raw("GET", "/api/v3/ping")
            move(sim, AT + hour * HOUR_MS)
        assert [(next_closed(client)["k"]["T"] + 1 - AT) // HOUR_MS for _ in ends] == ends


def test_a_late_bar_comes_when_the_clock_has_gone_on(sim: Sim) -> None:
    """By the virtual clock; a fault of 5 s holds it back for 5 s."""
    sim.sim("faults", {"scenario": "stream_late"})
    with heard(sim) as client:
        move(sim, AT + HOUR_MS)
        move(sim, AT + HOUR_MS + 5000)
        assert next_closed(client)["E"] == AT + HOUR_MS


def test_a_lie_calls_the_forming_bar_closed(sim: Sim) -> None:
    """Half an hour before its end, while REST goes on to call it forming."""
    move(sim, AT + HOUR_MS // 2)
    sim.sim("faults", {"scenario": "stream_lie"})
    with heard(sim) as client:
        assert next_closed(client)["k"]["T"] + 1 == AT + HOUR_MS


def test_garbage_is_no_json(sim: Sim) -> None:
    """In the place of a closed bar."""
    sim.sim("faults", {"scenario": "stream_garbage"})
    with heard(sim) as client:
        json.loads(client.recv(timeout=10))
        move(sim, AT + HOUR_MS)
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(client.recv(timeout=10))


def test_a_connection_ends_after_a_day_and_on_command(sim: Sim) -> None:
    """By the exchange's clock; the list of streams says what is open, and that there was one at a time."""
    sim.sim("faults", {"scenario": "stream_disconnect_24h"})
    with heard(sim) as client:
        move(sim, AT + 24 * HOUR_MS)
        with pytest.raises(ConnectionClosed, match="1001"):
            hear_out(client)
    with heard(sim) as client:
        client.recv(timeout=10)
        assert sim.sim("streams")["open"][0]["streams"] == ["btcusdt@kline_1h"]
        sim.sim("streams", {"close": True})
        with pytest.raises(ConnectionClosed, match="1001"):
            hear_out(client)
    assert (sim.sim("streams")["opened_in_all"], sim.sim("streams")["most_at_once"]) == (2, 1)
    assert "close" in sim.raw("POST", "/sim/streams", b"{}").json["error"]


def test_a_handshake_meets_the_faults_of_requests(sim: Sim) -> None:
    """A refusal is that of HTTP, and an address without streams is none."""
    sim.sim("faults", [{"action": "reply", "status": 503, "path": "/ws/*", "nth": 1}])
    with pytest.raises(InvalidStatus, match="503"):
        heard(sim)
    with pytest.raises(InvalidStatus, match="404"):
        heard(sim, "/nothing")
    with heard(sim) as client:
        assert json.loads(client.recv(timeout=10))["e"] == "kline"


def test_pings_are_answered_and_the_exchange_stops_with_clients_connected() -> None:
    """The protocol's own pings; a stop ends the streams."""
    with running() as sim, heard(sim) as client:
        assert client.ping().wait(10)
        sim.exchange.stop()
        with pytest.raises(ConnectionClosed):
            hear_out(client)


def test_a_running_clock_closes_bars_by_itself() -> None:
    """At a speed, nobody moves the clock."""
    with running(at_ms=AT + HOUR_MS - 30_000, speed=60) as sim, heard(sim) as client:
        assert next_closed(client)["k"]["T"] + 1 == AT + HOUR_MS
