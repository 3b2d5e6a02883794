"""Random requests in three symbols over HTTP: none crashes, none that was refused changes anything, no unit is lost. They are
5,000, and 100,000 in `make test-long`.

The bytes of a life become a session of requests on one keep-alive connection to a fresh exchange: orders, cancels,
queries, moves of the clock, nonsense; in a quarter of the lives faults are active too.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.random_requests import BYTES_PER_REQUEST, FAULTS, Dice, Known, Shot, World, shot_of
from tests.support.venue_kit import AT, BOOK, config, with_gap
from trader.core.types import HOUR_MS
from trader.exchange.limits import RequestLimits
from trader.exchange.server import EmbeddedExchange

REQUESTS = 250
# A seed, and how many sessions are drawn from it.
GROUPS = [(0, 20), *(pytest.param(group, 100, marks=pytest.mark.long) for group in range(4))]
CHECK_EVERY = 50
START = {"USDT": Decimal(10_000), "BTC": Decimal("0.5"), "ETH": Decimal(5), "SOL": Decimal(0)}
FREE = RequestLimits(10**9, 10**9, 10**9, 10**9)
# ETHUSDT is shut in its second hour.
TRADED = (BOOK[0], replace(BOOK[1], bars=with_gap(BOOK[1].bars, AT + 2 * HOUR_MS)), BOOK[2])
# What a server that works may say to a random request; 503 is a venue that is shut beyond the last bar.
HONEST = {200, 400, 401, 404, 411, 413, 418, 429, 431, 503}
ZERO = Decimal(0)


class Wire:
    """One keep-alive connection, opened anew where the exchange ended it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock: socket.socket | None = None
        self._buffer = b""

    def ask(self, shot: Shot) -> tuple[int, bytes]:
        """Status and body; status 0 where the connection ended without a whole answer."""
        lines = [b"%s %s HTTP/1.1" % (shot.method.encode(), shot.target), b"host: localhost", *shot.headers]
        if shot.body:
            lines.append(b"content-length: %d" % len(shot.body))
        try:
            if self._sock is None:
                self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=20)
                self._buffer = b""
            self._sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + shot.body)
            return self._answer()
        except ConnectionError:
            self.close()
            return 0, b""

    def _answer(self) -> tuple[int, bytes]:
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(rest) < length:
            self._receive()
            rest = self._buffer[len(head) + 4 :]
        self._buffer = rest[length:]
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), rest[:length]

    def _receive(self) -> None:
        piece = self._sock.recv(65_536) if self._sock else b""
        if not piece:
            raise ConnectionError
        self._buffer += piece

    def close(self) -> None:
        """End the connection."""
        if self._sock:
            self._sock.close()
        self._sock = None


@dataclass
class Life:
    """One exchange, one client, and everything that must hold between them."""

    exchange: EmbeddedExchange
    wire: Wire
    is_faulty: bool
    statuses: dict[int, int] = field(default_factory=dict)

    def fingerprint(self) -> tuple[Any, ...]:
        """The whole state that a request may change."""
        account = self.exchange.venue.account
        resting = tuple((o.symbol, o.order_id, o.status, o.executed_qty) for o in account.open_orders())
        return (
            dict(account.free),
            dict(account.locked),
            [(it.next_order_id, it.next_trade_id) for it in account.orders.values()],
            len(account.history),
            resting,
            self.exchange.venue.clock.now(),
            len(self.exchange.venue.faults),
        )

    def world(self) -> World:
        """What a client would know."""
        venue = self.exchange.venue
        now_ms = venue.clock.now()
        known = [
            Known(
                it.symbol,
                it.market.last_price(now_ms),
                it.rules.value("PRICE_FILTER", "tickSize"),
                it.orders.next_order_id,
            )
            for it in venue.instruments.values()
        ]
        return World(now_ms, known)

    def fire(self, data: bytes) -> None:
        """One request: an answer in shape, and no change that it was not entitled to."""
        shot, before = shot_of(data, self.world()), self.fingerprint()
        status, body = self.wire.ask(shot)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.is_faulty:
            return
        assert status in HONEST, (shot, status, body)
        if status != 200 or not shot.may_change:
            assert self.fingerprint() == before, (shot, status, body)
        if body and not shot.target.startswith(b"/sim/") and not body.startswith(b"<html"):
            told = json.loads(body)
            assert status == 200 or (told["code"] < 0 and told["msg"]), (shot, status, body)

    def get(self, target: str) -> Any:
        """The control channel, which no fault reaches."""
        status, body = self.wire.ask(Shot("GET", target.encode()))
        assert status == 200
        return json.loads(body)

    def audit(self) -> None:
        """The slow twin: every balance rebuilt from the ledger, and every order in itself consistent."""
        rows = [
            row
            for row in self.get("/sim/ledger?all=true")
            if row["epoch"] == self.exchange.venue.account.epoch
        ]
        total, locked = dict(START), dict.fromkeys(START, ZERO)
        for row in rows:
            fills = [(Decimal(f["price"]), Decimal(f["qty"]), f) for f in row["fills"]]
            is_buy, base = row["side"] == "BUY", row["symbol"].removesuffix("USDT")
            sign = 1 if is_buy else -1
            executed, quote = Decimal(row["executedQty"]), Decimal(row["cummulativeQuoteQty"])
            assert executed == sum((qty for _, qty, _ in fills), ZERO) <= Decimal(row["origQty"])
            assert quote == sum((price * qty for price, qty, _ in fills), ZERO)
            total[base] += sign * executed
            total["USDT"] -= sign * quote
            for _, _, fill in fills:
                assert fill["commissionAsset"] == (base if is_buy else "USDT")
                total[fill["commissionAsset"]] -= Decimal(fill["commission"])
            left = Decimal(row["origQty"]) - executed
            assert (row["status"] == "FILLED") == (left == 0), row
            if row["status"] in ("NEW", "PARTIALLY_FILLED"):
                locked["USDT" if is_buy else base] += left * Decimal(row["price"]) if is_buy else left
            self._within_filters(row)
        told = self.get("/sim/balances")
        for asset, pair in told.items():
            free, held = Decimal(pair["free"]), Decimal(pair["locked"])
            assert (free + held, held) == (total[asset], locked[asset]), asset
            assert free >= 0
        for it in self.exchange.venue.instruments:
            of_symbol = [row for row in rows if row["symbol"] == it]
            ids = [fill["tradeId"] for row in of_symbol for fill in row["fills"]]
            assert sorted(ids) == list(range(1, len(ids) + 1))
            assert [row["orderId"] for row in of_symbol] == list(range(1, len(of_symbol) + 1))
            names = [
                row["clientOrderId"] for row in of_symbol if row["status"] in ("NEW", "PARTIALLY_FILLED")
            ]
            assert len(names) == len(set(names)), "two open orders of a symbol under one client order id"

    def _within_filters(self, row: dict[str, Any]) -> None:
        qty, price = Decimal(row["origQty"]), Decimal(row["price"])
        rules = next(it.filters for it in TRADED if it.name == row["symbol"])
        assert qty > 0
        assert qty % rules.step_size == 0
        assert price % rules.tick_size == 0
        if row["type"] != "MARKET":
            assert qty * price >= rules.min_notional


@contextmanager
def life(data: bytes) -> Iterator[Life]:
    """A fresh exchange; the first bytes say whether it has Binance's limits, and whether faults are active."""
    dice = Dice(data)
    limits = RequestLimits() if dice.rarely(8) else FREE
    faults = [dice.pick(FAULTS) for _ in range(1 + dice.below(3))] if dice.rarely(4) else []
    exchange = EmbeddedExchange(config(traded=TRADED, balances=START, limits=limits, faults=faults))
    exchange.start()
    wire = Wire(int(exchange.url.rpartition(":")[2]))
    try:
        yield Life(exchange, wire, bool(faults))
    finally:
        wire.close()
        exchange.stop()


@pytest.mark.parametrize(("group", "lives"), GROUPS)
def test_random_sessions_break_nothing(group: int, lives: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of requests over HTTP: no crash, no refused request that changed anything, balances equal to the ledger."""
    crashes: list[object] = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    statuses: dict[int, int] = {}

    @seed(group)
    # Without shrinking: the message holds the request, and a hundred sessions again would tell no more.
    @settings(
        max_examples=lives, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(
        st.binary(min_size=BYTES_PER_REQUEST * (REQUESTS + 1), max_size=BYTES_PER_REQUEST * (REQUESTS + 1))
    )
    def sessions(data: bytes) -> None:
        pieces = [data[i : i + BYTES_PER_REQUEST] for i in range(0, len(data), BYTES_PER_REQUEST)]
        with life(pieces[0]) as lived:
            for number, piece in enumerate(pieces[1:], 1):
                lived.fire(piece)
                if number % CHECK_EVERY == 0:
                    lived.audit()
            for status, count in lived.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        assert crashes == []

    sessions()
    assert sum(statuses.values()) >= lives * REQUESTS
    # The sessions are worth the name: many requests are served, and many are refused.
    assert statuses[200] > lives * REQUESTS / 4 < sum(statuses.values()) - statuses[200], statuses
