"""HTTP with one patience for a whole answer: a server that drips a byte a second is given up in time, one that floods too.

A read's timeout is usually counted anew at every byte that arrives. Here every wait of a request, from its first byte
sent to the last one received, comes out of one budget. Nothing is ever sent twice, no redirect is followed, no cookie is
kept, and neither proxies nor passwords are taken from the environment.
"""

from __future__ import annotations

import io
import json
import math
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import certifi
from urllib3 import HTTPHeaderDict, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, LocationValueError
from urllib3.util import parse_url

from trader.core.errors import ConfigError

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


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whole, in what python-binance asks of one."""

    status_code: int
    headers: HTTPHeaderDict
    content: bytes

    @property
    def text(self) -> str:
        """As UTF-8, with a replacement for what is none."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Raises ValueError for what is no JSON."""
        return json.loads(self.content)


class DeadlineSession:
    """What python-binance asks through: one host, one request at a time, each answer whole `timeout_s` after it was asked for.

    A name that is looked up, and further addresses of a host that does not let one connect, come on top; then the
    request has not been sent, and the error says so. What fails raises what urllib3 raises. Raises ConfigError for a
    `url` that is no address.
    """

    def __init__(self, url: str, headers: dict[str, str], timeout_s: float, connect_s: float) -> None:
        self._deadline = Deadline()
        self._timeout_s = timeout_s
        self._headers = {"Accept-Encoding": "gzip, deflate"} | headers
        self.pool, self._origin = _pool_of(url, self._deadline)
        self.pool.timeout = Timeout(connect=min(connect_s, timeout_s), read=timeout_s)

    def get(self, uri: str, **asked: Any) -> Reply:
        """GET."""
        return self.request("GET", uri, **asked)

    def post(self, uri: str, **asked: Any) -> Reply:
        """POST."""
        return self.request("POST", uri, **asked)

    def request(
        self,
        method: str,
        uri: str,
        headers: dict[str, str],
        params: str = "",
        data: list[tuple[str, Any]] | None = None,
        timeout: object = None,
    ) -> Reply:
        """Send once; the patience begins now. `params` are a query as it shall be, `data` a form; the client's own `timeout` says
        nothing. Raises LocationValueError for an address at another host: nothing was sent."""
        target = uri.removeprefix(self._origin)
        if not target.startswith("/"):
            raise LocationValueError(f"{uri} is not at {self._origin}")
        self._deadline.set(self._timeout_s)
        answer = self.pool.urlopen(
            method,
            f"{target}?{params}" if params else target,
            body=urlencode(data) if data else None,
            headers=self._headers | headers,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        # Unpacked as it comes, so that a small answer cannot become a large one unseen.
        content = answer.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            answer.close()
            raise OSError(f"the answer has over {MOST_BYTES >> 20} MiB")
        answer.release_conn()
        return Reply(answer.status, answer.headers, content)

    def close(self) -> None:
        """Give back the connection."""
        self.pool.close()


def _pool_of(url: str, deadline: Deadline) -> tuple[HTTPConnectionPool, str]:
    """Connections to the host of an address that know the deadline, and scheme, host and port as the address has them."""
    wrong = ConfigError(f"{url!r} is no address of an exchange; write https://host or http://host:port")
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise wrong
    origin = url[: len(url) - len(parts.request_uri)] if parts.path else url
    known = {"deadline": deadline}
    if parts.scheme == "http":
        pool = HTTPConnectionPool(parts.host, parts.port)
        pool.ConnectionCls = type("_", (_Plain,), known)
        return pool, origin
    tls = HTTPSConnectionPool(parts.host, parts.port, cert_reqs="CERT_REQUIRED", ca_certs=certifi.where())
    tls.ConnectionCls = type("_", (_Tls,), known)
    return tls, origin


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
