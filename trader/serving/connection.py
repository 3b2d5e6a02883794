"""Connections that a client cannot hold, and requests beyond what is answered in time: these are told 503, and none is reset."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from trader.serving.bounds import Bounds
from trader.serving.refusal import RETRY_AFTER_S

# After its answer a refused connection may still send what it had begun, for so long: closed before, it would be reset, and a
# client that is reset while it sends does not read its answer.
LINGER_S = 1.0
# h11 has this bound, and httptools, which uvicorn takes where it is installed, has none. It is looked at after each reading.
MOST_HEAD_BYTES = 1 << 16
# So many times the connections that are taken may wait to be told that there are too many. One turn of the event loop accepts as
# many as the listener's queue holds, 1,024, and hears them a few turns later.
MOST_REFUSED = 4

_RETRY = b"%d" % RETRY_AFTER_S
_FULL_BODY = b'{"error":"too many connections; ask again"}'
_BUSY_BODY = b'{"error":"too many requests wait for their turn; ask again"}'


def _whole_answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = (
        b"HTTP/1.1 %b" % status,
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_UNAVAILABLE, _ENDS, _LATER = b"503 Service Unavailable", b"connection: close", b"retry-after: %b" % _RETRY
FULL = _whole_answer(_UNAVAILABLE, _FULL_BODY, _LATER, _ENDS)
BUSY = _whole_answer(_UNAVAILABLE, _BUSY_BODY, _LATER)
MALFORMED = _whole_answer(
    b"400 Bad Request",
    b'{"error":"this is not valid HTTP/1.1: the request line, a header, Content-Length or a chunk is malformed, or the head '
    b'is too large; send the request by an HTTP library"}',
    _ENDS,
)

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?:\r\n|\Z)")
# What makes a request more than a head and a body, or its connection end: the HTTP parser reads these.
_MORE = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade|connection)[ \t]*:")


def is_whole(data: bytes) -> bool:
    """Whether these bytes are one request of HTTP/1.1, a GET or a POST, from its first byte to its last, and nothing else."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or not head.startswith((b"POST ", b"GET ")) or b" HTTP/1.1\r\n" not in head:
        return False
    lower = head.lower()
    if _MORE.search(lower) is not None:
        return False
    said = lower.count(b"content-length")
    if head.startswith(b"GET "):
        return not (said or body)
    lengths = _LENGTH.findall(lower)
    return said == len(lengths) == 1 and int(lengths[0]) == len(body)


Message = MutableMapping[str, Any]
App = Callable[[Message, Any, Any], Awaitable[None]]


class Turns:
    """An ASGI application around another one, which counts the tasks whose turn has come.

    uvicorn makes a task of every request that arrives. Those without a turn yet are the queue of the event loop.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.begun = 0

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """One request, or the application's life."""
        if scope["type"] == "http":
            self._begin()
        await self._app(scope, receive, send)

    async def busy(self, scope: Message, receive: Any, send: Any) -> None:
        """An application that says 503 to every request."""
        self._begin()
        length = b"%d" % len(_BUSY_BODY)
        headers = [
            (b"content-type", b"application/json"),
            (b"retry-after", _RETRY),
            (b"content-length", length),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": _BUSY_BODY})

    def _begin(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.begun += 1
            task.add_done_callback(self._ended)  # in the moment in which uvicorn forgets the task

    def _ended(self, _: asyncio.Task[Any]) -> None:
        self.begun -= 1


def bounded_protocol(  # noqa: C901  # a class of small methods
    base: Any, bounds: Bounds, shed: Callable[[str], None], turns: Turns
) -> Any:
    """A class of connections like uvicorn's `base`, with these bounds. shed: is told of each request or connection that is
    refused.

    uvicorn has a timeout between requests, and none for a head that comes a byte a minute. It makes a task of every request,
    however many wait. Here a POST beyond `bounds.waiting` is told 503, and keeps its connection: a new one would cost more than
    the request. One that has arrived whole is not even parsed, which takes a tenth of the time of an answer.
    """

    refused: dict[Any, None] = {}  # in the order of their coming

    class BoundedProtocol(base):  # type: ignore[misc]
        """One connection."""

        _head_timer: asyncio.TimerHandle | None = None
        _refused = False
        _drops = False
        _head_bytes = 0  # since the last request began
        _whole = True  # so far each reading was one whole request, so that the parser waits for a first byte

        def connection_made(self, transport: Any) -> None:
            """Take it, or keep it until it can be told that there are too many."""
            if len(self.connections) >= bounds.connections:
                self._refused, self.transport = True, transport
                shed("connection")
                self._close_after(bounds.head_s)
                refused[self] = None
                if len(refused) > MOST_REFUSED * bounds.connections:
                    next(iter(refused)).transport.close()  # the one that has been silent longest
                return
            super().connection_made(transport)
            self._close_after(bounds.head_s)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget it."""
            self._head_is_there()
            if self._refused:
                refused.pop(self, None)
            else:
                super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Read on; until a whole head is there its time runs, and again after an answer that came before the body's end."""
            if self._drops:
                return
            if self._refused:
                self._end_with(FULL)
                return
            idle = self.cycle is None or self.cycle.response_complete
            self._whole = self._whole and idle and is_whole(data)
            busy = data.startswith(b"POST ") and len(self.tasks) - turns.begun >= bounds.waiting
            if busy:
                shed("request")
            if busy and self._whole and not self.transport.get_write_buffer_size():
                self.transport.write(BUSY)
                self._close_after(bounds.head_s)
                return
            self.app = turns.busy if busy else turns
            self._head_bytes += len(data)
            super().data_received(data)
            self._await_the_next_head()

        def _await_the_next_head(self) -> None:
            if self._drops:
                return
            if self.cycle is not None and not self.cycle.response_complete:
                self._head_bytes = 0
                self._head_is_there()
            elif self._head_bytes > MOST_HEAD_BYTES and (self.cycle is None or not self.cycle.more_body):
                self.send_400_response("too large a head")
            elif self._head_timer is None:
                self._close_after(bounds.head_s)

        def eof_received(self) -> None:
            """As the base does."""
            if not self._refused:
                super().eof_received()

        def send_400_response(self, msg: str) -> None:
            """400 to bytes that are no HTTP. What was answered before, or is being answered, is no longer mended."""
            cycle = self.cycle
            if cycle is not None and not cycle.response_complete and not cycle.more_body:
                # A request before these bytes: it gets its answer.
                cycle.keep_alive = False
                self._drops = True
            elif cycle is not None and cycle.more_body and cycle.response_started:
                self.transport.close()
            else:
                if cycle is not None and cycle.more_body:
                    cycle.disconnected = True
                    cycle.message_event.set()
                self._end_with(MALFORMED)

        def _end_with(self, answer: bytes) -> None:
            """A last answer; what follows the bytes that it is for is read and dropped."""
            self._drops = True
            self.transport.write(answer)
            self.transport.write_eof()
            self._close_after(LINGER_S)

        def _close_after(self, seconds: float) -> None:
            self._head_is_there()
            self._head_timer = self.loop.call_later(seconds, self._too_slow)

        def _head_is_there(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _too_slow(self) -> None:
            self._head_timer = None
            if self._drops or self._refused or self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return BoundedProtocol
