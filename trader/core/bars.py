"""Raw rows become `Bars`: checked, stamped by close, on a contiguous grid with the exchange's gaps filled and flagged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.types import (
    FAR_FUTURE_MS,
    HOUR_MS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Bars,
    Bools,
    Floats,
    Ints,
    iso,
)

PRICES = ("open", "high", "low", "close")

# Bars before this, or from FAR_FUTURE_MS on, are a wrong unit or a broken file; the bounds also keep a filled grid below
# 900,000 rows.
_EARLIEST_MS = 946_684_800_000  # 2000-01-01
# The longest hole in a known series (a delisted and relisted pair) has 165 days.
_LONGEST_GAP_HOURS = 366 * 24
# From this many rows on, a file without one pair of neighbouring hours is taken for bars of another interval.
_ENOUGH_TO_JUDGE = 10


@dataclass(frozen=True, slots=True)
class Gap:
    """Hours without a bar. close_time: of the first missing bar, UTC milliseconds. hours: how many are missing."""

    symbol: str
    close_time: int
    hours: int


def bars_from_columns(
    symbol: str, open_time_ms: Ints, columns: Mapping[str, Floats], source: str, first_row: int = 1
) -> Bars:
    """Raw rows, stamped by their open, as checked `Bars`, stamped by their close.

    open_time_ms: (n,) int64, UTC milliseconds, on the hour, ascending. columns: (n,) float64 each; open, high, low,
    close and volume are required and finite; quote_volume, trades, taker_buy_base and taker_buy_quote are optional
    and may hold NaN; other names are ignored. Prices in quote per base, volume in base.
    Missing hours become flagged rows: open = high = low = close = the last close, and 0 (not NaN) in volume and in
    every optional column, since nothing was traded.
    Raises DataError, naming `source`, the row (the first one counts as `first_row`), its time and the way out.
    """
    _check_shapes(open_time_ms, columns, source)
    _check_times(open_time_ms, source, first_row)
    kept = {name: columns[name] for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if name in columns}
    _check_values(open_time_ms, kept, source, first_row)
    first = int(open_time_ms[0])
    at = (open_time_ms - first) // HOUR_MS
    size = int(at[-1]) + 1
    flagged = np.ones(size, dtype=np.bool_)
    flagged[at] = False
    filled = {name: _spread(values, at, size) for name, values in kept.items()}
    _fill_flat(filled, flagged)
    close_time = np.arange(size, dtype=np.int64) * HOUR_MS + (first + HOUR_MS)
    return Bars(symbol=symbol, close_time=close_time, flagged=flagged, **filled)


def as_columns(bars: Bars) -> tuple[Ints, dict[str, Floats]]:
    """The genuine rows, stamped by open: what `bars_from_columns` takes. Flagged rows are left out."""
    genuine = ~bars.flagged
    return bars.close_time[genuine] - HOUR_MS, {
        name: values[genuine] for name, values in _present(bars).items()
    }


def gaps(bars: Bars) -> list[Gap]:
    """The runs of flagged rows, oldest first."""
    edges = np.diff(np.concatenate(([False], bars.flagged, [False])).astype(np.int8))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [
        Gap(bars.symbol, int(bars.close_time[start]), int(stop - start))
        for start, stop in zip(starts, stops, strict=True)
    ]


def merge(older: Bars, newer: Bars) -> Bars:
    """One series of both: their union on one grid, gaps between and inside filled flat and flagged.

    Where both have a genuine row they must agree (NaN in an optional column yields to the other's value); a genuine
    row replaces a flagged one, whichever side it is on. A column that only one side has is NaN on the other's rows.
    Raises DataError for two symbols, for genuine rows that contradict, and for series more than 366 days apart.
    """
    if older.symbol != newer.symbol:
        raise DataError(
            f"bars of {older.symbol} and of {newer.symbol} cannot be merged; merge one symbol at a time"
        )
    if not len(older) or not len(newer):
        return newer if len(newer) else older
    first, last = min(older.first, newer.first), max(older.last, newer.last)
    apart = max(older.first, newer.first) - min(older.last, newer.last)
    if apart > _LONGEST_GAP_HOURS * HOUR_MS:
        raise DataError(
            f"{older.symbol}: the two series lie {apart // HOUR_MS:,} hours apart; use one of them"
        )
    size = (last - first) // HOUR_MS + 1
    old, new = _on_grid(older, first, size), _on_grid(newer, first, size)
    _check_agreement(older.symbol, first, old, new)
    merged = {name: _overlay(name, old, new) for name in old.columns | new.columns}
    flagged = ~(old.genuine | new.genuine)
    _fill_flat(merged, flagged)
    close_time = first + np.arange(size, dtype=np.int64) * HOUR_MS
    return Bars(symbol=older.symbol, close_time=close_time, flagged=flagged, **merged)


def _present(bars: Bars) -> dict[str, Floats]:
    columns: dict[str, Floats] = {name: getattr(bars, name) for name in REQUIRED_COLUMNS}
    columns |= {name: values for name in OPTIONAL_COLUMNS if (values := getattr(bars, name)) is not None}
    return columns


def _spread(values: Floats, at: Ints, size: int) -> Floats:
    out = np.zeros(size, dtype=np.float64)
    out[at] = values
    return out


def _fill_flat(columns: dict[str, Floats], flagged: Bools) -> None:
    """Fills flagged rows in place: prices with the last genuine close, the rest with 0. A flagged row before the
    first genuine one stays as it is."""
    genuine = np.where(flagged, -1, np.arange(len(flagged)))
    source = np.maximum.accumulate(genuine)
    holes = flagged & (source >= 0)
    last_close = columns["close"][source[holes]]
    for name, values in columns.items():
        values[holes] = last_close if name in PRICES else 0.0


@dataclass(frozen=True, slots=True)
class _Grid:
    """A series laid on a longer grid. covered: it has a row there, flagged or not. genuine: an unflagged one."""

    columns: dict[str, Floats]
    covered: Bools
    genuine: Bools


def _on_grid(bars: Bars, first: int, size: int) -> _Grid:
    at = (bars.close_time - first) // HOUR_MS
    covered, genuine = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    covered[at], genuine[at] = True, ~bars.flagged
    return _Grid(
        {name: _spread(values, at, size) for name, values in _present(bars).items()}, covered, genuine
    )


def _overlay(name: str, old: _Grid, new: _Grid) -> Floats:
    """One column of both. Flagged rows are carried along: a slice may begin with one, and it has no close before it
    to be filled from."""
    lacking = np.full(len(old.covered), np.nan)
    before, after = old.columns.get(name, lacking), new.columns.get(name, lacking)
    taken = (new.genuine & ~(old.genuine & np.isnan(after))) | (new.covered & ~old.covered)
    return np.where(taken, after, before)


def _check_agreement(symbol: str, first: int, old: _Grid, new: _Grid) -> None:
    both = old.genuine & new.genuine
    for name in REQUIRED_COLUMNS + OPTIONAL_COLUMNS:
        before, after = old.columns.get(name), new.columns.get(name)
        if before is None or after is None:
            continue
        differs = both & (before != after) & ~np.isnan(before) & ~np.isnan(after)
        if differs.any():
            row = int(np.argmax(differs))
            raise DataError(
                f"{symbol}: two sources disagree on the bar that closed at {iso(first + row * HOUR_MS)}: {name} is "
                f"{before[row]!s} in the older and {after[row]!s} in the newer one ({int(differs.sum())} such "
                "rows); decide which source is right and use it alone for these hours"
            )


def _check_shapes(open_time_ms: Ints, columns: Mapping[str, Floats], source: str) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise DataError(
            f"{source}: no column {', '.join(missing)}; a bar needs open_time, {', '.join(REQUIRED_COLUMNS)} and "
            f"here are: {', '.join(columns) or 'none'}"
        )
    if not len(open_time_ms):
        raise DataError(f"{source}: there are no rows; give a file with at least one hourly bar")
    for name, values in columns.items():
        if len(values) != len(open_time_ms):
            raise DataError(f"{source}: {len(open_time_ms)} times but {len(values)} values of {name}")


def _check_times(times: Ints, source: str, first_row: int) -> None:
    outside = (times < _EARLIEST_MS) | (times >= FAR_FUTURE_MS)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(f"{source}: row {first_row + row}: {_explain_unit(int(times[row]))}")
    off_grid = times % HOUR_MS != 0
    if off_grid.any():
        _refuse_row(
            times, off_grid, source, first_row, "does not open on the full hour; resample to 1 h bars in UTC"
        )
    step = np.diff(times, prepend=times[0] - HOUR_MS)
    if (step == 0).any():
        _refuse_row(times, step == 0, source, first_row, "appears twice; remove one of the two rows")
    if (step < 0).any():
        _refuse_row(times, step < 0, source, first_row, "is earlier than the row before; sort by open time")
    if len(times) >= _ENOUGH_TO_JUDGE and step[1:].min() > HOUR_MS:
        hours = int(step[1:].min()) // HOUR_MS
        raise DataError(
            f"{source}: the closest rows lie {hours} h apart; these are not hourly bars (interval 1h)"
        )
    too_far = step > (_LONGEST_GAP_HOURS + 1) * HOUR_MS
    if too_far.any():
        _refuse_row(
            times,
            too_far,
            source,
            first_row,
            f"comes more than {_LONGEST_GAP_HOURS // 24} days after the row before; cut the file in two there",
        )


def _explain_unit(time: int) -> str:
    for unit, per_second in (("seconds", 1), ("microseconds", 10**6), ("nanoseconds", 10**9)):
        if _EARLIEST_MS * per_second <= time * 1000 < FAR_FUTURE_MS * per_second:
            way_out = "multiply it by 1000" if unit == "seconds" else f"divide it by {per_second // 1000}"
            return f"open time {time} is in {unit}; this needs milliseconds, so {way_out}"
    return f"open time {time} is not a time in milliseconds between the years 2000 and 2100; check the column"


def _check_values(times: Ints, columns: Mapping[str, Floats], source: str, first_row: int) -> None:
    def refuse(bad: Bools, problem: str) -> None:
        if bad.any():
            _refuse_row(times, bad, source, first_row, f"{problem}; correct the row or remove it")

    for name, values in columns.items():
        if name in OPTIONAL_COLUMNS:
            refuse(np.isinf(values), f"{name} is not a finite number")
        else:
            refuse(~np.isfinite(values), f"{name} is missing or not a finite number")
        if name in PRICES:
            refuse(values <= 0, f"{name} is not a positive price")
        else:
            refuse(values < 0, f"{name} is negative")
    low, high = columns["low"], columns["high"]
    refuse(high < low, "high is below low")
    for name in ("open", "close"):
        refuse((columns[name] < low) | (columns[name] > high), f"{name} lies outside low..high")


def _refuse_row(times: Ints, bad: Bools, source: str, first_row: int, problem: str) -> None:
    row = int(np.argmax(bad))
    raise DataError(f"{source}: row {first_row + row} ({iso(int(times[row]))}): {problem}")
