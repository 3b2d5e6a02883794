"""The embedded exchange on one core: signed orders through python-binance, pages of candles, and its start."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers, tape
from benchmarks.figure import Figure
from benchmarks.scene import ROOT, bars_file, median, trader
from trader.core.types import HOUR_MS, parse_hour

AT = parse_hour("2022-01-01")
ROWS = 1_000
# Behind the exchange, whose clock stands still while a round goes on, and within recvWindow.
BEHIND_MS = 5_000


@dataclass(frozen=True, slots=True)
class Size:
    """Rounds of orders, orders in each, starts, pages, symbols of the account that trades several."""

    rounds: int = 5
    orders: int = 200
    starts: int = 5
    pages: int = 60
    symbols: int = 20


def run() -> list[Figure]:
    """As often as a median needs."""
    return _figures(Size())


def run_small() -> list[Figure]:
    """A few of each."""
    return _figures(Size(rounds=1, orders=20, starts=1, pages=4, symbols=2))


def _figures(size: Size) -> list[Figure]:
    """Everything on one core, shared by the server and its client; FastAPI answers the same requests with constants."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        with tempfile.TemporaryDirectory() as name:
            file = bars_file(Path(name))
            note = "made bars: there is no data folder" if file.is_relative_to(name) else "real bars"
            starts = [_start_s(file) for _ in range(size.starts)]
            written = _recorded(file, Path(name) / "tape.jsonl")
            several = ("BTCUSDT", *(f"S{n}USDT" for n in range(1, size.symbols)))
            with exchange(file) as ready, fastapi(written) as other, exchange_of(several) as book:
                ours, theirs, booked = client_of(ready), client_of({**ready, "url": other}), client_of(book)
                rounds = [
                    (
                        orders_a_second(ours, ready["url"], size.orders),
                        orders_a_second(theirs, None, size.orders),
                        orders_a_second(booked, book["url"], size.orders, several),
                    )
                    for _ in range(size.rounds)
                ]
                pages = [(_page_ms(ours, n), _page_ms(theirs, n)) for n in range(size.pages)]
    finally:
        os.sched_setaffinity(0, allowed)
    orders, orders_other, of_several = (median([each[i] for each in rounds]) for i in range(3))
    page_ms, page_ms_other = (median([pair[i] for pair in pages]) for i in (0, 1))
    return [
        Figure("signed orders through python-binance, one core", orders, "at least", 300, "a second"),
        Figure(
            "of what FastAPI answers with constants",
            orders / orders_other,
            note=f"{orders_other:.0f} a second",
        ),
        Figure(f"of these, with {size.symbols} symbols on the account", of_several / orders, "at least", 0.9),
        Figure("a page of 1,000 klines through python-binance", page_ms, "at most", 10, "ms"),
        Figure(
            "of the time that FastAPI takes for a constant",
            page_ms / page_ms_other,
            note=f"{page_ms_other:.1f} ms",
        ),
        Figure("start to ready line, 55,000 bars", median(starts), "at most", 1, "s", note),
    ]


def _recorded(file: Path, path: Path) -> Path:
    """A tape with a page of klines and an order, as the exchange answers them."""
    with exchange(file) as ready, tape.recording(ready["url"]) as relay:
        client = client_of({**ready, "url": relay.url})
        orders_a_second(client, relay.url, 1)
        _page_ms(client, 0)
        tape.write(relay.kept, path)
    return path


@contextmanager
def fastapi(written: Path) -> Iterator[str]:
    """FastAPI under uvicorn in the peers' environment, which answers a tape's paths with their bodies; its address."""
    side = Path(__file__).with_name("fastapi_side.py")
    command = [peers.python("FASTAPI_PYTHON"), str(side), str(written)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield (child.stdout.readline() if child.stdout else "").strip()
        finally:
            child.terminate()


@contextmanager
def exchange(file: Path, at: str = "2022-01-01", tree: Path = ROOT) -> Iterator[dict[str, str]]:
    """`trader exchange` of a checkout as a child, its ready line."""
    with _served("--bars", str(file), "--symbol", "BTCUSDT", "--at", at, tree=tree) as ready:
        yield ready


@contextmanager
def exchange_of(symbols: Sequence[str]) -> Iterator[dict[str, str]]:
    """`trader exchange` as a child that trades several synthetic markets, its ready line."""
    with _served("--synthetic", "7", "--symbols", ",".join(symbols), "--at", "2022-01-01") as ready:
        yield ready


@contextmanager
def _served(*market: str, tree: Path = ROOT) -> Iterator[dict[str, str]]:
    command = trader("exchange", *market, "--port", "0", "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tree) as child:
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


def orders_a_second(
    client: Any, url: str | None, orders: int, symbols: Sequence[str] = ("BTCUSDT",)
) -> float:
    """Market orders, there and back, each signed, booked and told in full, in one symbol after the other. A fresh minute begins
    each round, where the exchange at `url` has a clock."""
    if url:
        now_ms = client.get_server_time()["serverTime"] + 60_000
        body = json.dumps({"to": now_ms}).encode()
        urllib.request.urlopen(f"{url}/sim/clock", body, timeout=10).close()  # noqa: S310 - loopback
        client.timestamp_offset = now_ms - time.time() * 1000 - BEHIND_MS + 1_000
    began = time.perf_counter()
    for n in range(orders):
        side, amount = ("BUY", "100") if n % 2 == 0 else ("SELL", "98")
        symbol = symbols[n // 2 % len(symbols)]
        told = client.create_order(symbol=symbol, side=side, type="MARKET", quoteOrderQty=amount)
        if told["status"] != "FILLED":
            raise RuntimeError(f"an order of the benchmark ended {told['status']}")
    return orders / (time.perf_counter() - began)


def _page_ms(client: Any, number: int) -> float:
    """One page, half of its rows never asked for before."""
    end = AT - number * ROWS * HOUR_MS // 2 - 1
    began = time.perf_counter()
    rows = client.get_klines(symbol="BTCUSDT", interval="1h", endTime=end, limit=ROWS)
    took_ms = (time.perf_counter() - began) * 1000
    if len(rows) != ROWS:
        raise RuntimeError(f"a page of the benchmark has {len(rows)} rows")
    return took_ms
