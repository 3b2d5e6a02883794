"""What the Temporal Fusion Transformer reads of an hour: the hours before it, scaled by nothing but themselves, and the calendar
of the hours ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from trader.core.types import DAY_MS, HOUR_MS, Bars, Bools, Floats, Ints, Matrix

# Numbers of an hour that are known up to T: return, high over low, volume, close against that of T, whether it is missing.
OBSERVED = ("return", "range", "volume", "level", "missing")
# Numbers that are known of every hour.
KNOWN = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "ahead")
# Of a context with more missing hours nothing is said.
MOST_MISSING = 0.5
# No number that the network reads is larger: one wrong print shall not drown the others.
LARGEST = 10.0
# The week of the calendar begins on a Monday; 1970-01-01 was a Thursday.
_MONDAY_MS = 4 * DAY_MS


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """n hours of one symbol. log_close, log_range, log_volume: (n,) float64. missing: (n,). close_time: (n,) UTC ms."""

    close_time: Ints
    log_close: Floats
    log_range: Floats
    log_volume: Floats
    missing: Bools

    @staticmethod
    def of(bars: Bars) -> Hours:
        """A missing hour keeps the close before it, and has neither range nor volume."""
        log_range = np.where(bars.flagged, 0.0, np.log(bars.high) - np.log(bars.low))
        volume = np.where(bars.flagged, 0.0, bars.volume)
        return Hours(bars.close_time, np.log(bars.close), log_range, np.log1p(volume), bars.flagged)

    def __len__(self) -> int:
        return len(self.close_time)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Of m hours T. observed: (m, encoder, OBSERVED) float32, the last hour is T. known: (m, encoder + ahead, KNOWN) float32.
    scale: (m,) the root mean square of the context's hourly returns, 0 where nothing can be said of T."""

    observed: Matrix
    known: Matrix
    scale: Floats


def windows_at(hours: Hours, rows: Ints, encoder: int, ahead: int) -> Windows:
    """The windows of these rows, of each from the hours up to it alone. A row that has not `encoder` + 1 hours up to it, that is
    missing, or whose context does not move has the scale 0."""
    far = rows >= encoder
    safe = np.where(far, rows, encoder) if len(hours) > encoder else np.full(len(rows), -1)
    if len(hours) <= encoder:
        empty = np.zeros((len(rows), encoder, len(OBSERVED)), np.float32)
        return Windows(empty, _calendar(hours, rows, encoder, ahead), np.zeros(len(rows)))
    spans = sliding_window_view(hours.log_close, encoder + 1)[safe - encoder]
    returns = np.diff(spans, axis=1)
    missing = _context(hours.missing.astype(np.float64), safe, encoder)
    scale = np.sqrt(np.mean(returns * returns, axis=1))
    said = far & (missing.mean(axis=1) <= MOST_MISSING) & ~hours.missing[safe] & np.isfinite(scale)
    scale = np.where(said, scale, 0.0)
    unit = np.where(scale > 0, scale, 1.0)[:, None]
    volume = _context(hours.log_volume, safe, encoder)
    spread = np.sqrt(np.mean((volume - volume.mean(axis=1, keepdims=True)) ** 2, axis=1, keepdims=True))
    columns = (
        returns / unit,
        _context(hours.log_range, safe, encoder) / unit,
        (volume - volume.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0),
        (spans[:, 1:] - spans[:, -1:]) / (unit * np.sqrt(encoder)),
        missing,
    )
    observed = np.clip(np.nan_to_num(np.stack(columns, axis=2)), -LARGEST, LARGEST).astype(np.float32)
    return Windows(observed, _calendar(hours, rows, encoder, ahead), scale)


def targets_at(hours: Hours, rows: Ints, ahead: int, last: int, scale: Floats) -> Matrix:
    """(m, ahead) float32: r = log(close[T + h] / close[T]) in units of scale x sqrt(h), NaN where T + h lies behind the row
    `last` or is missing."""
    steps = np.arange(1, ahead + 1)
    at = rows[:, None] + steps
    there = at <= last
    at = np.where(there, at, 0)
    r = hours.log_close[at] - hours.log_close[rows][:, None]
    found = r / (np.where(scale > 0, scale, np.nan)[:, None] * np.sqrt(steps))
    return np.where(there & ~hours.missing[at], found, np.nan).astype(np.float32)


def _context(values: Floats, rows: Ints, encoder: int) -> Floats:
    """(m, encoder) the values up to each row."""
    found: Floats = sliding_window_view(values, encoder)[rows - encoder + 1]
    return found


def _calendar(hours: Hours, rows: Ints, encoder: int, ahead: int) -> Matrix:
    steps = np.arange(1 - encoder, ahead + 1)
    times = hours.close_time[rows][:, None] + steps * HOUR_MS
    day = 2 * np.pi * (times % DAY_MS) / DAY_MS
    week = 2 * np.pi * ((times - _MONDAY_MS) % (7 * DAY_MS)) / (7 * DAY_MS)
    apart = np.broadcast_to(steps / encoder, times.shape)
    return np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week), apart], axis=2).astype(np.float32)
