"""Whether a study's cost grows as its work does, and its workers' memory not at all.

Every trial of these is one and the same warm configuration, so that work is counted and not what a search prefers.
Seconds are of the processor, on one worker: the machine is shared.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from backtest.executors.registry import Setup, open_executor
from backtest.study.tune import SearchTask, tune
from benchmarks.scene import ROOT, bars, median
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, Bars, Filters, parse_hour
from trader.forecasters.xgboost import XGBoostForecaster

FIRST = parse_hour("2019-01-01")
FOLD = 16
# Trials, windows and days trained on of the smaller side: one of them is multiplied at a time.
SMALLER = {"trials": (4, 24, 30), "windows": (4, 8, 30), "bars trained on": (4, 8, 11)}
SMALLEST = dict.fromkeys(SMALLER, (2, 4, 11))


def configuration(look_back_days: int) -> Params:
    """Two days to a window, fifty trees."""
    trees = {**DEFAULT_PARAMS["model"], "n_estimators": 50, "gamma": 1}
    return params_of(
        {**DEFAULT_PARAMS, "model": trees, "step_days": 2, "look_back_days": look_back_days}, "a benchmark"
    )


def study(series: Bars, trials: int, windows: int, look_back_days: int = 30, workers: int = 1) -> None:
    """So many trials of so many windows."""
    params = configuration(look_back_days)
    filters = Filters.derived(float(series.close[series.row(FIRST)]))
    stop = FIRST + windows * 2 * DAY_MS
    task = SearchTask(XGBoostForecaster(), series, params, filters, FIRST, stop, "bars")
    with open_executor("local", Setup(workers)) as executor:
        tune(task, trials=trials, seed=1, executor=executor, warm=[params] * trials, prune=False)


def seconds(series: Bars, trials: int, windows: int, look_back_days: int = 30) -> float:
    """Of the processor."""
    began = time.process_time()
    study(series, trials, windows, look_back_days)
    return time.process_time() - began


def growth(
    series: Bars, rounds: int, times: int = FOLD, smaller: dict[str, tuple[int, int, int]] = SMALLER
) -> dict[str, float]:
    """Cost of so many times the work, of so many times the cost: 1 is linear, below 1 something is shared."""
    found = {}
    for at, (name, least) in enumerate(smaller.items()):
        most = list(least)
        most[at] *= times
        ratios = [seconds(series, *most) / seconds(series, *least) / times for _ in range(rounds)]
        found[name] = median(ratios)
    return found


def workers_peak_mb(trials: int) -> float:
    """The largest worker of a study of so many trials, in a process of its own."""
    code = f"from benchmarks.study_scale import main; main({trials})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def main(trials: int) -> None:
    """What that process does."""
    with TemporaryDirectory() as folder:
        study(bars(Path(folder)), trials, windows=8, workers=2)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
