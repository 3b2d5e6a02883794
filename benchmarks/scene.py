"""What the benchmarks run on: real bars where a data folder is at hand, made ones where not; and whole processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.reference.reproduce import published_trials
from tests.support.bars_made import bars_made
from trader.adapters.files import read_bars, write_bars
from trader.adapters.talib_features import register_shipped
from trader.core.model_params import XGBoostParams
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
    chosen = {**best.params.model.model_dump(), **trees}
    return {**DEFAULT_PARAMS, "model": chosen, "look_back_days": best.params.look_back_days}


def reference_params(**trees: Any) -> Params:
    """The same, validated."""
    return params_of(reference_values(**trees), "the reference's best parameters")


def trees_of(params: Params) -> XGBoostParams:
    """XGBoost's own parameters."""
    model = params.model
    assert isinstance(model, XGBoostParams)
    return model


def params_file(folder: Path, name: str, **trees: Any) -> Path:
    """The same, as a file."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(reference_values(**trees)))
    return path


@dataclass(frozen=True, slots=True)
class Process:
    """A process from exec to exit, its own children's processor time included; and what it printed."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    said: str


# A small parent: a child's peak is never below that of the process that started it.
LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def process(words: Sequence[str], env: dict[str, str] | None = None, cwd: Path = ROOT) -> Process:
    """Run to the end, this checkout first on the path of imports, no setting of a bot in the environment. Raises
    RuntimeError with its last words if it fails."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TRADER_")}
    told = {**bare, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", **(env or {})}
    command = [sys.executable, "-I", "-S", "-c", LAUNCHER, *words]
    done = subprocess.run(command, env=told, cwd=cwd, capture_output=True, text=True, check=True)
    said, _, line = done.stdout.rstrip("\n").rpartition("\n")
    code, *spent = json.loads(line)
    if code:
        raise RuntimeError(f"{' '.join(words)[:200]} ended with {code}: {done.stderr[-800:]}")
    wall_s, cpu_s, peak_mb = spent
    return Process(wall_s, cpu_s, peak_mb, said)


def trader(*words: str) -> list[str]:
    """A `trader` command line of this environment."""
    return [sys.executable, "-m", "trader.cli", *words]


def backtest(*words: str) -> list[str]:
    """A `backtest` command line of this environment."""
    return [sys.executable, "-m", "backtest.cli", *words]


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return float(statistics.median(values))
