"""Raw rows become bars on a contiguous grid, or a refusal that names the row and the way out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.bars import Gap, as_columns, bars_from_columns, gaps, merge
from trader.core.errors import DataError
from trader.core.types import HOUR_MS, OPTIONAL_COLUMNS, REQUIRED_COLUMNS, Bars, Floats, iso, parse_time

START = parse_time("2021-04-25")


def columns(rows: int, seed: int = 1, optional: bool = False) -> dict[str, Floats]:
    """A random walk that satisfies every rule of a bar."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, rows)))
    opened = np.concatenate(([100.0], close[:-1]))
    spread = random.uniform(0, 0.5, rows)
    made = {
        "open": opened,
        "high": np.maximum(opened, close) + spread,
        "low": np.minimum(opened, close) - spread,
        "close": close,
        "volume": random.uniform(0, 9, rows),
    }
    if optional:
        made |= {name: random.uniform(0, 9, rows) for name in OPTIONAL_COLUMNS}
    return made


def times(*hours: int) -> np.ndarray:
    return START + HOUR_MS * np.array(hours, dtype=np.int64)


def make(*hours: int, seed: int = 1, optional: bool = False) -> Bars:
    """Bars of the given opening hours whose values depend on the hour alone, so that overlaps agree."""
    everything = columns(1000, seed, optional)
    chosen = {name: values[list(hours)] for name, values in everything.items()}
    return bars_from_columns("BTCUSDT", times(*hours), chosen, "made up")


def same(left: Bars, right: Bars) -> bool:
    """Equal to the bit, NaN in the same places."""
    pairs = [
        (getattr(left, name), getattr(right, name))
        for name in ("close_time", "flagged", *REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    ]
    return left.symbol == right.symbol and all(
        (a is None and b is None)
        or (a is not None and b is not None and a.dtype == b.dtype and a.tobytes() == b.tobytes())
        for a, b in pairs
    )


def test_rows_are_stamped_by_their_close() -> None:
    """The row that opens at 00:00 is known at 01:00 and carries that stamp."""
    bars = make(0, 1, 2)
    assert [iso(int(t)) for t in bars.close_time[:2]] == ["2021-04-25T01:00:00Z", "2021-04-25T02:00:00Z"]
    assert bars.close_time.dtype == np.int64
    assert not bars.flagged.any()
    assert bars.quote_volume is None


def test_missing_hours_are_flat_and_flagged() -> None:
    """A gap is filled at the last close with volume 0 and 0 in the optional columns, and flagged."""
    bars = make(0, 1, 5, 6, optional=True)
    assert bars.flagged.tolist() == [False, False, True, True, True, False, False]
    for name in ("open", "high", "low", "close"):
        assert getattr(bars, name)[2:5].tolist() == [bars.close[1]] * 3
    for name in ("volume", *OPTIONAL_COLUMNS):
        assert getattr(bars, name)[2:5].tolist() == [0.0] * 3
    assert gaps(bars) == [Gap("BTCUSDT", int(START) + 3 * HOUR_MS, 3)]


def test_gaps_of_a_slice_include_its_edges() -> None:
    """A slice that begins or ends within a gap reports the part it sees."""
    bars = make(0, 4, 5, 8).rows(2, 7)
    assert [gap.hours for gap in gaps(bars)] == [2, 1]
    assert gaps(make(0, 1)) == []


@given(st.sets(st.integers(0, 200), min_size=1), st.booleans())
def test_columns_and_back(hours: set[int], optional: bool) -> None:
    """What goes in comes out again, genuine rows only, whatever is missing in between."""
    ordered = sorted(hours)
    if len(ordered) >= 10 and min(np.diff(ordered)) > 1:
        ordered.insert(1, ordered[0] + 1)
    bars = make(*ordered, optional=optional)
    open_time, out = as_columns(bars)
    assert open_time.tolist() == times(*ordered).tolist()
    assert np.diff(bars.close_time).tolist() == [HOUR_MS] * (len(bars) - 1)
    assert same(bars_from_columns("BTCUSDT", open_time, out, "again"), bars)


def test_single_nan_in_optional_columns_stays() -> None:
    """NaN is how a source says that it lacks an optional value; the row is genuine all the same."""
    raw = columns(3, optional=True)
    raw["trades"][1] = np.nan
    bars = bars_from_columns("BTCUSDT", times(0, 1, 2), raw, "made up")
    assert bars.trades is not None
    assert np.isnan(bars.trades).tolist() == [False, True, False]
    assert not bars.flagged.any()


BAD_VALUES = [
    ("close", np.nan, "close is missing or not a finite number"),
    ("open", np.inf, "open is missing or not a finite number"),
    ("volume", np.nan, "volume is missing or not a finite number"),
    ("volume", -1e-9, "volume is negative"),
    ("low", 0.0, "low is not a positive price"),
    ("open", -5.0, "open is not a positive price"),
    ("high", 1.0, "high is below low"),
    ("open", 1e6, r"open lies outside low\.\.high"),
    ("close", 1e-3, r"close lies outside low\.\.high"),
    ("trades", np.inf, "trades is not a finite number"),
    ("taker_buy_base", -1.0, "taker_buy_base is negative"),
]


@pytest.mark.parametrize(("name", "value", "problem"), BAD_VALUES)
def test_bad_values_are_refused(name: str, value: float, problem: str) -> None:
    """Each rule of a bar is enforced, and the message names source, row, time and what to do."""
    raw = columns(5, optional=True)
    raw[name][3] = value
    with pytest.raises(
        DataError, match=rf"^file\.csv: row 5 \(2021-04-25T03:00:00Z\): {problem}; .*remove it"
    ):
        bars_from_columns("BTCUSDT", times(0, 1, 2, 3, 4), raw, "file.csv", rows=range(2, 7))


BAD_TIMES = [
    (times(0, 2, 1), r"row 3 \(2021-04-25T01:00:00Z\): is earlier than the row before; sort"),
    (times(0, 1, 1), r"row 3 \(2021-04-25T01:00:00Z\): appears twice; remove"),
    (times(0, 1, 2) + 60_000, r"row 1 \(2021-04-25T00:01:00Z\): does not open on the full hour; resample"),
    (times(0, 1, 2) // 1000, "row 1: open time 1619308800 is in seconds; .* multiply it by 1000"),
    (times(0, 1, 2) * 1000, "row 1: .* is in microseconds; .* divide it by 1000"),
    (times(0, 1, 2) * 10**6, "row 1: .* is in nanoseconds; .* divide it by 1000000"),
    (np.array([0, 1, 2]) * HOUR_MS, "row 1: open time 0 is not a time in milliseconds between"),
    (np.array([START, START, -(2**63)]), "row 3: open time -9223372036854775808 is not a time"),
    (np.array([START, START, 2**63 - 1]), "row 3: open time 9223372036854775807 is not a time"),
    (times(0, 1, 10_000), "row 3 .*: comes more than 366 days after the row before; cut the file"),
]


@pytest.mark.parametrize(("open_time", "problem"), BAD_TIMES)
def test_bad_times_are_refused(open_time: np.ndarray, problem: str) -> None:
    """Unsorted, doubled, off-grid and mis-scaled times are each refused in their own words."""
    with pytest.raises(DataError, match=f"^file.csv: {problem}"):
        bars_from_columns("BTCUSDT", open_time, columns(3), "file.csv")


def test_bars_of_another_interval_are_refused() -> None:
    """Daily bars lie on the hourly grid; filling 23 hours of each day would invent a market."""
    with pytest.raises(DataError, match="the closest rows lie 24 h apart; these are not hourly bars"):
        bars_from_columns("BTCUSDT", times(*range(0, 480, 24)), columns(20), "daily.csv")


def test_shapes_are_checked_first() -> None:
    """A missing column, no rows, and columns of unequal length are refused by name."""
    raw = columns(3)
    with pytest.raises(DataError, match="f: there are no rows"):
        bars_from_columns("X", times(), columns(0), "f")
    with pytest.raises(DataError, match="3 times but 2 values of high"):
        bars_from_columns("X", times(0, 1, 2), raw | {"high": raw["high"][:2]}, "f")
    del raw["volume"]
    with pytest.raises(DataError, match="no column volume; a bar needs"):
        bars_from_columns("X", times(0, 1, 2), raw, "f")


@given(
    st.sets(st.integers(0, 60), min_size=3),
    st.sets(st.integers(0, 60), min_size=3),
    st.booleans(),
    st.booleans(),
)
def test_merge_is_the_union(
    left: set[int], right: set[int], left_optional: bool, right_optional: bool
) -> None:
    """Two agreeing series merge to what one file with the rows of both would have given."""
    older = make(0, 1, *(sorted(hour + 2 for hour in left)), optional=left_optional)
    newer = make(0, 1, *(sorted(hour + 2 for hour in right)), optional=right_optional)
    merged = merge(older, newer)
    union = make(*sorted({0, 1} | {hour + 2 for hour in left | right}))
    for name in ("close_time", "flagged", *REQUIRED_COLUMNS):
        assert getattr(merged, name).tobytes() == getattr(union, name).tobytes(), name
    assert (merged.trades is None) == (not left_optional and not right_optional)
    if merged.trades is not None:
        values = make(*range(70), optional=True).trades
        assert values is not None
        expected = np.where(merged.flagged, 0.0, np.nan)
        for side in (older, newer):
            if side.trades is not None:
                row = np.arange(len(side))[~side.flagged]
                expected[row] = values[row]
        np.testing.assert_array_equal(merged.trades, expected)


def test_merge_joins_across_a_hole() -> None:
    """Hours between two series are filled flat at the older one's last close."""
    merged = merge(make(0, 1), make(4, 5))
    assert merged.flagged.tolist() == [False, False, True, True, False, False]
    assert merged.close[2] == merged.close[3] == merged.close[1]


def test_merge_takes_genuine_rows_over_flagged_ones() -> None:
    """A gap of one side is mended by the other, in either order, and later flat rows follow the mended close."""
    holed, patch = make(0, 1, 4), make(2)
    for merged in (merge(holed, patch), merge(patch, holed)):
        assert merged.flagged.tolist() == [False, False, False, True, False]
        assert merged.close[3] == patch.close[0]


def test_merge_completes_optional_values() -> None:
    """NaN yields to a value; a column that one side lacks is NaN on its rows and 0 on flagged ones."""
    older, newer = make(0, 1, 3), make(3, 4, optional=True)
    merged = merge(older, newer)
    assert merged.trades is not None
    assert newer.trades is not None
    assert np.isnan(merged.trades).tolist() == [True, True, False, False, False]
    assert merged.trades[2] == 0
    assert merged.trades[3:].tolist() == newer.trades.tolist()


def test_merge_keeps_flagged_edges() -> None:
    """Slices that begin or end within a gap keep the rows they have."""
    sliced = make(0, 1, 4, 5, 9).rows(2, 7)
    merged = merge(sliced, make(5))
    assert same(merged, sliced)


def test_merge_refuses_contradictions() -> None:
    """Genuine rows that differ are a person's decision, never a silent choice."""
    newer = make(1, 2)
    newer = replace(newer, volume=newer.volume + 1)
    with pytest.raises(DataError, match="disagree on the bar that closed at 2021-04-25T02:00:00Z: volume is"):
        merge(make(0, 1), newer)
    with pytest.raises(DataError, match="merge one symbol at a time"):
        merge(make(0), replace(make(1), symbol="ETHUSDT"))
    far = make(0)
    with pytest.raises(DataError, match="hours apart; use one of them"):
        merge(make(0), replace(far, close_time=far.close_time + 9000 * HOUR_MS))


def test_merge_with_nothing() -> None:
    """An empty series changes nothing, on either side."""
    bars = make(0, 1)
    assert merge(bars, bars.rows(0, 0)) is bars
    assert merge(bars.rows(0, 0), bars) is bars
