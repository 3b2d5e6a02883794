"""Does anything see the future? Cut it off, or poison it, and compare what came before.

A value that may be known at row t must not change when the bars after t are missing or are nonsense. What changes is
named, with the first row that it betrays itself in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from trader.core.bars import bars_from_columns
from trader.core.errors import ConfigError
from trader.core.presets import Preset, computed
from trader.core.types import HOUR_MS, Bars, Floats, parse_hour

CUTS = 12
EARLY = 2
SEED = 20_240_229
# Of made bars: the first missing row, and how many are missing.
HOLES = ((333, 1), (777, 4), (1_234, 30))


@dataclass(frozen=True, slots=True)
class Leak:
    """`column` of the row that closed at `close_time` (UTC ms) changed when the bars after `cut` were `how`."""

    column: str
    close_time: int
    cut: int
    how: Literal["cut off", "poisoned"]


def leaks(
    values: Callable[[Bars], Floats], columns: Sequence[str], bars: Bars, cuts: int = CUTS
) -> list[Leak]:
    """The first leak of each column, in the order of `columns`; empty where nothing looks ahead.

    `values` maps n bars to (n, k) float64. Rows are compared to the bit, NaN equal to NaN. `cuts` of the cuts are spread
    over the last two thirds of the bars, and up to as many lie in holes, where a value that is filled from behind shows.
    One lies near the beginning, where undefined values may be filled so: there the future is poisoned only, since a
    function need not work on two bars.
    """
    whole = np.asarray(values(bars), dtype=np.float64)
    found: dict[int, Leak] = {}
    for cut in _cuts(bars, cuts):
        ways: list[tuple[Literal["cut off", "poisoned"], Bars]] = [("poisoned", poisoned(bars, cut))]
        if cut != EARLY:
            ways.insert(0, ("cut off", bars.rows(0, cut)))
        for how, changed in ways:
            seen = np.asarray(values(changed), dtype=np.float64)
            same = _equal(whole[:cut], seen[:cut])
            for column in np.flatnonzero(~same.all(axis=0)).tolist():
                row = int(np.flatnonzero(~same[:, column])[0])
                times = bars.close_time
                leak = Leak(columns[column], int(times[row]), int(times[cut - 1]), how)
                found.setdefault(column, leak)
    return [found[column] for column in sorted(found)]


def _cuts(bars: Bars, count: int) -> list[int]:
    """Numbers of rows before the future, rising."""
    spread = np.linspace(len(bars) // 3, len(bars) - 1, count).astype(int)
    in_holes = np.flatnonzero(np.diff(bars.flagged.astype(np.int8)) == 1) + 2
    if len(in_holes) > count:
        in_holes = in_holes[np.linspace(0, len(in_holes) - 1, count).astype(int)]
    rows = np.unique(np.concatenate([[EARLY], spread, in_holes]))
    return [int(row) for row in rows if 0 < row < len(bars)]


def _equal(one: Floats, other: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    if one.shape != other.shape:
        return np.zeros_like(one, dtype=np.bool_)
    same: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def poisoned(bars: Bars, cut: int) -> Bars:
    """The bars with every row from `cut` on made absurd: other prices, other volumes, valid as bars."""
    rng = np.random.default_rng(SEED)
    factor = rng.uniform(2.0, 9.0, len(bars) - cut)
    changed = {}
    for field in fields(bars):
        value = getattr(bars, field.name)
        if field.name in ("symbol", "close_time", "flagged") or value is None:
            continue
        value = value.copy()
        value[cut:] = (value[cut:] + 1) * factor
        changed[field.name] = value
    return replace(bars, **changed)


def made_bars(
    hours: int = 1_744, seed: int = SEED, holes: Sequence[tuple[int, int]] = HOLES, symbol: str = "MADEUSDT"
) -> Bars:
    """A block of bars from a seeded walk, every column there, with holes: what a user's own features and families are tried on.
    `holes` are the first missing row and how many are missing."""
    rng = np.random.default_rng(seed)
    close = np.round(30_000 * np.exp(np.cumsum(rng.normal(0, 0.006, hours))), 2)
    open_ = np.concatenate([[30_000.0], close[:-1]])
    wick = np.abs(rng.normal(0, 0.002, (2, hours)))
    volume = np.round(rng.lognormal(6, 0.5, hours), 5)
    buyers = np.round(volume * rng.uniform(0.3, 0.7, hours), 5)
    columns = {
        "open": open_,
        "high": np.maximum(open_, close) * (1 + wick[0]),
        "low": np.minimum(open_, close) * (1 - wick[1]),
        "close": close,
        "volume": volume,
        "quote_volume": volume * close,
        "trades": np.round(volume * 3),
        "taker_buy_base": buyers,
        "taker_buy_quote": buyers * close,
    }
    traded = np.ones(hours, np.bool_)
    for first, missing in holes:
        traded[first : first + missing] = False
    opened = parse_hour("2024-01-01") + HOUR_MS * np.arange(-1, hours - 1, dtype=np.int64)
    kept = {name: values[traded] for name, values in columns.items()}
    return bars_from_columns(symbol, opened[traded], kept, "made bars")


def require_no_lookahead(preset: Preset, bars: Bars | None = None) -> None:
    """Raises ConfigError that names every column that looks ahead."""
    tried = made_bars() if bars is None else bars
    found = leaks(lambda block: computed(preset, block), preset.columns, tried)
    if found:
        names = ", ".join(leak.column for leak in found)
        raise ConfigError(
            f"features {preset.name!r} look ahead: {names} of an hour change when later bars are {found[0].how}. Use the "
            f"rows up to the hour only; see: backtest lookahead"
        )
