"""Named sets of features: what a block of bars becomes, column by column. Row t sees rows <= t of its block.

A feature of your own belongs into a file of yours, named by `features_module` in trader.toml; see docs/features.md.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trader.core.errors import ConfigError, DataError
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats

# Part of what a feature is: TA-Lib's running sums depend on where their block began. See features.py.
ANCHOR_BARS = 1_000


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of features. `compute` maps a block of n bars to (n, len(columns)) float64, NaN while undefined."""

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Bars], Floats]
    source: str = ""  # the text of a user's whole file, which is hashed in place of one function

    @property
    def code_hash(self) -> str:
        """Of the columns and the source that computes them: a model is only served by the code it was trained on."""
        source = self.source or inspect.getsource(self.compute)
        return hashlib.sha256(repr((self.columns, ANCHOR_BARS, source)).encode()).hexdigest()[:16]


def _talib() -> Any:
    """TA-Lib, imported when a row is computed: a tick that is done needs none.

    It looks whether pandas is there, so as to take its Series too, which costs a fifth of a fresh tick; it gets arrays
    here, so it is told no. Whose feature file has imported pandas or TA-Lib by now has both whole.
    """
    if "talib" in sys.modules or "pandas" in sys.modules:
        import talib

        return talib
    sys.modules["pandas"] = None  # type: ignore[assignment] # the import system's own way to say "not found"
    try:
        import talib
    finally:
        del sys.modules["pandas"]
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
            f"trader collect, or choose features 'seed'"
        )
    traded = bars.volume > 0
    share: Floats = np.where(traded, bars.taker_buy_base / np.where(traded, bars.volume, 1.0), 0.5)
    return share


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
        Preset(
            "wide",
            (
                *("sma_5", "sma_10", "sma_20", "rsi_7", "rsi_14", "rsi_21", "mfi_7", "mfi_14", "mfi_21"),
                *("return_1", "return_6", "return_24", "volatility_24", "atr_14", "band_width_20"),
                *("buyers_share", "hour_sin", "hour_cos", "weekday"),
            ),
            _wide,
        ),
    )
}


def register(preset: Preset) -> None:
    """Make a user's preset known by its name, in this process. Raises ConfigError for a name that is taken."""
    there = PRESETS.get(preset.name)
    if there is not None and there.code_hash != preset.code_hash:
        raise ConfigError(f"features: a preset {preset.name!r} exists already; choose another name for yours")
    PRESETS[preset.name] = preset


def computed(preset: Preset, block: Bars) -> Floats:
    """The preset's rows of a block, (n, k) float64. Raises ConfigError, naming the preset, where its function fails or
    gives another shape: a row that is forgotten would shift every other."""
    try:
        values = preset.compute(block)
    except ConfigError:
        raise
    except Exception as error:  # whatever a user's function may raise
        raise ConfigError(
            f"features {preset.name!r} failed on {len(block)} bars: {type(error).__name__}: {error}. Mend the function"
        ) from error
    wanted = (len(block), len(preset.columns))
    if np.shape(values) != wanted:
        raise ConfigError(
            f"features {preset.name!r} gave the shape {np.shape(values)} for {wanted[0]} bars and {wanted[1]} columns; "
            f"return a row for every bar, NaN where a value is undefined"
        )
    return np.asarray(values, dtype=np.float64)


def preset_named(name: str) -> Preset:
    """The registered preset. Raises ConfigError that lists the known names."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"features: there is no preset {name!r}; known are {', '.join(PRESETS)}") from None
