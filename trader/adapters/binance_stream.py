"""Klines by websocket: python-binance's socket manager, one connection at a time, watched and opened anew by this file.

What the library does itself when a connection breaks is switched off (ADR 37): it never notices a stream that is silent, gives up
after five attempts, and ends its reader on a message that is no JSON.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from binance.async_client import AsyncClient
from binance.ws.reconnecting_websocket import ReconnectingWebsocket
from binance.ws.streams import BinanceSocketManager

from trader.core.errors import ConfigError, DataError
from trader.core.streams import SILENCE_S, ClosedBar, StreamState, is_close_time
from trader.core.types import HOUR_MS, LOOPBACK

# Where the klines of a REST host are streamed.
STREAM_HOSTS = {
    "data-api.binance.vision": "wss://data-stream.binance.vision",
    "api.binance.com": "wss://stream.binance.com:9443",
    "testnet.binance.vision": "wss://stream.testnet.binance.vision",
    "demo-api.binance.com": "wss://demo-stream.binance.com",
}
MOST_STREAMS = 1024  # of one connection, by Binance's limits
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# A connection that lasted so long was a good one: the next wait is short again.
GOOD_S = 60.0
# How long the library's reader waits in one go; its end is noticed after it.
READ_S = 0.5
OPEN_S = 10.0
JOIN_S = 10.0
MOST_MESSAGE_BYTES = 65_536
# A state without news is told so often, in seconds.
TOLD_EVERY_S = 30.0


class StreamTroubleError(Exception):
    """The connection cannot be used any more; the text says why."""


def stream_url(market_url: str) -> str:
    """Where the klines of a source of bars are streamed. Raises ConfigError for one that has no known stream."""
    parts = urlsplit(market_url)
    if parts.hostname in LOOPBACK and parts.scheme == "http":
        return f"ws://{parts.netloc}"
    if (parts.hostname or "") in STREAM_HOSTS:
        return STREAM_HOSTS[parts.hostname or ""]
    raise ConfigError(
        f"bars come from {parts.hostname}, which has no stream of klines that is known here; leave stream out (trader run then "
        f"ticks by its schedule alone), or data_url"
    )


def closed_bar(message: Any, symbols: Collection[str]) -> ClosedBar | None:
    """The bar that a message calls closed, None for one that is still forming. Raises DataError for anything but an hourly kline
    of one of the symbols. Its prices are not read: bars come by REST."""
    event = message.get("data") if isinstance(message, dict) else None
    kline = event.get("k") if isinstance(event, dict) and event.get("e") == "kline" else None
    if not isinstance(event, dict) or not isinstance(kline, dict):
        raise DataError(f"this message is no kline event: {message!r:.100}")
    symbol, closed, ended = event.get("s"), kline.get("x"), kline.get("T")
    if symbol not in symbols or kline.get("i") != "1h" or type(closed) is not bool or type(ended) is not int:
        raise DataError(f"this message is no hourly kline of a requested symbol: {message!r:.100}")
    if not is_close_time(ended + 1) or kline.get("t") != ended + 1 - HOUR_MS:
        raise DataError(f"a kline whose times are no full hour: {kline.get('t')!r:.40} to {ended}")
    return ClosedBar(str(symbol), ended + 1) if closed else None


class KlineStream:
    """Hourly klines of symbols, on a thread of its own, from `start` to `stop`.

    closed: is told each bar that the stream calls closed, on that thread, so it must return at once. told: is told the state when
    it changes, and every half minute. say: is told in words when the stream is lost and when it is back. A connection that
    brings no message for silence_s, breaks, or says what is no kline is closed before the next one is opened, after a wait that
    grows from first_wait_s to a minute.
    """

    def __init__(
        self,
        url: str,
        symbols: Collection[str],
        closed: Callable[[ClosedBar], None],
        *,
        told: Callable[[StreamState], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
        silence_s: float = SILENCE_S,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        """Raises ConfigError for more symbols than one connection takes."""
        if len(symbols) > MOST_STREAMS:
            raise ConfigError(f"one stream takes {MOST_STREAMS:,} symbols, not {len(symbols):,}")
        self._url, self._symbols, self._closed = url.rstrip("/"), frozenset(symbols), closed
        self._told, self._say = told, say
        self._silence_s, self._first_wait_s = silence_s, first_wait_s
        self._state = StreamState(self._url)
        self._told_s = 0.0
        self._lost = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kline-stream", daemon=True)

    @property
    def state(self) -> StreamState:
        """What is known of the stream now."""
        return self._state

    def start(self) -> None:
        """Connect in the background; returns at once."""
        # Every trouble is told in one sentence by this class; the libraries would repeat it with a traceback.
        for name in ("binance.ws", "websockets.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()

    def stop(self) -> None:
        """Close the connection; safe to call twice."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        """One connection after the other until `stop`."""
        client = (
            AsyncClient()
        )  # never asked for anything: the socket manager takes its names of hosts from it
        wait_s = self._first_wait_s
        try:
            while not self._ending.is_set():
                began_s = time.monotonic()
                try:
                    await self._connected(client)
                except (
                    Exception
                ) as error:  # whatever the libraries throw: the schedule goes on without the stream
                    self._troubled(error)
                if time.monotonic() - began_s >= GOOD_S:
                    wait_s = self._first_wait_s
                await self._pause(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        finally:
            await client.close_connection()
            self._note(replace(self._state, alive=False, trouble="it was stopped"), now=True)

    async def _connected(self, client: AsyncClient) -> None:
        """Open one connection, hear it until it ends, and close it. Raises what ended it."""
        async with self._socket(client) as socket:
            self._note(replace(self._state, connections=self._state.connections + 1), now=True)
            heard_s = time.monotonic()
            reading = asyncio.ensure_future(socket.recv())
            try:
                while not self._ending.is_set():
                    # Waiting does not cancel the reader, which could lose a message that comes at that moment.
                    await asyncio.wait({reading}, timeout=READ_S)
                    if reading.done():
                        heard_s = time.monotonic()
                        self._take(reading.result())
                        reading = asyncio.ensure_future(socket.recv())
                    elif time.monotonic() - heard_s >= self._silence_s:
                        raise StreamTroubleError(f"no message for {self._silence_s:g} s")
            finally:
                reading.cancel()

    def _socket(self, client: AsyncClient) -> ReconnectingWebsocket:
        manager = BinanceSocketManager(client, max_queue_size=8 * len(self._symbols) + 100)
        manager.STREAM_URL = f"{self._url}/"
        # No proxy of the environment, as for requests; pings find a connection whose other end is gone.
        manager.ws_kwargs = {
            "proxy": None,
            "open_timeout": OPEN_S,
            "ping_interval": 20,
            "ping_timeout": 20,
            "max_size": MOST_MESSAGE_BYTES,
            "compression": None,
        }
        socket = manager.multiplex_socket([f"{it.lower()}@kline_1h" for it in sorted(self._symbols)])
        socket.MAX_RECONNECTS, socket.TIMEOUT = 0, READ_S
        return socket

    def _take(self, message: Any) -> None:
        """Take in one message. Raises StreamTroubleError for the library's word that the connection is over, DataError for
        what is no kline."""
        if isinstance(message, dict) and message.get("e") == "error":
            bad = "JSONDecodeError" in str(message.get("type"))  # a text that is no JSON
            self._state = replace(self._state, bad_messages=self._state.bad_messages + bad)
            raise StreamTroubleError(f"{message.get('type')}: {message.get('m')}"[:200])
        try:
            bar = closed_bar(message, self._symbols)
        except DataError:
            self._state = replace(self._state, bad_messages=self._state.bad_messages + 1)
            raise
        if bar is not None:
            self._closed(bar)
        back = not self._state.alive
        state = replace(
            self._state, alive=True, last_message_ms=_now_ms(), messages=self._state.messages + 1, trouble=""
        )
        self._note(state, now=back)
        if back and self._lost:
            self._lost = False
            self._say("the stream of klines is back")

    def _troubled(self, error: BaseException) -> None:
        """The stream is lost: said once until it is back."""
        words = str(error) or type(error).__name__
        was_alive = self._state.alive
        self._note(replace(self._state, alive=False, trouble=words.splitlines()[0][:200]), now=True)
        if not self._ending.is_set() and (was_alive or not self._lost):
            self._lost = True
            self._say(
                f"the stream of klines is lost ({words}); the schedule ticks without it until it is back"
            )

    def _note(self, state: StreamState, *, now: bool) -> None:
        self._state = state
        if now or time.monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = time.monotonic()
            self._told(state)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond `stop`."""
        end_s = time.monotonic() + seconds
        while not self._ending.is_set() and (left_s := end_s - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, 0.1))


def first_message_s(url: str, symbols: Collection[str], patience_s: float) -> float:
    """Connect, and the seconds until the first kline came. Raises DataError, with the trouble, where none comes within
    patience_s."""
    heard = threading.Event()
    began_s = time.monotonic()

    def told(state: StreamState) -> None:
        if state.messages:
            heard.set()

    stream = KlineStream(url, symbols, lambda _: None, told=told)
    stream.start()
    try:
        if not heard.wait(patience_s):
            raise DataError(stream.state.trouble or f"no message for {patience_s:g} s")
        return time.monotonic() - began_s
    finally:
        stream.stop()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
