"""HTTP with one patience for a whole answer: a server that drips a byte a second is given up in time, one that floods too.

The timeout of requests is counted anew at every byte that arrives. Here every wait of a request, from its first byte
sent to the last one received, comes out of one budget. Nothing is ever sent twice.
"""

from __future__ import annotations

import io
import math
import socket
import time
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError

# A page of 1,000 klines has 200 kB, and nothing that is asked for here has more.
MOST_BYTES = 32 << 20


class Deadline:
    """The instant, on the monotonic clock, at which the answer that is awaited must be whole, and its size's bound."""

    def __init__(self) -> None:
        self._at = math.inf
        self._bytes_left = MOST_BYTES

    def set(self, timeout_s: float) -> None:
        """Start the patience with a new answer."""
        self._at = time.monotonic() + timeout_s
        self._bytes_left = MOST_BYTES

    def count(self, size: int) -> None:
        """Note bytes that have come. Raises OSError for an answer without measure."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise OSError(f"the answer has over {MOST_BYTES >> 20} MiB")

    def left_s(self) -> float:
        """Seconds that are left. Raises TimeoutError when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not whole in time")
        return left


class DeadlineAdapter(HTTPAdapter):
    """A transport whose answers must be whole `timeout_s` after they were asked for. One request at a time.

    A name that is looked up, and further addresses of a host that does not let one connect, come on top; then the
    request has not been sent, and the error says so.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadline = Deadline()
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Connections of this adapter's pools know its deadline."""
        super().init_poolmanager(*args, **kwargs)
        known = {"deadline": self._deadline}
        plain = type("Plain", (HTTPConnectionPool,), {"ConnectionCls": type("_", (_Plain,), known)})
        tls = type("Tls", (HTTPSConnectionPool,), {"ConnectionCls": type("_", (_Tls,), known)})
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": tls}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send once; the patience begins now."""
        self._deadline.set(self._timeout_s)
        return super().send(request, *args, **kwargs)


class _Timed:
    """What both kinds of connection share: reads that know the deadline."""

    deadline: Deadline
    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # of the class this is mixed into
        try:
            self.deadline.left_s()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, str(error)) from None
        self.sock = _TimedSocket(self.sock, self.deadline)


class _Plain(_Timed, HTTPConnection): ...


class _Tls(_Timed, HTTPSConnection): ...


class _TimedSocket:
    """A connected socket; files made of it read within the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        """What http.client reads an answer from; it asks for "rb" only."""
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _TimedReader(io.RawIOBase):
    """Reads a socket; before each wait its timeout becomes what is left."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left_s())
        size = self._raw.readinto(buffer)
        self._deadline.count(size or 0)
        return size

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
