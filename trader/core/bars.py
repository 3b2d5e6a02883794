"""Raw rows become `Bars`: checked, stamped by close, on a contiguous grid with the exchange's gaps filled and flagged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trader.core.bar_checks import LONGEST_GAP_HOURS, PRICES, Place, check_shapes, check_times, check_values
from trader.core.errors import DataError
from trader.core.types import (
    HOUR_MS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Bars,
    Bools,
    Floats,
    Ints,
    iso,
)


@dataclass(frozen=True, slots=True)
class Gap:
    """Hours without a bar. close_time: of the first missing bar, UTC milliseconds. hours: how many are missing."""

    symbol: str
    close_time: int
    hours: int


def bars_from_columns(
    symbol: str,
    open_time_ms: Ints,
    columns: Mapping[str, Floats],
    source: str,
    rows: Sequence[int] | None = None,
) -> Bars:
    """Raw rows, stamped by their open, as checked `Bars`, stamped by their close.

    open_time_ms: (n,) int64, UTC milliseconds, on the hour, ascending. columns: (n,) float64 each; open, high, low, close and
    volume are required and finite; quote_volume, trades, taker_buy_base and taker_buy_quote are optional and may hold NaN;
    other names are ignored. Prices in quote per base, volume in base. Missing hours become flagged rows: open = high = low =
    close = the last close, and 0 (not NaN) in volume and in every optional column, since nothing was traded. Raises
    DataError, naming `source`, the row (by its number in `rows`; without them the first one is row 1), its time and the way out.
    """
    place = Place(source, rows or range(1, len(open_time_ms) + 1))
    check_shapes(open_time_ms, columns, source)
    check_times(open_time_ms, place)
    kept = {name: columns[name] for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if name in columns}
    check_values(open_time_ms, kept, place)
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


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A bar of which two sources differ. close_time: UTC ms; column: the first that differs, with either's value."""

    close_time: int
    column: str
    older: float
    newer: float

    def in_words(self) -> str:
        """For a message."""
        return f"{iso(self.close_time)}: {self.column} is {self.older!s} in the older and {self.newer!s} in the newer one"


def contradictions(older: Bars, newer: Bars) -> list[Contradiction]:
    """The bars that both have and of which they differ, oldest first; a column that only one has is no difference."""
    if not len(older) or not len(newer):
        return []
    first = min(older.first, newer.first)
    size = (max(older.last, newer.last) - first) // HOUR_MS + 1
    return _contradictions(first, _on_grid(older, first, size), _on_grid(newer, first, size))


def without(bars: Bars, close_times: Collection[int]) -> Bars:
    """The bars with these hours flagged, so that a merge takes another source's rows of them."""
    times = np.array(sorted(close_times), dtype=np.int64)
    return replace(bars, flagged=bars.flagged | np.isin(bars.close_time, times))


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
    if apart > LONGEST_GAP_HOURS * HOUR_MS:
        raise DataError(
            f"{older.symbol}: the two series lie {apart // HOUR_MS:,} hours apart; use one of them"
        )
    size = (last - first) // HOUR_MS + 1
    old, new = _on_grid(older, first, size), _on_grid(newer, first, size)
    _require_agreement(older.symbol, _contradictions(first, old, new))
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


def _contradictions(first: int, old: _Grid, new: _Grid) -> list[Contradiction]:
    both = old.genuine & new.genuine
    found: dict[int, Contradiction] = {}
    for name in dict.fromkeys(("close", *REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)):  # what decides is said first
        before, after = old.columns.get(name), new.columns.get(name)
        if before is None or after is None:
            continue
        for row in map(int, np.flatnonzero(both & (before != after) & ~np.isnan(before) & ~np.isnan(after))):
            time = first + row * HOUR_MS
            found.setdefault(time, Contradiction(time, name, float(before[row]), float(after[row])))
    return [found[time] for time in sorted(found)]


def _require_agreement(symbol: str, found: list[Contradiction]) -> None:
    if found:
        raise DataError(
            f"{symbol}: two sources disagree on the bar that closed at {found[0].in_words()} ({len(found)} such rows); "
            "decide which source is right and use it alone for these hours"
        )
