"""Klines as a stream: which messages a connection is owed at a time, in the JSON of Binance, as the faults let them out.

A bar that closes is told once with `x` true when the exchange's clock reaches the end of its hour; the forming bar is told with
`x` false in between. The figures are those that `GET /api/v3/klines` answers at that time. Sockets are `stream_server.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from trader.core.types import HOUR_MS, floor_hour
from trader.exchange.fault_settings import STREAM_METHOD
from trader.exchange.faults import Fault
from trader.exchange.venue import Venue
from trader.exchange.wire import Request

INTERVAL = "kline_1h"
MOST_STREAMS = 1024
# A jump of the clock over years tells the closed bars of its last days: a client that slept asks for the others by REST.
MOST_CLOSED = 100
# What may happen to the message of a closed bar; a lie is told in the place of the forming one.
OF_CLOSED = ("stream_silence", "stream_late", "stream_twice", "stream_unordered", "stream_garbage")
GARBAGE = '{"e":"kline","E":'


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that leaves later than it should: when the exchange's clock reaches due_ms and the wall's due_wall_s."""

    text: str
    due_ms: int
    due_wall_s: float


@dataclass(slots=True)
class KlineFeed:
    """The klines that one connection has subscribed to. Whoever calls holds the venue's lock.

    streams: names such as `btcusdt@kline_1h`; one that the exchange does not have is taken and stays silent, as on Binance.
    combined: whether each message is wrapped as {"stream": ..., "data": ...}. told_ms: the newest end of an hour that was told,
    UTC ms. born_ms: when the connection began.
    """

    venue: Venue
    streams: list[str]
    combined: bool
    told_ms: int
    born_ms: int
    held: list[HeldMessage] = field(default_factory=list)

    def messages(self, now_ms: int, with_forming: bool) -> list[str]:
        """What is to be sent now: the bars that closed since the last call, what was held back until now, and, if wanted, the
        forming bars."""
        told: list[str] = []
        newest = floor_hour(now_ms)
        for end_ms in range(max(self.told_ms, newest - MOST_CLOSED * HOUR_MS) + HOUR_MS, newest + 1, HOUR_MS):
            for name in self.streams:
                told += self._closed(name, end_ms, now_ms)
        self.told_ms = max(self.told_ms, newest)
        due = [it for it in self.held if now_ms >= it.due_ms and time.monotonic() >= it.due_wall_s]
        self.held = [it for it in self.held if it not in due]
        told += [it.text for it in sorted(due, key=lambda it: (it.due_ms, it.due_wall_s))]
        if with_forming:
            for name in self.streams:
                told += self._forming(name, now_ms)
        return told

    def is_over(self, now_ms: int) -> bool:
        """Whether a fault ends the connection now, by its age on the exchange's clock."""
        for fault in active(self.venue, ("stream_disconnect",), "", now_ms):
            if now_ms - self.born_ms >= float(fault.settings["hours"]) * HOUR_MS:
                fault.seen += 1
                return fault.last is None or fault.first <= fault.seen <= fault.last
        return False

    def next_due_ms(self, now_ms: int) -> int:
        """The exchange's time of the next message that only time brings, UTC ms."""
        return min([floor_hour(now_ms) + HOUR_MS, *(it.due_ms for it in self.held if it.due_ms > now_ms)])

    def _closed(self, name: str, end_ms: int, now_ms: int) -> list[str]:
        """The message of the bar that closed at end_ms, as the faults let it out."""
        text = self._message(name, end_ms - HOUR_MS, now_ms, closed=True)
        if text is None:
            return []
        faults = met(self.venue, OF_CLOSED, symbol_of(name), now_ms)
        actions = [fault.action for fault in faults]
        if "stream_silence" in actions:
            return []
        told = [GARBAGE if "stream_garbage" in actions else text]
        for fault in faults:
            if fault.action == "stream_twice":
                told *= int(fault.settings["times"])
            elif fault.action == "stream_unordered":
                forming = self._message(name, end_ms, now_ms, closed=False)
                before = self._message(name, end_ms - 2 * HOUR_MS, now_ms, closed=True)
                told = [it for it in (forming, *told, before) if it is not None]
            elif fault.action == "stream_late":
                wall_s = float(fault.settings["wall_s"])
                due_ms = end_ms if wall_s else end_ms + int(fault.settings["ms"])
                self.held += [HeldMessage(it, due_ms, time.monotonic() + wall_s) for it in told]
                return []
        return told

    def _forming(self, name: str, now_ms: int) -> list[str]:
        """The message of the forming bar: none while a fault keeps the stream silent, closed too early while one lies."""
        symbol = symbol_of(name)
        if any(it.meets_all for it in active(self.venue, ("stream_silence",), symbol, now_ms)):
            return []
        lies = bool(met(self.venue, ("stream_lie",), symbol, now_ms))
        text = self._message(name, floor_hour(now_ms), now_ms, closed=lies)
        return [] if text is None else [text]

    def _message(self, name: str, open_ms: int, now_ms: int, *, closed: bool) -> str | None:
        """A kline in Binance's JSON, None for an hour without a bar and for a stream that the exchange does not have."""
        symbol = symbol_of(name)
        if not symbol or not self.venue.quotes(symbol, now_ms):
            return None
        rows = json.loads(self.venue.market_of(symbol).klines(now_ms, open_ms, open_ms, 1, micro=False))
        if not rows or rows[0][0] != open_ms:
            return None
        told = kline_event(symbol, rows[0], now_ms, closed)
        return dumped({"stream": name, "data": told} if self.combined else told)


def wants_stream(request: Request) -> bool:
    """Whether a request asks for a websocket at an address that has streams."""
    asked = request.headers.get("upgrade", "").lower() == "websocket"
    return asked and (request.path in ("/stream", "/ws") or request.path.startswith("/ws/"))


def kline_event(symbol: str, row: Sequence[Any], now_ms: int, closed: bool) -> dict[str, Any]:
    """The event of a row of `klines`. The market of hourly bars has no single trades, so their first and last id are -1."""
    opened, opening, high, low, close, volume, ended, turnover, trades, taker_base, taker_quote, _ = row
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": opened,
            "T": ended,
            "s": symbol,
            "i": "1h",
            "f": -1,
            "L": -1,
            "o": opening,
            "c": close,
            "h": high,
            "l": low,
            "v": volume,
            "n": trades,
            "x": closed,
            "q": turnover,
            "V": taker_base,
            "Q": taker_quote,
            "B": "0",
        },
    }


def symbol_of(stream: str) -> str:
    """The symbol of an hourly kline stream, "" for any other name. Names are in lower case, as on Binance."""
    symbol, _, kind = stream.partition("@")
    return symbol.upper() if kind == INTERVAL and symbol == symbol.lower() else ""


def active(venue: Venue, actions: Collection[str], symbol: str, now_ms: int) -> list[Fault]:
    """The faults of these actions that hold at a time for a symbol; nothing is counted."""
    happened = {"", *(fault.name for fault in venue.faults if fault.happened)}
    return [
        it
        for it in venue.faults
        if it.action in actions
        and it.since in happened
        and it.symbol in ("", symbol)
        and it.from_ms <= now_ms
        and (it.until_ms is None or now_ms < it.until_ms)
    ]


def met(venue: Venue, actions: Collection[str], symbol: str, now_ms: int) -> list[Fault]:
    """The faults of these actions that one message of a symbol meets; each that looks at the message counts it."""
    path = f"/ws/{symbol.lower()}@{INTERVAL}"
    return [
        it
        for it in active(venue, actions, symbol, now_ms)
        if it.meets(STREAM_METHOD, path, (symbol,), now_ms)
    ]


def dumped(value: Any) -> str:
    """Compact JSON, as Binance sends it."""
    return json.dumps(value, separators=(",", ":"))
