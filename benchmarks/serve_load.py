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
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """What wrk saw. refused: answers that were not 2xx or 3xx, or failed. longest_s: the longest wait."""

    per_second: float
    requests: int
    refused: int
    longest_s: float


def has_wrk() -> bool:
    """Whether wrk is installed (Debian's package of that name)."""
    return shutil.which("wrk") is not None


def wrk(url: str, body: bytes, core: int, connections: int, seconds: float) -> Rate:
    """POST this body without end, from one core."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "post.lua"
        text = body.decode().replace("\\", "\\\\").replace("'", "\\'")
        script.write_text(
            f"wrk.method='POST'\nwrk.body='{text}'\nwrk.headers['Content-Type']='application/json'\n"
        )
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s"]
        done = subprocess.run(
            ["taskset", "-c", str(core), *words, str(script), url], capture_output=True, text=True, check=True
        )
    said = done.stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    total = re.search(r"(\d+) requests in", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    latency = re.search(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s|m)\b", said)
    if not (rate and total and latency):
        raise RuntimeError(f"wrk said: {said}{done.stderr}")
    return Rate(
        float(rate[1]),
        int(total[1]),
        int(refused[1]) if refused else 0,
        float(latency[1]) * _UNITS[latency[2]],
    )


@dataclass(slots=True)
class Waits:
    """Seconds from when a request was due to its answer, by status; 0 is a connection that failed."""

    seconds: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """Of all answers."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def open_loop(url: str, body: bytes, per_second: float, seconds: float, connections: int = 64) -> Waits:
    """POST this body so often by the clock, each request on a connection that is free; a new one where none is."""
    return asyncio.run(_open_loop(url, body, per_second, seconds, connections))


async def _open_loop(url: str, body: bytes, per_second: float, seconds: float, connections: int) -> Waits:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    for _ in range(min(8, connections)):
        free.append(await asyncio.open_connection(host, port))
    waits = Waits()

    async def ask(due: float) -> None:
        try:
            reader, writer = free.pop() if free else await asyncio.open_connection(host, port)
            writer.write(head + body)
            code, keep = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            code, keep = 0, False
        waits.seconds.append(time.perf_counter() - due)
        waits.codes[code] += 1
        if keep:
            free.append((reader, writer))
        elif code:
            writer.close()

    began, tasks = time.perf_counter(), []
    for n in range(int(per_second * seconds)):
        due = began + n / per_second
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        elif n % 16 == 0:
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(ask(due)))
    await asyncio.gather(*tasks)
    for _, writer in free:
        writer.close()
    return waits


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    code = int(lines[0].split()[1])
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return code, b"connection: close" not in lines
