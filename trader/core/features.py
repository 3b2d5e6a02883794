"""Bars -> X. Row t sees rows <= t, and its bits do not depend on how much history was at hand.

TA-Lib's running sums depend on where they began, so values over a window and over the whole history differ in their
last bits, and a tree may split there. Therefore the rows of a calendar month always come from one anchored block
that begins exactly ANCHOR_BARS before the month's first bar: in research, in replay and live alike.
A series younger than the anchor begins its block at its own first bar.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, Bars, Floats

ANCHOR_BARS = 1_000

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of features. `compute` maps a block of n bars to (n, len(columns)) float64, NaN while undefined."""

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Bars], Floats]

    @property
    def code_hash(self) -> str:
        """Of the columns and the source that computes them: a model is only served by the code it was trained on."""
        source = inspect.getsource(self.compute)
        return hashlib.sha256(repr((self.columns, ANCHOR_BARS, source)).encode()).hexdigest()[:16]


def _talib() -> Any:
    """TA-Lib, imported when a row is computed: it brings pandas, and a tick that is done needs neither."""
    import talib

    return talib


def _average(bars: Bars, n: int) -> Floats:
    return _talib().SMA(bars.close, timeperiod=n) / bars.close  # type: ignore[no-any-return]


def _rsi(bars: Bars, n: int) -> Floats:
    return _talib().RSI(bars.close, timeperiod=n)  # type: ignore[no-any-return]


def _mfi(bars: Bars, n: int) -> Floats:
    return _talib().MFI(bars.high, bars.low, bars.close, bars.volume, timeperiod=n)  # type: ignore[no-any-return]


def _seed(bars: Bars) -> Floats:
    columns = [_average(bars, n) for n in (5, 10, 20)]
    columns += [_rsi(bars, n) for n in (7, 14, 21)] + [_mfi(bars, n) for n in (7, 14, 21)]
    return np.column_stack(columns)


def _seed_code(bars: Bars) -> Floats:
    # In the order of the reference's code, since XGBoost draws columns by position.
    columns = [_average(bars, n) for n in (5, 10, 15, 20)]
    columns += [indicator(bars, n) for n in (7, 14, 21) for indicator in (_rsi, _mfi)]
    return np.column_stack(columns)


_AVERAGES = ("sma_5", "sma_10", "sma_15", "sma_20")

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "seed",
            ("sma_5", "sma_10", "sma_20", "rsi_7", "rsi_14", "rsi_21", "mfi_7", "mfi_14", "mfi_21"),
            _seed,
        ),
        Preset(
            "seed_code", (*_AVERAGES, "rsi_7", "mfi_7", "rsi_14", "mfi_14", "rsi_21", "mfi_21"), _seed_code
        ),
    )
}


def preset_named(name: str) -> Preset:
    """The registered preset. Raises ConfigError that lists the known names."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"features: there is no preset {name!r}; known are {', '.join(PRESETS)}") from None


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
            values = preset.compute(block)
            known = min(len(values), (block.last + HOUR_MS - begin) // HOUR_MS)
            if known > 0:
                last = (block.last - start) // HOUR_MS + 1
                result[last - known : last] = values[-known:]
        begin = end
    return result
