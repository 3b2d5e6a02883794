"""A pooled book of three symbols on disk: one with an outage, one listed within the first training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.bars_made import bars_made
from tests.support.rig import quick_params
from trader.adapters.files import write_bars
from trader.core.params import Params, params_of
from trader.core.types import Bars

SYMBOLS = ("AAUSDT", "BBUSDT", "CCUSDT")
FIRST = "2021-02-10"
YOUNG_FROM = 700


def three_bars() -> tuple[Bars, Bars, Bars]:
    """1,100 hours from 1 January 2021 on; the last symbol's begin within the first training, early enough for its features."""
    one = bars_made(1_100, 1, symbol="AAUSDT", price=40_000.0, decimals=4)
    two = bars_made(1_100, 2, symbol="BBUSDT", price=1_500.0, decimals=4, missing=tuple(range(990, 996)))
    three = bars_made(1_100, 3, symbol="CCUSDT", price=20.0, decimals=4)
    return one, two, three.rows(YOUNG_FROM, len(three))


def pooled_params(**changes: Any) -> Params:
    """Small trees over all three symbols, refitted every day."""
    return params_of(quick_params(step_days=1, train_symbols=list(SYMBOLS), **changes), "a test")


def written_book(folder: Path, **changes: Any) -> Path:
    """bars/, P.json and book.toml in a folder; a change is a line of book.toml."""
    (folder / "bars").mkdir()
    for bars in three_bars():
        write_bars(folder / "bars" / f"{bars.symbol}-1h.parquet", bars)
    (folder / "P.json").write_text(json.dumps(quick_params(step_days=1)))
    values = {
        "symbols": list(SYMBOLS),
        "capital_usdt": 3_000,
        "rebalance_hours": 24,
        "params": "P.json",
        "pool": True,
    }
    lines = [
        f"{name} = {json.dumps(value)}" for name, value in {**values, **changes}.items() if value is not None
    ]
    (folder / "book.toml").write_text("\n".join(lines) + "\n")
    return folder / "book.toml"
