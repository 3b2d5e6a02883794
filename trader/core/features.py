"""Bars -> X. Row t sees rows <= t, and its bits do not depend on how much history was at hand.

TA-Lib's running sums depend on where they began, so values over a window and over the whole history differ in their
last bits, and a tree may split there. Therefore the rows of a calendar month always come from one anchored block
that begins exactly ANCHOR_BARS before the month's first bar: in research, in replay and live alike.
A series younger than the anchor begins its block at its own first bar.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from trader.core.presets import ANCHOR_BARS, Preset, computed, preset_named
from trader.core.types import HOUR_MS, Bars, Matrix

__all__ = ["ANCHOR_BARS", "Preset", "anchor_of", "features", "preset_named"]


def month_start(close_time: int) -> int:
    """First close_time of the calendar month (UTC) that a close_time lies in, milliseconds."""
    moment = datetime.fromtimestamp(close_time / 1000, UTC)
    return round(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp() * 1000)


def next_month_start(close_time: int) -> int:
    """First close_time of the following calendar month (UTC), milliseconds."""
    moment = datetime.fromtimestamp(close_time / 1000, UTC)
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)


def anchor_of(close_time: int) -> int:
    """close_time of the first bar of the block that the row at `close_time` is computed from."""
    return month_start(close_time) - ANCHOR_BARS * HOUR_MS


def features(bars: Bars, preset: Preset, start: int, stop: int) -> Matrix:
    """Feature rows for start <= close_time < stop.

    Shape ((stop - start) / 1 h, len(preset.columns)), float32. NaN where an indicator is undefined: in the first
    rows of a young series, and where `bars` has no row at all. Flagged rows have values; they keep the grid.
    Sees, for row t, the bars from `anchor_of(t)` to t and nothing else.
    """
    result = np.full(((stop - start) // HOUR_MS, len(preset.columns)), np.nan, dtype=np.float32)
    begin = start
    while begin < stop:
        end = min(next_month_start(begin), stop)
        block = bars.span(anchor_of(begin), end)
        if len(block):
            values = computed(preset, block)
            known = min(len(values), (block.last + HOUR_MS - begin) // HOUR_MS)
            if known > 0:
                last = (block.last - start) // HOUR_MS + 1
                result[last - known : last] = values[-known:]
        begin = end
    return result
