"""Features: the same bits everywhere, and nothing from the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bars_made import bars_made
from tests.support.examples import share_of
from trader.core.errors import ConfigError
from trader.core.features import (
    ANCHOR_BARS,
    anchor_of,
    features,
    month_start,
    next_month_start,
    preset_named,
)
from trader.core.labels import direction
from trader.core.types import HOUR_MS, REQUIRED_COLUMNS, Bars, parse_hour

SEED = preset_named("reference")
GAPS = (3_000, 3_001, 5_555, *range(8_000, 8_009))
MADE = bars_made(12_000, 4, missing=GAPS)


def rows(bars: Bars, start: int, stop: int) -> bytes:
    """The bits of the feature rows."""
    return features(bars, SEED, start, stop).tobytes()


def live_row(bars: Bars, hour: int) -> bytes:
    """One row as the bot computes it: from no bar before the anchor and none after the hour."""
    return rows(bars.span(anchor_of(hour), hour + HOUR_MS), hour, hour + HOUR_MS)


@given(picked=st.lists(st.integers(0, len(MADE) - 1), min_size=1, max_size=5))
@settings(max_examples=share_of(60))
def test_a_live_block_gives_the_bits_of_research_on_made_bars(picked: list[int]) -> None:
    """A row from a live-sized block equals the row of the whole history, to the bit, wherever it lies."""
    for row in picked:
        hour = int(MADE.close_time[row])
        assert live_row(MADE, hour) == RESEARCH[row].tobytes()


RESEARCH = features(MADE, SEED, MADE.first, MADE.last + HOUR_MS)


def test_every_live_row_of_two_symbols_equals_research(two_symbols: tuple[Bars, Bars]) -> None:
    """Both symbols, with their gaps: rows drawn from every month, and every row around a gap, equal to the bit."""
    for bars in two_symbols:
        whole = features(bars, SEED, bars.first, bars.last + HOUR_MS)
        drawn = np.random.default_rng(7).integers(0, len(bars), 400)
        near = np.flatnonzero(np.diff(bars.flagged.astype(int)))[:, None] + np.arange(-1, 3)
        for row in {*drawn.tolist(), *near.ravel().clip(0, len(bars) - 1).tolist()}:
            assert live_row(bars, int(bars.close_time[row])) == whole[row].tobytes()


@given(cut=st.integers(0, 12_000), start=st.integers(0, 11_000), length=st.integers(1, 900))
@settings(max_examples=share_of(60))
def test_truncating_the_future_changes_no_row(cut: int, start: int, length: int) -> None:
    """Rows up to a cut are the same, to the bit, with and without the bars after it; rows after it are undefined."""
    first, last = int(MADE.close_time[start]), int(MADE.close_time[min(start + length, 11_999)])
    known = MADE.rows(0, cut)
    got = features(known, SEED, first, last)
    past = max(0, min(len(got), cut - start))
    assert got[:past].tobytes() == RESEARCH[start : start + past].tobytes()
    assert np.isnan(got[past:]).all()


@given(row=st.integers(1_500, 11_900), poison=st.sampled_from([np.nan, np.inf, 1e300, -1.0, 0.0]))
@settings(max_examples=share_of(40))
def test_poisoning_the_future_changes_no_row(row: int, poison: float) -> None:
    """Whatever stands in later bars, even what no bar may hold, past rows and past labels keep their bits."""
    spoiled = {name: getattr(MADE, name).copy() for name in REQUIRED_COLUMNS}
    for values in spoiled.values():
        values[row + 1 :] = poison
    poisoned = replace(MADE, **spoiled)
    hour = int(MADE.close_time[row])
    start = int(MADE.close_time[max(0, row - 700)])
    assert rows(poisoned, start, hour + HOUR_MS) == rows(MADE, start, hour + HOUR_MS)
    # The label of `row` looks at row + 1; those before it are known and stay.
    assert direction(poisoned, 1)[:row].tobytes() == direction(MADE, 1)[:row].tobytes()


@given(start=st.integers(0, 11_000), first=st.integers(1, 900), second=st.integers(1, 900))
@settings(max_examples=share_of(40))
def test_rows_do_not_depend_on_how_they_are_asked_for(start: int, first: int, second: int) -> None:
    """Asking in two parts gives the rows of asking once."""
    a, b, c = (int(MADE.close_time[min(start + n, 11_999)]) for n in (0, first, first + second))
    assert rows(MADE, a, b) + rows(MADE, b, c) == rows(MADE, a, c)


def test_a_young_series_is_undefined_until_its_indicators_are() -> None:
    """The first 21 rows of a series have no RSI 21; from then on every row is defined."""
    bars = bars_made(60)
    defined = ~np.isnan(features(bars, SEED, bars.first, bars.last + HOUR_MS)).any(axis=1)
    assert defined.tolist() == [False] * 21 + [True] * 39


def test_hours_outside_the_bars_are_undefined() -> None:
    """Asking before the first and after the last bar gives NaN rows in the right places."""
    bars = bars_made(60)
    got = features(bars, SEED, bars.first - 3 * HOUR_MS, bars.last + 4 * HOUR_MS)
    assert got.shape == (66, 9)
    assert got.dtype == np.float32
    assert np.isnan(got[:24]).any(axis=1).all()
    assert not np.isnan(got[24:63]).any()
    assert np.isnan(got[63:]).all()


def test_a_month_is_anchored_a_thousand_bars_before_it() -> None:
    """Every row of a month shares one block, and the year turns over."""
    for hour in ("2021-12-01T00:00", "2021-12-31T23:00"):
        assert anchor_of(parse_hour(hour)) == parse_hour("2021-12-01") - ANCHOR_BARS * HOUR_MS
    assert next_month_start(parse_hour("2021-12-31T23:00")) == parse_hour("2022-01-01")
    assert month_start(parse_hour("2022-01-01")) == parse_hour("2022-01-01")


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    """The message lists what there is."""
    with pytest.raises(ConfigError, match=r"no preset 'sede'; known are reference, reference_code"):
        preset_named("sede")
