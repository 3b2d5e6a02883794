"""Streams on the exchange's own port: a websocket for each client, with Binance's pings, on the thread that took the connection.

`/ws/<stream>` and `/ws/<stream>/<stream>` send plain events, `/stream?streams=<stream>/<stream>` wraps them; `SUBSCRIBE`,
`UNSUBSCRIBE` and `LIST_SUBSCRIPTIONS` work on both. The frames are those of the websockets library, without its sockets, so that
the exchange can break a connection as its faults say.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qs

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol

from trader.core.types import floor_hour
from trader.exchange.faults import plan_for
from trader.exchange.replies import Reply
from trader.exchange.stream import MOST_STREAMS, KlineFeed, dumped, symbol_of
from trader.exchange.stream_list import OpenStream
from trader.exchange.venue import Venue
from trader.exchange.wire import CHUNK_BYTES, ClientConnection, Request

# The wall's seconds between two tellings of a forming bar, between two pings, and until a client without an answer is left.
FORMING_S, PING_S, PONG_S = 2.0, 20.0, 60.0
# No wait is longer, so that the end of the exchange and of a fault's time is noticed.
LONGEST_WAIT_S = 0.5
SEND_S = 10.0
MOST_MESSAGE_BYTES = 65_536
GOING_AWAY, POLICY = 1001, 1008


def serve_stream(
    venue: Venue, connection: ClientConnection, request: Request, stopping: threading.Event
) -> None:
    """Take the handshake, and serve the client until either side ends the connection. Faults that meet the handshake's request
    answer it in the stream's place."""
    names = names_asked(request)
    symbols = [symbol for name in names if (symbol := symbol_of(name))]
    with venue.lock:
        now_ms = venue.tick()
        plan = plan_for(venue.faults, "GET", request.path, symbols, now_ms)
    spoilers = plan.of("before", "drop", "close", "reset", "reply")
    if spoilers:
        connection.send(spoilers[0].spoil(Reply()), keep_alive=False)
        return
    feed = KlineFeed(venue, names, request.path == "/stream", floor_hour(now_ms), now_ms)
    StreamConnection(venue, connection, feed, stopping).serve(request)


def names_asked(request: Request) -> list[str]:
    """The names of the streams in an address, each once."""
    if request.path == "/stream":
        text = "/".join(parse_qs(request.query.decode("latin-1")).get("streams", []))
    else:
        text = request.path.removeprefix("/ws").strip("/")
    return [name for name in dict.fromkeys(text.split("/")) if name][:MOST_STREAMS]


class StreamConnection:
    """One client's websocket."""

    def __init__(
        self, venue: Venue, connection: ClientConnection, feed: KlineFeed, stopping: threading.Event
    ) -> None:
        self._venue, self._connection, self._feed, self._stopping = venue, connection, feed, stopping
        self._sock = connection.sock
        self._protocol = ServerProtocol(max_size=MOST_MESSAGE_BYTES)
        self._forming_s = self._ping_s = 0.0
        self._ponged_s = time.monotonic()

    def serve(self, request: Request) -> None:
        """Until either side ends the connection."""
        self._sock.settimeout(SEND_S)
        self._protocol.receive_data(_head_of(request) + self._connection.rest())
        for asked in self._protocol.events_received():
            if isinstance(asked, HandshakeRequest):
                self._protocol.send_response(self._protocol.accept(asked))
        self._flush()
        if self._protocol.state is not State.OPEN:
            return
        self._ping_s = time.monotonic() + PING_S
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)

            def wake() -> None:
                with contextlib.suppress(OSError):
                    ours.send(b"!")

            told = OpenStream(self._feed.streams, self._feed.born_ms)
            with self._venue.streams.opened(told, wake):
                while not self._stopping.is_set() and self._turn(theirs, told):
                    pass

    def _turn(self, woken: socket.socket, told: OpenStream) -> bool:
        """Send what is due, then wait for the client, the clock or the next message; False where the connection is over."""
        wait_s = self._send_due(told)
        if wait_s is None:
            return False
        ready, _, _ = select.select([self._sock, woken], [], [], wait_s)
        if woken in ready:
            woken.recv(CHUNK_BYTES)
        if self._sock not in ready:
            return True
        piece = self._sock.recv(CHUNK_BYTES)
        if piece:
            self._protocol.receive_data(piece)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._heard(event)
        self._flush()
        return bool(piece) and self._protocol.state is State.OPEN

    def _send_due(self, told: OpenStream) -> float | None:
        """Send; then the wall's seconds until something is due again, None where the connection is to end."""
        wall_s = time.monotonic()
        with_forming = wall_s >= self._forming_s
        with self._venue.lock:
            now_ms, speed = self._venue.tick(), self._venue.clock.speed
            messages = self._feed.messages(now_ms, with_forming)
            over = told.closing or self._feed.is_over(now_ms)
            until_ms = self._feed.next_due_ms(now_ms) - now_ms
            told.sent += len(messages)
        for text in messages:
            self._protocol.send_text(text.encode())
        if with_forming:
            self._forming_s = wall_s + FORMING_S
        if wall_s >= self._ping_s:
            self._protocol.send_ping(str(now_ms).encode())
            self._ping_s = wall_s + PING_S
        silent = wall_s - self._ponged_s > PONG_S + PING_S
        if over or silent:
            self._protocol.send_close(POLICY if silent else GOING_AWAY)
        self._flush()
        if over or silent:
            return None
        waits = [LONGEST_WAIT_S, self._forming_s - wall_s]
        return max(0.0, min([*waits, until_ms / 1000 / speed] if speed else waits))

    def _heard(self, frame: Frame) -> None:
        """Pings and the end of a connection are the library's matter."""
        if frame.opcode is Opcode.PONG:
            self._ponged_s = time.monotonic()
        elif frame.opcode is Opcode.TEXT:
            with self._venue.lock:
                said = _answer(self._feed, bytes(frame.data))
            with contextlib.suppress(InvalidState):
                self._protocol.send_text(dumped(said).encode())

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._sock.sendall(data)
            else:
                self._sock.shutdown(socket.SHUT_WR)


def _answer(feed: KlineFeed, text: bytes) -> dict[str, Any]:
    """Binance's answer to a client's message."""
    try:
        asked = json.loads(text)
        method, names, number = asked["method"], asked.get("params", []), asked.get("id")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}, "id": None}
    if method == "LIST_SUBSCRIPTIONS":
        return {"result": list(feed.streams), "id": number}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return {
            "error": {"code": 2, "msg": "Invalid request: params must be a list of streams"},
            "id": number,
        }
    if method == "SUBSCRIBE":
        feed.streams[:] = list(dict.fromkeys([*feed.streams, *names]))[:MOST_STREAMS]
    elif method == "UNSUBSCRIBE":
        feed.streams[:] = [name for name in feed.streams if name not in names]
    else:
        return {"error": {"code": 2, "msg": f"Invalid request: unknown variant {method!r}"}, "id": number}
    return {"result": None, "id": number}


def _head_of(request: Request) -> bytes:
    """The request's head once more, for the library that answers the handshake."""
    target = request.path + (f"?{request.query.decode('latin-1')}" if request.query else "")
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
