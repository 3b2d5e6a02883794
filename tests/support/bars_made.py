"""Deterministic synthetic bars, for tests that must run without any data folder."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from trader.core.bars import bars_from_columns
from trader.core.types import HOUR_MS, Bars, Floats, parse_time

START = "2021-01-01"
PRICES = ("open", "high", "low", "close")
NONE: Mapping[int, float] = MappingProxyType({})


def columns_made(hours: int, seed: int, price: float = 30_000.0, decimals: int = 2) -> dict[str, Floats]:
    """A random walk with volatility clusters, rounded to `decimals` as an exchange's prices are: open, high, low,
    close in quote per base, volume in base; every rule of a bar holds."""
    random = np.random.default_rng(seed)
    volatility = 0.004 * np.exp(0.6 * np.sin(np.arange(hours) / 97) + 0.3 * random.normal(size=hours))
    steps = volatility * random.normal(size=hours)
    close = np.round(price * np.exp(np.cumsum(steps)), decimals)
    opened = np.concatenate(([round(price, decimals)], close[:-1]))
    wick = np.round(close * volatility * random.uniform(0, 1, hours), decimals)
    return {
        "open": opened,
        "high": np.maximum(opened, close) + wick,
        "low": np.maximum(np.minimum(opened, close) - wick, 10.0**-decimals),
        "close": close,
        "volume": np.round(random.lognormal(3, 0.8, hours), 5),
    }


def bars_made(
    hours: int,
    seed: int = 1,
    *,
    missing: tuple[int, ...] = (),
    start: str = START,
    symbol: str = "BTCUSDT",
    price: float = 30_000.0,
    decimals: int = 2,
    prints: Mapping[int, float] = NONE,
    jumps: Mapping[int, float] = NONE,
) -> Bars:
    """`hours` bars, the first of which opens at `start` (UTC); those at the indices `missing` are gaps. `prints`: closes, by
    index, that are this much too high, though the next bar opens where the price was. `jumps`: prices are this much higher
    from a bar's open on."""
    columns = columns_made(hours, seed, price, decimals)
    _spoil(columns, prints, jumps, decimals)
    keep = np.setdiff1d(np.arange(hours), np.array(missing, dtype=int))
    times = parse_time(start) + keep * HOUR_MS
    return bars_from_columns(symbol, times, {name: v[keep] for name, v in columns.items()}, "synthetic")


def _spoil(
    columns: dict[str, Floats], prints: Mapping[int, float], jumps: Mapping[int, float], decimals: int
) -> None:
    """Put prints and jumps into columns; every rule of a bar still holds."""
    least = 10.0**-decimals
    for i, factor in jumps.items():
        for name in PRICES:
            columns[name][i:] = np.maximum(np.round(columns[name][i:] * factor, decimals), least)
    for i, factor in prints.items():
        columns["close"][i] = max(round(columns["close"][i] * factor, decimals), least)
    if prints or jumps:
        columns["high"] = np.maximum.reduce([columns[name] for name in PRICES])
        columns["low"] = np.minimum.reduce([columns[name] for name in PRICES])


def bars_of_closes(closes: list[float], *, missing: tuple[int, ...] = (), start: str = START) -> Bars:
    """Bars with these closes, each opening at the close before (the first at its own) and no wicks: for worked
    examples. Those at the indices `missing` are gaps."""
    close = np.array(closes, dtype=float)
    opened = np.concatenate((close[:1], close[:-1]))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": np.ones(len(close)),
    }
    keep = np.setdiff1d(np.arange(len(close)), np.array(missing, dtype=int))
    times = parse_time(start) + keep * HOUR_MS
    return bars_from_columns("BTCUSDT", times, {name: v[keep] for name, v in columns.items()}, "worked")
