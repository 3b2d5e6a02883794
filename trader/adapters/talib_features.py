"""The shipped presets, computed by TA-Lib: `reference` and `reference_code` of the published study, and `wide`.

A model is only served by the code that it was trained on: `Preset.code_hash` digests the source of `_seed`, `_seed_code`
and `_wide` as they stand here, comments and all. An edit of one of them, of its name too, retires every stored model of
its preset.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from trader.core.errors import DataError
from trader.core.presets import Preset, register
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats


def _talib() -> Any:
    """TA-Lib, imported when a row is computed: a tick that is done needs none.

    It looks whether pandas is there, so as to take its Series too, which costs a fifth of a fresh tick; it gets arrays
    here, so it is told no. Whose feature file has imported pandas or TA-Lib by now has both whole.
    """
    if "talib" in sys.modules or "pandas" in sys.modules:
        import talib

        return talib
    sys.modules["pandas"] = None  # type: ignore[assignment]  # the import system's own way to say "not found"
    try:
        import talib
    finally:
        del sys.modules["pandas"]
    return talib


def _average(bars: Bars, n: int) -> Floats:
    return _talib().SMA(bars.close, timeperiod=n) / bars.close  # type: ignore[no-any-return]  # TA-Lib ships no types


def _rsi(bars: Bars, n: int) -> Floats:
    return _talib().RSI(bars.close, timeperiod=n)  # type: ignore[no-any-return]  # TA-Lib ships no types


def _mfi(bars: Bars, n: int) -> Floats:
    return _talib().MFI(bars.high, bars.low, bars.close, bars.volume, timeperiod=n)  # type: ignore[no-any-return]  # TA-Lib ships no types


def _seed(bars: Bars) -> Floats:
    columns = [_average(bars, n) for n in (5, 10, 20)]
    columns += [_rsi(bars, n) for n in (7, 14, 21)] + [_mfi(bars, n) for n in (7, 14, 21)]
    return np.column_stack(columns)


def _seed_code(bars: Bars) -> Floats:
    # In the order of the reference's code, since XGBoost draws columns by position.
    columns = [_average(bars, n) for n in (5, 10, 15, 20)]
    columns += [indicator(bars, n) for n in (7, 14, 21) for indicator in (_rsi, _mfi)]
    return np.column_stack(columns)


def _wide(bars: Bars) -> Floats:
    """The seed's nine, and returns, volatility, range, band width, buyers' share, hour and weekday."""
    talib = _talib()
    close, step = np.log(bars.close), np.full(len(bars), np.nan)
    step[1:] = np.diff(close)
    columns = [_seed(bars), _change(close, 1), _change(close, 6), _change(close, 24)]
    columns.append(talib.STDDEV(np.nan_to_num(step), timeperiod=24))
    columns.append(talib.ATR(bars.high, bars.low, bars.close, timeperiod=14) / bars.close)
    upper, middle, lower = talib.BBANDS(bars.close, timeperiod=20)
    columns.append((upper - lower) / middle)
    columns.append(_buyers_share(bars))
    hour = bars.close_time // HOUR_MS % 24 * (2 * np.pi / 24)
    weekday = ((bars.close_time // DAY_MS + 3) % 7).astype(np.float64)  # Monday is 0
    columns += [np.sin(hour), np.cos(hour), weekday]
    return np.column_stack(columns).astype(np.float64)


def _change(log_close: Floats, hours: int) -> Floats:
    """Log return of the last `hours`."""
    result = np.full(len(log_close), np.nan)
    result[hours:] = log_close[hours:] - log_close[:-hours]
    return result


def _buyers_share(bars: Bars) -> Floats:
    """Share of the hour's volume that buyers took, 0.5 without volume. Raises DataError where the source has no such
    column."""
    if bars.taker_buy_base is None:
        raise DataError(
            f"{bars.symbol}: features 'wide' need the taker_buy_base column, which these bars lack. Collect them anew with "
            f"trader collect, or choose features 'reference'"
        )
    traded = bars.volume > 0
    share: Floats = np.where(traded, bars.taker_buy_base / np.where(traded, bars.volume, 1.0), 0.5)
    return share


_SEED_COLUMNS = ("sma_5", "sma_10", "sma_20", "rsi_7", "rsi_14", "rsi_21", "mfi_7", "mfi_14", "mfi_21")

SHIPPED = (
    Preset("reference", _SEED_COLUMNS, _seed),
    Preset(
        "reference_code",
        ("sma_5", "sma_10", "sma_15", "sma_20", "rsi_7", "mfi_7", "rsi_14", "mfi_14", "rsi_21", "mfi_21"),
        _seed_code,
    ),
    Preset(
        "wide",
        (
            *_SEED_COLUMNS,
            *("return_1", "return_6", "return_24", "volatility_24", "atr_14", "band_width_20"),
            *("buyers_share", "hour_sin", "hour_cos", "weekday"),
        ),
        _wide,
    ),
)


def register_shipped() -> None:
    """Make the shipped presets known in this process. Imports no TA-Lib; safe to repeat."""
    for preset in SHIPPED:
        register(preset)
