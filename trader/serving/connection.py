"""Connections that a client cannot hold: a head must come within seconds, and beyond a number of them 503 is said at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from trader.serving.bounds import Bounds
from trader.serving.refusal import RETRY_AFTER_S

_BODY = b'{"error":"too many connections; ask again"}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: %d\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (RETRY_AFTER_S, len(_BODY), _BODY)
)


def bounded_protocol(  # noqa: C901  # a class of six small methods
    base: Any, bounds: Bounds, shed: Callable[[str], None]
) -> Any:
    """A class of connections like uvicorn's `base`, with these bounds. shed: is told of each connection that is refused.

    uvicorn has a timeout between requests, and none for a head that comes a byte a minute; and it closes no connection for
    their number alone. So many connections at most keep the queue on one core shorter than a request may wait.
    """

    refused: set[object] = set()

    class BoundedProtocol(base):  # type: ignore[misc]
        """One connection."""

        _head_timer: asyncio.TimerHandle | None = None
        _refused = False

        def connection_made(self, transport: Any) -> None:
            """Take it, or tell it with its first bytes that there are too many; beyond twice as many it is cut off."""
            if len(self.connections) >= bounds.connections:
                self._refused, self.transport = True, transport
                shed("connection")
                refused.add(self)
                if len(refused) > bounds.connections:
                    transport.abort()
                else:
                    self._await_head()
                return
            super().connection_made(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget it."""
            self._head_is_there()
            refused.discard(self)
            if not self._refused:
                super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Read on; until a whole head is there its time runs, and again after an answer that came before the body's end."""
            if (
                self._refused
            ):  # what it sent is read first: a connection that is closed before is reset, and the answer lost
                self.transport.write(FULL)
                self.transport.close()
                return
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._head_is_there()
            elif self._head_timer is None:
                self._await_head()

        def eof_received(self) -> None:
            """As the base does."""
            if not self._refused:
                super().eof_received()

        def _await_head(self) -> None:
            self._head_timer = self.loop.call_later(bounds.head_s, self._too_slow)

        def _head_is_there(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _too_slow(self) -> None:
            self._head_timer = None
            if self._refused or self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return BoundedProtocol
