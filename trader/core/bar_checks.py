"""What raw rows must be before they become `Bars`, and which rows of a source that nobody can correct are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.text import plural
from trader.core.types import (
    FAR_FUTURE_MS,
    HOUR_MS,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
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
LONGEST_GAP_HOURS = 366 * 24
# From this many rows on, a file without one pair of neighbouring hours is taken for bars of another interval.
_ENOUGH_TO_JUDGE = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows stand in their source. rows: the number that it gives to each."""

    source: str
    rows: Sequence[int]

    def row(self, index: int) -> str:
        """For a message: the source and the row of an index."""
        return f"{self.source}: row {self.rows[index]}"


def check_shapes(open_time_ms: Ints, columns: Mapping[str, Floats], source: str) -> None:
    """Raises DataError for a required column that is missing, no rows, or columns of unequal length."""
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
            raise DataError(
                f"{source}: {plural(len(open_time_ms), 'time')} but {plural(len(values), 'value')} of {name}"
            )


def check_times(times: Ints, place: Place) -> None:
    """Raises DataError for times that are not ascending full hours of this century."""
    outside = (times < _EARLIEST_MS) | (times >= FAR_FUTURE_MS)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(f"{place.row(row)}: {_explain_unit(int(times[row]))}")
    off_grid = times % HOUR_MS != 0
    if off_grid.any():
        _refuse_row(times, off_grid, place, "does not open on the full hour; resample to 1 h bars in UTC")
    step = np.diff(times, prepend=times[0] - HOUR_MS)
    if (step == 0).any():
        _refuse_row(times, step == 0, place, "appears twice; remove one of the two rows")
    if (step < 0).any():
        _refuse_row(times, step < 0, place, "is earlier than the row before; sort by open time")
    if len(times) >= _ENOUGH_TO_JUDGE and step[1:].min() > HOUR_MS:
        hours = int(step[1:].min()) // HOUR_MS
        raise DataError(
            f"{place.source}: the closest rows lie {hours} h apart; these are not hourly bars (interval 1h)"
        )
    too_far = step > (LONGEST_GAP_HOURS + 1) * HOUR_MS
    if too_far.any():
        _refuse_row(
            times,
            too_far,
            place,
            f"comes more than {LONGEST_GAP_HOURS // 24} days after the row before; cut the file in two there",
        )


def _explain_unit(time: int) -> str:
    for unit, per_second in (("seconds", 1), ("microseconds", 10**6), ("nanoseconds", 10**9)):
        if _EARLIEST_MS * per_second <= time * 1000 < FAR_FUTURE_MS * per_second:
            way_out = "multiply it by 1000" if unit == "seconds" else f"divide it by {per_second // 1000}"
            return f"open time {time} is in {unit}; this needs milliseconds, so {way_out}"
    return f"open time {time} is not a time in milliseconds between the years 2000 and 2100; check the column"


def check_values(times: Ints, columns: Mapping[str, Floats], place: Place) -> None:
    """Raises DataError for the first row with a value that no bar has."""
    for bad, problem in value_faults(columns):
        if bad.any():
            _refuse_row(times, bad, place, f"{problem}; correct the row or remove it")


def value_faults(columns: Mapping[str, Floats]) -> Iterator[tuple[Bools, str]]:
    """(n,) bool, true where a row has a fault, and the fault in words: numbers that are none, prices that contradict."""
    for name, values in columns.items():
        if name in OPTIONAL_COLUMNS:
            yield np.isinf(values), f"{name} is not a finite number"
        else:
            yield ~np.isfinite(values), f"{name} is missing or not a finite number"
        if name in PRICES:
            yield values <= 0, f"{name} is not a positive price"
        else:
            yield values < 0, f"{name} is negative"
    low, high = columns["low"], columns["high"]
    yield high < low, "high is below low"
    for name in ("open", "close"):
        yield (columns[name] < low) | (columns[name] > high), f"{name} lies outside low..high"


def odd_rows(times: Ints, columns: Mapping[str, Floats]) -> tuple[Bools, list[str]]:
    """Which rows of a source that nobody can correct are left out, and why, a reason and a count each.

    times: (n,) open times, UTC milliseconds, in any order. Left out are rows that do not open on the full hour, that have
    a fault of their own, and those of an hour that is told twice: all of them where they contradict, else all but one.
    """
    out, reasons = np.zeros(len(times), dtype=np.bool_), []

    def leave(bad: Bools, problem: str) -> None:
        fresh = bad & ~out
        if fresh.any():
            first = iso(int(times[np.argmax(fresh)]))
            reasons.append(f"{int(fresh.sum())} ({first} first): {problem}")
            out[fresh] = True

    leave(times % HOUR_MS != 0, "does not open on the full hour")
    for bad, problem in value_faults(columns):
        leave(bad, problem)
    contradicting, repeated = _told_twice(times, columns, ~out)
    leave(contradicting, "appears twice with other values")
    leave(repeated, "appears twice")
    return out, reasons


def _told_twice(times: Ints, columns: Mapping[str, Floats], sound: Bools) -> tuple[Bools, Bools]:
    """Rows whose hour other rows tell otherwise, and rows that repeat an earlier one."""
    seen: dict[int, int] = {}
    contradicting, repeated = np.zeros((2, len(times)), dtype=np.bool_)
    if len(np.unique(times[sound])) == int(sound.sum()):
        return contradicting, repeated
    for row in map(int, np.flatnonzero(sound)):
        first = seen.setdefault(int(times[row]), row)
        if first == row:
            continue
        same = all(np.array_equal(x[first], x[row], equal_nan=True) for x in columns.values())
        if same:
            repeated[row] = True
        else:
            contradicting[[first, row]] = True
    for hour in np.unique(times[contradicting]):
        contradicting |= sound & (times == hour)
    return contradicting, repeated


def _refuse_row(times: Ints, bad: Bools, place: Place, problem: str) -> None:
    row = int(np.argmax(bad))
    raise DataError(f"{place.row(row)} ({iso(int(times[row]))}): {problem}")
