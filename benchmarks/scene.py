"""What the benchmarks run on: real bars where a data folder is at hand, made ones where not; and whole processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.seed.reproduce import published_trials
from tests.bars_made import bars_made
from trader.adapters.files import read_bars, write_bars
from trader.adapters.talib_features import register_shipped
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import Bars, parse_hour

ROOT = Path(__file__).resolve().parents[1]
register_shipped()  # as every command does before its verb
# 47 windows of 30 days, as the comparison with FreqAI was made.
START, STOP = parse_hour("2018-03-01"), parse_hour("2022-01-01")


def bars_file(folder: Path) -> Path:
    """BTCUSDT from 2017-08-17 on: the real file, or one made in `folder`."""
    data = Path(os.environ.get("HOURLY_TRADER_DATA", ROOT.parent / "shared" / "data"))
    real = data / "BTCUSDT-1h.parquet"
    if real.exists():
        return real
    made = folder / "BTCUSDT-1h.parquet"
    write_bars(
        made, bars_made(55_740, 1, start="2017-08-17", price=4_300.0, missing=tuple(range(9_000, 9_034)))
    )
    return made


def bars(folder: Path) -> Bars:
    """The same, read."""
    return read_bars(bars_file(folder), "BTCUSDT")


def reference_values(**trees: Any) -> dict[str, Any]:
    """The published study's best parameters (trial 13) with the documented rest; `trees` change XGBoost's."""
    best = published_trials()[13]
    chosen = {**best.params.xgboost.model_dump(), **trees}
    return {**DEFAULT_PARAMS, "xgboost": chosen, "look_back_days": best.params.look_back_days}


def reference_params(**trees: Any) -> Params:
    """The same, validated."""
    return params_of(reference_values(**trees), "the reference's best parameters")


def params_file(folder: Path, name: str, **trees: Any) -> Path:
    """The same, as a file."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(reference_values(**trees)))
    return path


@dataclass(frozen=True, slots=True)
class Process:
    """A process from exec to exit, seen from its parent."""

    wall_s: float
    peak_mb: float


def process(words: Sequence[str], env: dict[str, str] | None = None) -> Process:
    """Run to the end. Raises RuntimeError with its last words if it fails."""
    began = time.perf_counter()
    child = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, cwd=ROOT
    )
    said = child.stderr.read() if child.stderr else b""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if child.stderr:
        child.stderr.close()
    if child.returncode:
        raise RuntimeError(
            f"{words[:4]} ended with {child.returncode}: {said[-400:].decode(errors='replace')}"
        )
    return Process(wall, usage.ru_maxrss / 1024)


def backtest(*words: str) -> list[str]:
    """A `backtest` command line of this environment."""
    return [sys.executable, "-m", "backtest.cli", *words]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return float(statistics.median(values))
