"""The embedded exchange on one core: signed orders through python-binance, pages of candles, and its start."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.scene import bars_file
from trader.core.types import HOUR_MS, parse_hour

AT = parse_hour("2022-01-01")
ROUNDS, ORDERS = 5, 200
STARTS, PAGES, ROWS = 5, 60, 1_000
# Behind the exchange, whose clock stands still while a round goes on, and within recvWindow.
BEHIND_MS = 5_000


def run() -> list[Figure]:
    """Everything on one core, shared by the server and its client."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        with tempfile.TemporaryDirectory() as name:
            file = bars_file(Path(name))
            note = "made bars: there is no data folder" if file.is_relative_to(name) else "real bars"
            starts = [_start_s(file) for _ in range(STARTS)]
            with exchange(file) as ready:
                client = client_of(ready)
                orders = statistics.median(orders_a_second(client, ready["url"]) for _ in range(ROUNDS))
                page_ms = statistics.median(_page_ms(client, n) for n in range(PAGES))
                client.close_connection()
    finally:
        os.sched_setaffinity(0, allowed)
    return [
        Figure("signed orders through python-binance, one core", orders, "at least", 300, "a second"),
        Figure("a page of 1,000 klines through python-binance", page_ms, "at most", 10, "ms"),
        Figure("start to ready line, 55,000 bars", statistics.median(starts), "at most", 1, "s", note),
    ]


@contextmanager
def exchange(file: Path) -> Iterator[dict[str, str]]:
    """`trader exchange` as a child, its ready line."""
    words = [
        "exchange",
        "--bars",
        str(file),
        "--symbol",
        "BTCUSDT",
        "--at",
        "2022-01-01",
        "--port",
        "0",
        "--json",
    ]
    command = [sys.executable, "-m", "trader.cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield json.loads(child.stdout.readline() if child.stdout else "")
        finally:
            child.terminate()


def _start_s(file: Path) -> float:
    """Seconds from the command to its ready line."""
    began = time.perf_counter()
    with exchange(file):
        return time.perf_counter() - began


def client_of(ready: dict[str, str]) -> Any:
    """The unmodified client, its one address changed."""
    from binance.client import Client

    client = Client(ready["api_key"], ready["api_secret"], ping=False)
    client.API_URL = f"{ready['url']}/api"
    client.session.trust_env = False
    return client


def orders_a_second(client: Any, url: str) -> float:
    """Market orders, there and back, each signed, booked and told in full. A fresh minute begins each round."""
    now_ms = client.get_server_time()["serverTime"] + 60_000
    body = json.dumps({"to": now_ms}).encode()
    urllib.request.urlopen(f"{url}/sim/clock", body, timeout=10).close()  # noqa: S310 - loopback
    client.timestamp_offset = now_ms - time.time() * 1000 - BEHIND_MS + 1_000
    began = time.perf_counter()
    for n in range(ORDERS):
        side, amount = ("BUY", "100") if n % 2 == 0 else ("SELL", "98")
        told = client.create_order(symbol="BTCUSDT", side=side, type="MARKET", quoteOrderQty=amount)
        if told["status"] != "FILLED":
            raise RuntimeError(f"an order of the benchmark ended {told['status']}")
    return ORDERS / (time.perf_counter() - began)


def _page_ms(client: Any, number: int) -> float:
    """One page, half of its rows never asked for before."""
    end = AT - number * ROWS * HOUR_MS // 2 - 1
    began = time.perf_counter()
    rows = client.get_klines(symbol="BTCUSDT", interval="1h", endTime=end, limit=ROWS)
    took_ms = (time.perf_counter() - began) * 1000
    if len(rows) != ROWS:
        raise RuntimeError(f"a page of the benchmark has {len(rows)} rows")
    return took_ms
