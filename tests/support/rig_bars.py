"""Bar files for tests of the whole: made from a seed, with outages, or the real ones where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from trader.adapters.files import write_bars
from trader.core.bars import bars_from_columns
from trader.core.types import HOUR_MS, parse_hour

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("HOURLY_TRADER_DATA", ROOT.parent / "shared" / "data"))

# Outages as opens of missing bars: one hour, three hours, and one over a retrain (2021-03-08T23:00).
OUTAGES = (("2021-03-06T10:00", 1), ("2021-03-07T02:00", 3), ("2021-03-08T22:00", 4), ("2021-04-25T04:00", 5))


def made_bars(
    folder: Path, start: str, stop: str, symbol: str = "BTCUSDT", price: float = 48_000.0, seed: int = 1
) -> Path:
    """A file of hourly bars from a random walk with a little memory, the outages left out."""
    first, last = parse_hour(start), parse_hour(stop)
    opens = np.arange(first, last, HOUR_MS, dtype=np.int64)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.006, len(opens))
    steps = noise + 0.2 * np.roll(noise, 1)
    close = np.round(price * np.exp(np.cumsum(steps)), 2)
    open_ = np.concatenate([[price], close[:-1]])
    spread = np.abs(rng.normal(0, 0.002, (2, len(opens))))
    columns = {
        "open": open_,
        "high": np.round(np.maximum(open_, close) * (1 + spread[0]), 2),
        "low": np.round(np.minimum(open_, close) * (1 - spread[1]), 2),
        "close": close,
        "volume": np.round(rng.lognormal(6, 0.5, len(opens)), 5),
    }
    columns["high"] = np.maximum(columns["high"], np.maximum(open_, close))
    columns["low"] = np.minimum(columns["low"], np.minimum(open_, close))
    there = np.ones(len(opens), dtype=bool)
    for text, hours in OUTAGES:
        out = parse_hour(text)
        there &= ~((opens >= out) & (opens < out + hours * HOUR_MS))
    bars = bars_from_columns(symbol, opens[there], {k: v[there] for k, v in columns.items()}, "made bars")
    path = folder / f"{symbol}-1h.parquet"
    write_bars(path, bars)
    return path
