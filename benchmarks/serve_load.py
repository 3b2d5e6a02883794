"""Load for an HTTP server: wrk for rates, and an open loop for waits.

wrk sends the next request when the last was answered, so it cannot see a queue that its own patience hides. The open loop sends
by a schedule, whether or not answers come, and counts from the moment at which a request was due.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """What wrk saw. refused: answers that were not 2xx or 3xx. failed: connections that were not made, or ended or were silent
    instead of an answer. longest_s: the longest wait."""

    per_second: float
    requests: int
    refused: int
    failed: int
    longest_s: float


def has_wrk() -> bool:
    """Whether wrk is installed (Debian's package of that name)."""
    return shutil.which("wrk") is not None


def wrk(
    url: str, body: bytes, core: int, connections: int, seconds: float, headers: tuple[str, ...] = ()
) -> Rate:
    """POST this body without end, from one core. headers: more lines of the request's head."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "post.lua"
        text = body.decode().replace("\\", "\\\\").replace("'", "\\'")
        lines = ["wrk.method='POST'", f"wrk.body='{text}'"]
        for name_of, _, value in (it.partition(": ") for it in ("Content-Type: application/json", *headers)):
            lines.append(f"wrk.headers['{name_of}']='{value}'")
        script.write_text("\n".join(lines))
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s"]
        done = subprocess.run(
            ["taskset", "-c", str(core), *words, str(script), url], capture_output=True, text=True, check=True
        )
    said = done.stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    total = re.search(r"(\d+) requests in", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: (.+)", said)
    latency = re.search(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s|m)\b", said)
    if not (rate and total and latency):
        raise RuntimeError(f"wrk said: {said}{done.stderr}")
    return Rate(
        float(rate[1]),
        int(total[1]),
        int(refused[1]) if refused else 0,
        sum(map(int, re.findall(r"\d+", errors[1]))) if errors else 0,
        float(latency[1]) * _UNITS[latency[2]],
    )


@dataclass(slots=True)
class Waits:
    """Seconds of each request until its answer: from when it was due, and from when it was sent; and how many had each status. 0
    is a connection that failed; failures: how, as Python names it."""

    seconds: list[float] = field(default_factory=list)
    from_sent: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """Of all waits from when a request was due."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def share(self, *codes: int) -> float:
        """Of all requests those with one of these statuses."""
        return sum(self.codes[code] for code in codes) / max(1, len(self.seconds))


def open_loop(
    url: str,
    body: bytes,
    per_second: float,
    seconds: float,
    connections: int = 64,
    headers: tuple[str, ...] = (),
) -> Waits:
    """POST this body so often by the clock, each request on a connection that is free; a new one where none is, up to
    `connections`. Beyond these a request waits here, and its time runs. headers: more lines of the request's head."""
    return asyncio.run(_open_loop(url, body, per_second, seconds, connections, headers))


async def _open_loop(
    url: str, body: bytes, per_second: float, seconds: float, connections: int, headers: tuple[str, ...]
) -> Waits:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    lines = (
        f"POST {parts.path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    pool = _Pool(host, port, "\r\n".join((*lines, "", "")).encode() + body, connections)
    began, many = time.perf_counter(), int(per_second * seconds)
    for n in range(many):
        due = began + n / per_second
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        elif n % 16 == 0:
            await asyncio.sleep(0)
        pool.ask(due)
    while len(pool.waits.seconds) < many:
        await asyncio.sleep(0.01)
    pool.close()
    return pool.waits


class _Pool:
    """Connections to one server, and the requests that wait for one."""

    def __init__(self, host: str, port: int, request: bytes, most: int) -> None:
        self._host, self._port, self._request, self._most = host, port, request, most
        self._free: list[_Link] = []
        self._due: deque[float] = deque()
        self._open = 0
        self._opening: set[asyncio.Task[None]] = set()
        self.waits = Waits()

    def ask(self, due: float) -> None:
        """Send a request that is due, or keep it until a connection is free."""
        if self._free:
            self._free.pop().send(self._request, due)
            return
        self._due.append(due)
        if self._open < self._most:
            self._open += 1
            task = asyncio.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(lambda: _Link(self), self._host, self._port)
        except OSError as error:
            self._open -= 1
            if self._due:
                due = self._due.popleft()
                self.answered(due, time.perf_counter(), 0, type(error).__name__)
            return
        self.free(link)

    def free(self, link: _Link) -> None:
        """A connection that may be used: by whoever waits longest."""
        if self._due:
            link.send(self._request, self._due.popleft())
        else:
            self._free.append(link)

    def lost(self, link: _Link) -> None:
        """A connection that has ended."""
        self._open -= 1
        if link in self._free:
            self._free.remove(link)
        if self._due:
            self.ask(self._due.popleft())

    def answered(self, due: float, sent: float, code: int, failure: str = "") -> None:
        """Write a wait down."""
        now = time.perf_counter()
        self.waits.seconds.append(now - due)
        self.waits.from_sent.append(now - sent)
        self.waits.codes[code] += 1
        if failure:
            self.waits.failures[failure] += 1

    def close(self) -> None:
        """End all connections."""
        for link in self._free:
            link.transport.abort()


class _Link(asyncio.Protocol):
    """One connection, with one request at a time."""

    transport: asyncio.Transport

    def __init__(self, pool: _Pool) -> None:
        self._pool, self._read = pool, bytearray()
        self._asked: tuple[float, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request."""
        self._asked = due, time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._read[:end]).lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        if length is None or len(self._read) < end + 4 + int(length[1]) or self._asked is None:
            return
        due, sent = self._asked
        self._asked = None
        self._read.clear()
        self._pool.answered(due, sent, int(head.split(None, 2)[1]))
        if b"connection: close" in head:
            self.transport.close()
        else:
            self._pool.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that does not come any more."""
        if self._asked is not None:
            self._pool.answered(*self._asked, 0, type(exc).__name__ if exc else "closed before an answer")
            self._asked = None
        self._pool.lost(self)
