"""The bot's side of a stream: python-binance's socket manager under a watch of our own, at the embedded exchange."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.venue_kit import AT, BOOK, Sim, running
from trader.adapters.binance_stream import (
    MOST_STREAMS,
    STREAM_HOSTS,
    KlineStream,
    closed_bar,
    first_message_s,
    stream_url,
)
from trader.adapters.stream_file import NAME, read_stream, write_stream
from trader.config import HOSTS, PUBLIC_DATA_HOST
from trader.core.errors import ConfigError, DataError
from trader.core.streams import ClosedBar, StreamState
from trader.core.types import HOUR_MS

NOBODY = "ws://127.0.0.1:9"


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.005)


@dataclass
class Ear:
    """A stream, and what it told."""

    stream: KlineStream = field(init=False)
    bars: list[ClosedBar] = field(default_factory=list)
    states: list[StreamState] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def hours(self) -> list[int]:
        """The hours after AT that were told as closed."""
        return [(bar.close_time - AT) // HOUR_MS for bar in self.bars]


@contextmanager
def listening(url: str, *symbols: str, silence_s: float = 30.0) -> Iterator[Ear]:
    """A stream with short waits, stopped at the end."""
    ear = Ear()
    ear.stream = KlineStream(
        url.replace("http", "ws"),
        symbols or ("BTCUSDT",),
        ear.bars.append,
        told=ear.states.append,
        say=ear.words.append,
        silence_s=silence_s,
        first_wait_s=0.05,
    )
    ear.stream.start()
    try:
        yield ear
    finally:
        ear.stream.stop()


def alive(ear: Ear) -> bool:
    """Whether a message has come since the last trouble."""
    return ear.stream.state.alive


def test_closed_bars_are_told_for_all_symbols_over_one_connection() -> None:
    """A combined stream; forming bars tell nothing but that the stream is alive."""
    with running(traded=BOOK) as sim, listening(sim.exchange.url, "BTCUSDT", "ETHUSDT", "SOLUSDT") as ear:
        until(lambda: ear.stream.state.messages >= 3, "no forming bars")
        assert (ear.bars, alive(ear)) == ([], True)
        sim.sim("clock", {"to": AT + HOUR_MS})
        until(lambda: len(ear.bars) == 3, "not all bars")
        assert {it.symbol for it in ear.bars} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
        assert set(ear.hours) == {1}
        assert sim.sim("streams")["opened_in_all"] == 1


def test_a_broken_connection_is_opened_anew_and_never_twice(sim: Sim) -> None:
    """Three times in a row; there is never a second connection, and each loss and return is said once."""
    with listening(sim.exchange.url) as ear:
        for opened in (1, 2, 3):
            until(lambda: alive(ear), "not connected")
            sim.sim("streams", {"close": True})
            until(lambda n=opened: sim.sim("streams")["opened_in_all"] > n, "not opened anew")  # type: ignore[misc]
        until(lambda: alive(ear), "not back")
        sim.sim("clock", {"to": AT + HOUR_MS})
        until(lambda: ear.hours == [1], "no bar after it")
        said = sim.sim("streams")
        assert (said["opened_in_all"], said["most_at_once"], len(said["open"])) == (4, 1, 1)
        assert ear.stream.state.reconnections == 3
    assert [words.split("(")[0].strip() for words in ear.words] == [
        "the stream of klines is lost",
        "the stream of klines is back",
    ] * 3


def test_a_silent_stream_is_given_up_although_it_is_connected(sim: Sim) -> None:
    """The library would wait for ever: its own timeout is never used."""
    sim.sim("faults", {"scenario": "stream_silence"})
    with listening(sim.exchange.url, silence_s=0.3) as ear:
        until(lambda: ear.stream.state.connections >= 2, "never given up")
        assert ear.stream.state.trouble == "no message for 0.3 s"
        sim.sim("faults", [])
        until(lambda: alive(ear), "not back")
        assert sim.sim("streams")["most_at_once"] == 1


def test_what_is_no_json_ends_the_connection_and_is_counted(sim: Sim) -> None:
    """The next one goes on; the library would end its reader and leave the socket open."""
    sim.sim("faults", [{"action": "stream_garbage", "nth": 1}])
    with listening(sim.exchange.url) as ear:
        until(lambda: alive(ear), "not connected")
        sim.sim("clock", {"to": AT + HOUR_MS})
        until(lambda: ear.stream.state.bad_messages == 1, "not counted")
        until(lambda: ear.stream.state.connections == 2 and alive(ear), "not back")
        sim.sim("clock", {"to": AT + 2 * HOUR_MS})
        until(lambda: ear.hours == [2], "no bar after it")


def test_nobody_answers(sim: Sim) -> None:
    """Attempts go on with growing waits, and it is said once; a server of anything else is no better."""
    with listening(NOBODY) as ear:
        until(lambda: len(ear.states) >= 3, "only one attempt")
        assert not alive(ear)
        assert len(ear.words) == 1
        assert "the schedule ticks without it" in ear.words[0]
    with listening(sim.exchange.url + "/nothing") as ear:
        until(lambda: "404" in ear.stream.state.trouble, "not refused")


def test_a_stop_is_quick_and_final(sim: Sim) -> None:
    """While connected, and while waiting for the next attempt; nothing is open afterwards."""
    with listening(sim.exchange.url) as ear:
        until(lambda: alive(ear), "not connected")
        began = time.monotonic()
        ear.stream.stop()
        assert time.monotonic() - began < 5
    until(lambda: not sim.sim("streams")["open"], "still open")
    assert not ear.stream.state.alive


def message(**changes: Any) -> dict[str, Any]:
    """A combined stream's event of a closed hour; changes of its kline, or of the event where they begin with event_."""
    kline = {"t": AT - HOUR_MS, "T": AT - 1, "i": "1h", "x": True}
    event = {"e": "kline", "s": "BTCUSDT", "k": kline}
    for name, value in changes.items():
        (event if name.startswith("event_") else kline)[name.removeprefix("event_")] = value
    return {"stream": "btcusdt@kline_1h", "data": event}


def test_a_message_is_read_for_its_symbol_and_time_alone() -> None:
    """Its prices are of no concern: a bar comes by REST."""
    assert closed_bar(message(o="lies"), ["BTCUSDT"]) == ClosedBar("BTCUSDT", AT)
    assert closed_bar(message(x=False), ["BTCUSDT"]) is None


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (None, "no kline event"),
        ([], "no kline event"),
        ({"data": 3}, "no kline event"),
        (message(event_e="trade"), "no kline event"),
        (message(event_k=None), "no kline event"),
        (message(event_s="ETHUSDT"), "no hourly kline of a requested symbol"),
        (message(event_s=["BTCUSDT"]), "no hourly kline of a requested symbol"),
        (message(i="5m"), "no hourly kline of a requested symbol"),
        (message(x="true"), "no hourly kline of a requested symbol"),
        (message(T=float(AT - 1)), "no hourly kline of a requested symbol"),
        (message(T=AT), "whose times are no full hour"),
        (message(t=AT), "whose times are no full hour"),
        (message(T=-1), "whose times are no full hour"),
    ],
)
def test_what_is_no_hourly_kline_is_refused(said: Any, match: str) -> None:
    """With what it was."""
    with pytest.raises(DataError, match=match):
        closed_bar(said, ("BTCUSDT",))


def test_every_host_of_bars_has_its_stream() -> None:
    """Those that the settings know, and the embedded exchange's own port; another host is refused with the way out."""
    for url in (*HOSTS.values(), PUBLIC_DATA_HOST):
        assert stream_url(url).startswith("wss://")
    assert len(set(STREAM_HOSTS.values())) == len(STREAM_HOSTS)
    assert stream_url("http://127.0.0.1:8900") == "ws://127.0.0.1:8900"
    with pytest.raises(ConfigError, match="no stream of klines that is known here; leave stream out"):
        stream_url("https://example.com")
    with pytest.raises(ConfigError, match="one stream takes 1,024 symbols"):
        KlineStream(NOBODY, [f"S{n}" for n in range(MOST_STREAMS + 1)], lambda _: None)


def test_doctor_waits_for_a_first_kline(sim: Sim) -> None:
    """And says why none came."""
    assert first_message_s(sim.exchange.url.replace("http", "ws"), ["BTCUSDT"], 20) < 20
    with pytest.raises(DataError, match=r"refused|[Cc]onnect"):
        first_message_s(NOBODY, ["BTCUSDT"], 0.5)


def test_the_note_for_status_is_read_as_it_was_written(tmp_path: Any) -> None:
    """What cannot be read is no note, and a folder that cannot be made is no trouble."""
    state = StreamState("ws://x", alive=True, last_message_ms=AT, connections=2, messages=5)
    write_stream(tmp_path / "bars", state)
    assert read_stream(tmp_path / "bars") == state
    (tmp_path / "bars" / NAME).write_text("{")
    assert read_stream(tmp_path / "bars") is None
    write_stream(tmp_path / "bars" / NAME, state)
