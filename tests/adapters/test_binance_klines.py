"""Bars from klines: closed ones only, real gaps flagged, pages joined, and a venue that sends nonsense refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.adapters.test_binance_reads import RUBBISH, put, spoiled
from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock
from tests.support.raw_server import NOW, Heard, RawServer, http, klines, serving
from tests.support.venue_kit import AT, FIRST, MARKET, SYMBOL, Sim, running, with_gap
from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_connection import PAUSE_AT_WEIGHT
from trader.adapters.binance_klines import KLINES_PAGE, BinanceKlines
from trader.core.bars import gaps
from trader.core.errors import DataError, Retry, TraderError
from trader.core.types import HOUR_MS, Bars, floor_hour
from trader.exchange.limits import RequestLimits

HOUR = floor_hour(NOW)


@contextmanager
def market(bars: Bars = MARKET.bars, at: int = AT, **changes: Any) -> Iterator[tuple[BinanceKlines, Sim]]:
    """The adapter at an embedded exchange whose clock stands."""
    with running(bars=bars, at_ms=at, **changes) as sim:
        adapter = BinanceKlines(VenueAddress(sim.exchange.url), FakeClock(at))
        yield adapter, sim
        adapter.close()


def equal(found: Bars, expected: Bars) -> bool:
    """The same hours with the same values, to the bit."""
    columns = ("close_time", "open", "high", "low", "close", "volume", "flagged")
    return all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in columns)


def test_closed_bars_and_none_but_those_asked_for() -> None:
    """A span inside, one that reaches the forming bar, and one of a single hour: the file's rows, to the bit."""
    with market() as (adapter, _):
        for start, stop in (
            (AT - 50 * HOUR_MS, AT - 9 * HOUR_MS),
            (AT - 5 * HOUR_MS, AT + HOUR_MS),
            (AT, AT + HOUR_MS),
        ):
            assert equal(adapter.bars(SYMBOL, start, stop), MARKET.bars.span(start, stop))


@pytest.mark.parametrize("second", [0, 1, 1_800_000, HOUR_MS - 1])
def test_the_forming_bar_never_enters(second: int) -> None:
    """At any moment of an hour, the newest bar is the one that closed at its beginning, also if more is asked for."""
    with market(at=AT + second) as (adapter, _):
        found = adapter.bars(SYMBOL, AT - 3 * HOUR_MS, AT + 50 * HOUR_MS)
        assert equal(found, MARKET.bars.span(AT - 3 * HOUR_MS, AT + HOUR_MS))


def test_what_is_not_there_yet_is_no_bars() -> None:
    """Beyond the newest bar there is nothing, near or far; before the first one nothing either."""
    with market() as (adapter, _):
        assert adapter.bars(SYMBOL, FIRST - HOUR_MS, FIRST + 3 * HOUR_MS).first == FIRST
        for hours in (1, 2, 100, 10_000):
            assert len(adapter.bars(SYMBOL, AT + hours * HOUR_MS, AT + (hours + 5) * HOUR_MS)) == 0
        assert len(adapter.bars(SYMBOL, FIRST - 100 * HOUR_MS, FIRST - 50 * HOUR_MS)) == 0


def test_gaps_are_flagged_wherever_they_lie() -> None:
    """An outage inside, at the beginning and at the end of what was asked for: flat rows, flagged, never left out."""
    missing = [AT - hours * HOUR_MS for hours in (0, 8, 9, 10, 30)]
    with market(with_gap(MARKET.bars, *missing), AT + 20 * 60_000) as (adapter, _):
        found = adapter.bars(SYMBOL, AT - 30 * HOUR_MS, AT + HOUR_MS)
    assert list(found.close_time) == [AT - hours * HOUR_MS for hours in range(30, -1, -1)]
    assert [(gap.close_time, gap.hours) for gap in gaps(found)] == [
        (AT - 30 * HOUR_MS, 1),
        (AT - 10 * HOUR_MS, 3),
        (AT, 1),
    ]
    before = MARKET.bars.close[MARKET.bars.row(AT - 31 * HOUR_MS)]
    assert (found.close[0], found.volume[0]) == (before, 0)


def test_pages_join_without_a_seam() -> None:
    """2,400 hours come in three requests of at most 1,000 rows, and are the file's."""
    bars = bars_made(2_500, start="2022-01-01")
    with market(bars, bars.last - HOUR_MS) as (adapter, sim):
        start = bars.last - 2_400 * HOUR_MS
        assert equal(adapter.bars(SYMBOL, start, bars.last), bars.span(start, bars.last))
        asked = [row for row in sim.sim("requests") if row["path"] == "/api/v3/klines"]
    assert len(asked) == 3


def row(opened: int, price: str = "5.0", **changes: Any) -> list[Any]:
    """A kline as Binance sends it."""
    values = {
        "open_time": opened,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": "1.0",
        "close_time": opened + HOUR_MS - 1,
        "quote_volume": "5.0",
        "trades": 3,
        "taker_buy_base": "0.5",
        "taker_buy_quote": "2.5",
        "ignore": "0",
    }
    return list({**values, **changes}.values())


HOURS = [row(HOUR - n * HOUR_MS) for n in (3, 2, 1, 0)]
NONSENSE: dict[str, tuple[list[Any], str]] = {
    "a row twice": ([*HOURS[:2], *HOURS[1:3]], "row 2 of a page .*comes twice or out of order"),
    "rows out of order": ([HOURS[1], HOURS[0], *HOURS[2:]], "row 1 of a page .*out of order"),
    "rows from before": ([row(HOUR - 9 * HOUR_MS)], "out of order"),
    "rows from after": ([row(HOUR + HOUR_MS)], "later than it was asked for"),
    "more rows than asked for": (
        [row(HOUR - n * HOUR_MS) for n in range(4, -1, -1)],
        "5 rows came for a limit",
    ),
    "half an hour": ([row(HOUR - HOUR_MS // 2)], "is not an hour in milliseconds"),
    "bars of two hours": ([row(HOUR - 2 * HOUR_MS, close_time=HOUR - 1)], "is not an hour in milliseconds"),
    "seconds": ([row(HOUR // 1000)], "is not an hour in milliseconds"),
    "microseconds": ([row(HOUR * 1000)], "is not an hour in milliseconds"),
    "eleven values": ([HOURS[0][:11]], "has not the 12 values"),
    "an object": ([{"open": "1"}], "has not the 12 values"),
    "a time in text": ([row(HOUR, open_time=str(HOUR))], "no whole number"),
    "a float for a price": ([row(HOUR - 3 * HOUR_MS, close=5.0)], "close is 5.0, not a decimal in text"),
    "NaN": ([row(HOUR - 3 * HOUR_MS, high="NaN")], "high is 'NaN', not a decimal"),
    "an exponent": ([row(HOUR - 3 * HOUR_MS, volume="1e3")], "volume is '1e3', not a decimal"),
    "an underscore": ([row(HOUR - 3 * HOUR_MS, low="5_0")], "low is '5_0', not a decimal"),
    "a negative price": ([row(HOUR - 3 * HOUR_MS, open="-5.0")], "open is '-5.0', not a decimal"),
    "a price of zero": ([row(HOUR - 3 * HOUR_MS, "0.0"), *HOURS[1:]], "not a positive price"),
    "high below low": ([row(HOUR - 3 * HOUR_MS, high="4.0"), *HOURS[1:]], "high is below low"),
}


@pytest.mark.parametrize(("minute", "last"), [(14, -1), (16, 0)])
def test_a_late_bar_may_come_and_a_lost_one_will_not(minute: int, last: int) -> None:
    """Until a quarter past, an hour that no row shows to be over may still get its bar; then it was an outage."""
    told = [http(200, [row(HOUR - 2 * HOUR_MS), row(HOUR - HOUR_MS)])]
    now = http(200, {"serverTime": HOUR + minute * 60_000})
    with serving(klines=told, time=[now]) as server, klines(server.url) as adapter:
        found = adapter.bars("BTCUSDT", HOUR - HOUR_MS, HOUR + HOUR_MS)
    assert found.last == HOUR + last * HOUR_MS
    assert not found.flagged[0]


def test_the_exchange_may_be_late_itself() -> None:
    """Without the two newest rows, neither is made up."""
    with market() as (adapter, sim):
        sim.sim("faults", {"scenario": "late_candle"})
        assert adapter.bars(SYMBOL, AT - HOUR_MS, AT + HOUR_MS).last == AT - HOUR_MS


@pytest.mark.parametrize("name", NONSENSE)
def test_a_hostile_venue_is_refused_in_words(name: str) -> None:
    """Rows that cannot be the hours asked for are an error that names the row; none is repaired, skipped or traded."""
    rows, says = NONSENSE[name]
    refused = pytest.raises(DataError, match=rf"^klines of http://127.*{says}")
    with serving(klines=[http(200, rows)]) as server, klines(server.url) as adapter, refused:
        adapter.bars("BTCUSDT", HOUR - 2 * HOUR_MS, HOUR + HOUR_MS)


def test_a_venue_that_repeats_itself_cannot_hold_the_pager() -> None:
    """The same full page again and again is an error at the second one, not a loop."""
    page = [row(HOUR - n * HOUR_MS) for n in range(KLINES_PAGE, 0, -1)]
    refused = pytest.raises(DataError, match="out of order")
    with serving(klines=[http(200, page)]) as server, klines(server.url) as adapter:
        with refused:
            adapter.bars("BTCUSDT", page[0][0] + HOUR_MS, HOUR + 2_000 * HOUR_MS)
        assert len(server.heard) == 2


@pytest.mark.parametrize("edit", ["unsorted", "nan", "short"])
def test_spoiled_candles_of_the_exchange_end_the_read(edit: str) -> None:
    """The embedded exchange's spoiled pages are refused; once it is well again, so are the bars."""
    with market() as (adapter, sim):
        sim.sim("faults", [{"path": "/api/v3/klines", "phase": "after", "action": "klines", "edit": edit}])
        with pytest.raises(DataError, match="klines of http"):
            adapter.bars(SYMBOL, AT - 20 * HOUR_MS, AT + HOUR_MS)
        sim.sim("faults", [])
        assert len(adapter.bars(SYMBOL, AT - 20 * HOUR_MS, AT + HOUR_MS)) == 21


def test_an_extreme_forming_bar_changes_nothing() -> None:
    """The forming bar's values are never looked at."""
    with market(at=AT + 1_000) as (adapter, sim):
        sim.sim("faults", {"scenario": "open_candle_included"})
        found = adapter.bars(SYMBOL, AT - 5 * HOUR_MS, AT + HOUR_MS)
        assert equal(found, MARKET.bars.span(AT - 5 * HOUR_MS, AT + HOUR_MS))


def paging(server: RawServer, weight: int) -> None:
    """Let a server answer klines in full, telling this weight."""

    def answer(sock: Any, heard: Heard) -> bool:
        first, last = int(heard.params.get("startTime", HOUR)), int(heard.params["endTime"])
        times = range(first, last + 1, HOUR_MS)[: int(heard.params["limit"])]
        headers = {"X-MBX-USED-WEIGHT-1M": str(weight)}
        return http(200, [row(time) for time in times], headers)(sock, heard)

    server.scripts["/api/v3/klines"] = [answer]


@pytest.mark.parametrize("weight", [0, PAUSE_AT_WEIGHT - 1, PAUSE_AT_WEIGHT, 6_000, 10**12])
def test_history_pauses_before_the_weight_is_used_up(weight: int) -> None:
    """At four fifths of the minute's weight the pager waits for the next minute on the Clock, page by page."""
    clock = FakeClock(NOW + 12_345)
    with serving() as server, klines(server.url, clock=clock) as adapter:
        paging(server, weight)
        found = adapter.bars("BTCUSDT", HOUR - 2_500 * HOUR_MS, HOUR)
        assert (len(found), len(server.heard)) == (2_500, 3)
    minute = 60_000
    pauses = 2 if PAUSE_AT_WEIGHT <= weight < 10**9 else 0
    expected = NOW + 12_345 if not pauses else (NOW + 12_345) // minute * minute + pauses * minute
    assert clock.time_ms == expected


def test_weight_of_the_exchange_is_never_exceeded() -> None:
    """At an embedded exchange with a low limit that the pager does not know, a 429 is kept and history goes on after."""
    bars = bars_made(6_000, start="2022-01-01")
    with running(bars=bars, at_ms=bars.last - HOUR_MS, limits=RequestLimits(weight_per_minute=8)) as sim:
        clock = FakeClock(bars.last - HOUR_MS)
        adapter = BinanceKlines(VenueAddress(sim.exchange.url), clock)
        with pytest.raises(Retry, match="forbids every request until") as banned:
            adapter.bars(SYMBOL, bars.first, bars.last)
        with pytest.raises(Retry, match="forbids every request until"):
            adapter.bars(SYMBOL, bars.first, bars.last)
        assert [r["status"] for r in sim.sim("requests")].count(429) == 1
        assert banned.value.until_ms is not None
        clock.time_ms = banned.value.until_ms
        sim.to(clock.time_ms)
        assert len(adapter.bars(SYMBOL, bars.last - 900 * HOUR_MS, bars.last)) == 900
        adapter.close()


def test_rubbish_in_a_row_ends_as_one_of_ours() -> None:
    """Each value of a row is replaced by each kind of rubbish: refused, or no worse than the row was."""
    refused = 0
    with serving(klines=[]) as server, klines(server.url) as adapter:
        for place in spoiled(HOURS)[:30]:
            for value in RUBBISH:
                server.scripts["/api/v3/klines"] = [http(200, put(HOURS, place, value))]
                try:
                    found = adapter.bars("BTCUSDT", HOUR - 2 * HOUR_MS, HOUR + HOUR_MS)
                    assert len(found) <= 3
                except TraderError:
                    refused += 1
    assert refused > 300
