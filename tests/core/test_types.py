"""Times, amounts, filters, and rows by time."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bars_made import bars_made, bars_of_closes
from trader.core.errors import ConfigError, DataError
from trader.core.types import HOUR_MS, Filters, floor_hour, iso, no_bars, parse_hour, parse_time, plain

BARS = bars_made(50, missing=(20, 21))


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_survives_being_written(time_ms: int) -> None:
    """Milliseconds are shown only where there are any."""
    assert parse_time(iso(time_ms)) == time_ms
    assert ("." in iso(time_ms)) == bool(time_ms % 1000)


def test_times_without_a_zone_are_utc() -> None:
    """And a zone is respected."""
    assert parse_time("2022-01-01") == parse_time("2022-01-01T00:00Z") == parse_time("2022-01-01T02:00+02:00")


@pytest.mark.parametrize("text", ["", "yesterday", "2022-13-01", "2022-01-01T25:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(ConfigError, match="is not a date or a time; write 2022-01-01"):
        parse_time(text)


def test_a_half_hour_is_refused() -> None:
    """Bars close on the hour."""
    with pytest.raises(ConfigError, match="not on the full hour"):
        parse_hour("2022-01-01T09:30Z")
    assert floor_hour(parse_time("2022-01-01T09:59:59Z")) == parse_hour("2022-01-01T09:00Z")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_plain_notation_keeps_the_value(value: Decimal) -> None:
    """Never an exponent, never a trailing zero, the same number."""
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()
    assert "." not in text or text[-1] not in "0."


@pytest.mark.parametrize(
    ("price", "tick", "step"),
    [
        (46_216.93, "0.01", "0.00001"),
        (10_000.0, "0.01", "0.0001"),
        (9_999.0, "0.001", "0.0001"),
        (300.0, "0.0001", "0.001"),
        (1.0, "0.000001", "1"),
        (0.5, "0.0000001", "1"),
        (0.00001234, "0.00000001", "10000"),
    ],
)
def test_filters_follow_from_the_price(price: float, tick: str, step: str) -> None:
    """tick = 10^(floor(log10 p) - 6) within 1e-8..0.01; step = 10^-ceil(log10 p); the minimum notional is 5."""
    got = Filters.derived(price)
    assert (got.tick_size, got.step_size, got.min_notional) == (Decimal(tick), Decimal(step), 5)


def test_filters_need_a_price() -> None:
    """Nothing follows from nothing."""
    for price in (0.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="cannot be derived"):
            Filters.derived(price)


@given(start=st.integers(-5, 55), length=st.integers(0, 60))
def test_a_span_is_its_slow_twin(start: int, length: int) -> None:
    """The rows whose close lies in [start, stop), wherever those are."""
    first = BARS.first + start * HOUR_MS
    stop = first + length * HOUR_MS
    want = [t for t in BARS.close_time.tolist() if first <= t < stop]
    assert BARS.span(first, stop).close_time.tolist() == want
    assert BARS.until(first).close_time.tolist() == [t for t in BARS.close_time.tolist() if t <= first]


def test_a_flagged_hour_is_not_there() -> None:
    """has() is true for genuine bars only, and for no hour outside."""
    there = [BARS.has(BARS.first + n * HOUR_MS) for n in range(-1, 51)]
    assert [n - 1 for n, there_ in enumerate(there) if not there_] == [-1, 20, 21, 50]


def test_hours_that_are_over_are_filled_flat() -> None:
    """Extended to a later hour, the last close is repeated, flagged and without volume."""
    bars = bars_of_closes([10.0, 12.0])
    longer = bars.extended_to(bars.last + 2 * HOUR_MS)
    assert longer.close.tolist() == [10.0, 12.0, 12.0, 12.0]
    assert longer.flagged.tolist() == [False, False, True, True]
    assert longer.volume[2:].tolist() == [0.0, 0.0]
    assert bars.extended_to(bars.last) is bars


def test_series_join_without_a_hole() -> None:
    """Parts of a series join to the whole; a hole between them is refused."""
    joined = BARS.rows(0, 20).then(BARS.rows(20, 50))
    assert np.array_equal(joined.close, BARS.close)
    assert no_bars("BTCUSDT").then(BARS) is BARS
    with pytest.raises(DataError, match="cannot be followed by"):
        BARS.rows(0, 20).then(BARS.rows(21, 50))
    with pytest.raises(DataError, match="there are no bars"):
        _ = no_bars("BTCUSDT").first
