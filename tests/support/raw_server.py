"""A venue made of raw sockets, for what the embedded exchange cannot or must not do: any bytes, at any pace."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.support.fakes import FakeClock
from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_spot import BinanceSpot

NOW = 1_700_000_000_000
KEY, SECRET = "canaryKEY0123456789abcdef", "canarySECRET0123456789abcdef"
INFO_ROW = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001"},
        {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True},
    ],
}


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: str
    at: float

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    @property
    def params(self) -> dict[str, str]:
        """Query and body."""
        text = self.target.partition("?")[2] + "&" + self.body
        return {name: values[0] for name, values in parse_qs(text).items()}


# What a server does with a request; True keeps the connection.
Answer = Callable[[socket.socket, Heard], bool]


def http(status: int, body: Any = "", headers: dict[str, str] | None = None, keep: bool = True) -> Answer:
    """A whole answer: text as it is, anything else as JSON."""
    data = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
    head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    def answer(sock: socket.socket, heard: Heard) -> bool:
        sock.sendall(head.encode("latin-1") + b"\r\n" + data)
        return keep

    return answer


def error(status: int, code: int, message: str, **headers: str) -> Answer:
    """An error as Binance words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http(status, {"code": code, "msg": message}, named)


def raw(data: bytes) -> Answer:
    """These bytes, and the end."""

    def answer(sock: socket.socket, heard: Heard) -> bool:
        sock.sendall(data)
        return False

    return answer


def drip(data: bytes, at_once: int, pause_s: float = 0.05) -> Answer:
    """Some bytes at once, then one at a time."""

    def answer(sock: socket.socket, heard: Heard) -> bool:
        sock.sendall(data[:at_once])
        for place in range(at_once, len(data)):
            time.sleep(pause_s)
            sock.sendall(data[place : place + 1])
        return False

    return answer


def silence(sock: socket.socket, heard: Heard) -> bool:
    """Nothing, until the client goes."""
    sock.recv(1)
    return False


def close(sock: socket.socket, heard: Heard) -> bool:
    """The end, without a word."""
    return False


def reset(sock: socket.socket, heard: Heard) -> bool:
    """A RST: lingering for zero seconds makes close() send it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


@dataclass
class RawServer:
    """Answers a path's requests in the order of its script, the last one again and again."""

    scripts: dict[str, list[Answer]]
    port: int
    heard: list[Heard] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, sock: socket.socket, heard: Heard) -> bool:
        """Do what the script says, healthy things for paths without one."""
        self.heard.append(heard)
        script = self.scripts.get(heard.path) or self.scripts.get("*")
        if script:
            return (script.pop(0) if len(script) > 1 else script[0])(sock, heard)
        healthy = {"/api/v3/time": {"serverTime": NOW}, "/api/v3/exchangeInfo": {"symbols": [INFO_ROW]}}
        return http(200, healthy.get(heard.path, {}))(sock, heard)

    def of(self, path: str) -> list[Heard]:
        """What came for a path."""
        return [heard for heard in self.heard if heard.path == path]


def _read(file: Any) -> Heard | None:
    line = file.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while text := file.readline().decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", "0"))).decode()
    return Heard(line[0], line[1], headers, body, time.monotonic())


@contextmanager
def serving(
    *answers: Answer,
    path: str = "*",
    tls: ssl.SSLContext | None = None,
    scripts: Mapping[str, list[Answer]] | None = None,
    **named: list[Answer],
) -> Iterator[RawServer]:
    """A running server that answers `path` so; further paths, below /api/v3, as `klines=[...]`
    or in `scripts`, where a name may hold a slash."""
    listening = socket.create_server(("127.0.0.1", 0))
    told = {path: list(answers)} if answers else {}
    told |= {f"/api/v3/{name}": list(script) for name, script in ({**(scripts or {}), **named}).items()}
    server = RawServer(told, listening.getsockname()[1])
    open_sockets: list[socket.socket] = []

    def serve(sock: socket.socket) -> None:
        try:
            sock = tls.wrap_socket(sock, server_side=True) if tls else sock
            with sock, sock.makefile("rb") as file:
                while (heard := _read(file)) and server.answer(sock, heard):
                    pass
        except OSError:
            pass  # the client went, or the test is over

    def accept() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            open_sockets.append(sock)
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for sock in open_sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed


@contextmanager
def spot(url: str, timeout_s: float = 5.0, clock: FakeClock | None = None) -> Iterator[BinanceSpot]:
    """The account's adapter at an address; its clock moves by sleeping only."""
    adapter = BinanceSpot(VenueAddress(url, KEY, SECRET, timeout_s), clock or FakeClock(NOW))
    try:
        yield adapter
    finally:
        adapter.close()


@contextmanager
def klines(url: str, timeout_s: float = 5.0, clock: FakeClock | None = None) -> Iterator[BinanceKlines]:
    """The market's adapter at an address."""
    adapter = BinanceKlines(VenueAddress(url, timeout_s=timeout_s), clock or FakeClock(NOW))
    try:
        yield adapter
    finally:
        adapter.close()
