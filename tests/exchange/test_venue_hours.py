"""Bars as a market: candles on the wire, the forming one, the virtual clock, and hours in which nobody is there."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.venue_kit import AT, COSTS, MARKET, SYMBOL, Sim, running, with_gap
from trader.core.types import HOUR_MS, Bars, floor_hour
from trader.exchange.market import Market, number

TICK = Decimal("0.01")
CLOSED = AT - HOUR_MS


def page(sim: Sim, **bounds: int) -> list[list[object]]:
    """One page of candles."""
    query = "".join(f"&{name}={value}" for name, value in bounds.items())
    answer = sim.raw("GET", f"/api/v3/klines?symbol={SYMBOL}&interval=1h{query}")
    assert answer.status == 200
    rows: list[list[object]] = answer.json
    return rows


def opens(rows: list[list[object]]) -> list[object]:
    """The open times of a page."""
    return [row[0] for row in rows]


def test_a_closed_candle_is_the_bar_of_the_file(sim: Sim) -> None:
    """A closed row carries the file's floats, bit for bit, in Binance's twelve fields."""
    (row,) = page(sim, startTime=CLOSED, endTime=CLOSED)
    bars, at = MARKET.bars, MARKET.bars.row(AT)
    assert len(row) == 12
    assert (row[0], row[6]) == (CLOSED, AT - 1)
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert [float(str(text)) for text in row[1:6]] == [float(column[at]) for column in columns]
    assert bars.trades is not None
    assert row[8] == int(bars.trades[at])
    assert all(isinstance(text, str) and len(text.partition(".")[2]) == 8 for text in row[1:6])


def test_the_forming_candle_gives_nothing_away(sim: Sim) -> None:
    """At the hour and at any time within it the forming row is its open four times, volume 0."""
    opening = float(MARKET.bars.open[MARKET.bars.row(AT + HOUR_MS)])
    for now in (AT, AT + 1, AT + HOUR_MS - 1):
        sim.to(now)
        row = page(sim, limit=1)[0]
        assert row[0] == AT
        assert [float(str(text)) for text in row[1:5]] == [opening] * 4
        assert (row[5], row[7], row[8]) == ("0.00000000", "0.00000000", 0)
    sim.to(AT + HOUR_MS)
    closed = page(sim, limit=2)[0]
    assert float(str(closed[4])) == MARKET.bars.close[MARKET.bars.row(AT + HOUR_MS)]


def test_paging_semantics(sim: Sim) -> None:
    """No bound: newest; start: oldest from there; end: newest up to it; both: from the start, not past the end."""
    assert opens(page(sim)) == list(range(MARKET.bars.first - HOUR_MS, AT + 1, HOUR_MS))[-500:]
    assert opens(page(sim, limit=3)) == [AT - 2 * HOUR_MS, CLOSED, AT]
    assert opens(page(sim, startTime=0, limit=2)) == [MARKET.bars.first - HOUR_MS, MARKET.bars.first]
    assert opens(page(sim, endTime=CLOSED, limit=2)) == [AT - 2 * HOUR_MS, CLOSED]
    assert opens(page(sim, endTime=AT - 1, limit=1)) == [CLOSED]
    assert opens(page(sim, startTime=AT - 3 * HOUR_MS + 1, endTime=AT - 1)) == [AT - 2 * HOUR_MS, CLOSED]
    assert opens(page(sim, startTime=AT, endTime=AT)) == [AT]
    assert page(sim, startTime=AT + 1) == []
    assert opens(page(sim, startTime=AT * 1000, endTime=AT * 1000)) == [AT]


def test_limit_is_clamped_to_a_thousand() -> None:
    """More than 1000 rows are never sent, and 500 without a limit."""
    bars = MARKET.bars
    hours = 1500
    long = Bars(
        symbol=SYMBOL,
        close_time=bars.first + HOUR_MS * np.arange(hours, dtype=np.int64),
        **{
            name: np.resize(getattr(bars, name), hours) for name in ("open", "high", "low", "close", "volume")
        },
        flagged=np.zeros(hours, dtype=np.bool_),
    )
    with running(bars=long, at_ms=bars.first + 1400 * HOUR_MS) as sim:
        assert len(page(sim, limit=5000)) == 1000
        assert len(page(sim)) == 500


def test_microseconds_on_request(sim: Sim) -> None:
    """The time-unit header makes response times microseconds, and a wrong one is refused."""
    unit = {"X-MBX-TIME-UNIT": "microsecond"}
    assert sim.raw("GET", "/api/v3/time", headers=unit).json == {"serverTime": AT * 1000}
    answer = sim.raw("GET", f"/api/v3/klines?symbol={SYMBOL}&interval=1h&limit=2", headers=unit)
    first = answer.json[0]
    assert (first[0], first[6]) == (CLOSED * 1000, AT * 1000 - 1)
    assert sim.raw("GET", "/api/v3/time", headers={"X-MBX-TIME-UNIT": "WEEK"}).json["code"] == -1194


def test_gaps_are_real() -> None:
    """Flagged rows are never served, and paging closes the ranks around them."""
    bars = with_gap(MARKET.bars, AT - HOUR_MS, AT - 2 * HOUR_MS)
    with running(bars=bars) as sim:
        assert opens(page(sim, limit=3)) == [AT - 4 * HOUR_MS, CLOSED, AT]


def test_the_venue_is_shut_for_exactly_the_missing_hours() -> None:
    """While the hour's bar is missing every /api request is 503 and /sim still answers; then all is well again."""
    bars = with_gap(MARKET.bars, AT + 2 * HOUR_MS)
    with running(bars=bars) as sim:
        shut = AT + HOUR_MS
        sim.to(shut - 1)
        assert sim.buy().status == 200
        for now in (shut, shut + HOUR_MS - 1):
            sim.to(now)
            assert sim.sim("clock")["open"] is False
            for answer in (sim.raw("GET", "/api/v3/ping"), sim.raw("GET", "/api/v3/time"), sim.buy()):
                assert (answer.status, answer.json["code"]) == (503, -1001)
        sim.to(shut + HOUR_MS)
        assert sim.raw("GET", "/api/v3/ping").status == 200
        assert len(sim.sim("ledger")) == 1


def test_the_venue_is_shut_beyond_its_bars() -> None:
    """After the last bar, and before the first, there is no market."""
    with running(at_ms=MARKET.bars.last) as sim:
        assert sim.raw("GET", "/api/v3/ping").status == 503
    with running(at_ms=MARKET.bars.first - HOUR_MS - 1) as sim:
        assert sim.raw("GET", "/api/v3/ping").status == 503
        sim.to(MARKET.bars.first - HOUR_MS)
        assert sim.raw("GET", "/api/v3/ping").status == 200


def test_the_clock_moves_forward_only(sim: Sim) -> None:
    """Milliseconds and ISO text move the clock; a step back, or nonsense, is 400 and changes nothing."""
    standing = {"now": AT, "iso": "2022-01-13T12:00:00Z", "open": True, "speed": 0.0, "market": ""}
    assert sim.sim("clock") == standing
    assert sim.sim("clock", {"to": "2022-01-13T12:30Z"})["now"] == AT + HOUR_MS // 2
    for wrong in ({"to": AT}, {"to": "yesterday"}, {"to": None}, {"to": True}, {}, [1]):
        answer = sim.raw("POST", "/sim/clock", json.dumps(wrong).encode())
        assert answer.status == 400
        assert "error" in answer.json
    assert sim.raw("POST", "/sim/clock", b"{").status == 400
    assert sim.now() == AT + HOUR_MS // 2


def test_a_running_clock_runs() -> None:
    """With a speed the virtual time passes by itself."""
    with running(speed=100_000) as sim:
        first = sim.raw("GET", "/api/v3/time").json["serverTime"]
        second = sim.raw("GET", "/api/v3/time").json["serverTime"]
        assert AT < first < second


@given(st.floats(min_value=1e-9, max_value=1e9, allow_nan=False))
def test_every_float_survives_the_wire(value: float) -> None:
    """The text of a price or a volume reads back as the very float it came from, in plain notation."""
    text = number(value)
    assert float(text) == value
    assert "e" not in text.lower()
    assert len(text.partition(".")[2]) >= 8 or math.floor(value) == value


def test_columns_that_a_file_lacks_are_zero() -> None:
    """Without volumes in quote, trades and taker columns the fields are there and say zero."""
    bare = replace(MARKET.bars, quote_volume=None, trades=None, taker_buy_base=None, taker_buy_quote=None)
    market = Market(bare, COSTS, TICK)
    (row,) = json.loads(market.klines(AT, CLOSED, CLOSED, 1))
    assert row[7:12] == ["0.00000000", 0, "0.00000000", "0.00000000", "0"]


@given(
    start=st.none() | st.integers(-5, 620),
    end=st.none() | st.integers(-5, 620),
    limit=st.integers(1, 30),
    gaps=st.sets(st.integers(0, 599), max_size=40),
    now=st.integers(0, 600),
)
def test_pages_equal_the_slow_twin(
    start: int | None, end: int | None, limit: int, gaps: set[int], now: int
) -> None:
    """Whatever the bounds and gaps, a page holds the rows that an obvious loop would pick."""
    base = MARKET.bars.first - HOUR_MS
    bars = with_gap(MARKET.bars, *(MARKET.bars.first + gap * HOUR_MS for gap in gaps))
    now_ms = base + now * HOUR_MS + 17
    low, high = (None if bound is None else base + bound * HOUR_MS for bound in (start, end))
    every = [
        base + i * HOUR_MS for i in range(600) if i not in gaps and base + i * HOUR_MS <= floor_hour(now_ms)
    ]
    chosen = [t for t in every if (low is None or t >= low) and (high is None or t <= high)]
    expected = chosen[:limit] if low is not None else chosen[-limit:]
    rows = json.loads(Market(bars, COSTS, TICK).klines(now_ms, low, high, limit))
    assert [row[0] for row in rows] == expected


@pytest.mark.parametrize("path", ["/api/v3/nothing", "/api/v1/klines", "/fapi/v1/time", "/", "/api/v3"])
def test_unknown_paths_are_404(sim: Sim, path: str) -> None:
    """What is not there is 404, with a page only for those who ask for HTML."""
    assert sim.raw("GET", path).status == 404
    assert sim.raw("GET", path).body == b""
    assert b"<html>" in sim.raw("GET", path, headers={"Accept": "text/html"}).body
    assert sim.raw("GET", "/sim/nothing").status == 404
