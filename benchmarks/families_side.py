"""Times of a local family, in the environment of `make families`:

    python -m benchmarks.families_side FAMILY BARS DAYS TIMES

prints one line of JSON: seconds of a walk-forward and of a fit, ms of processor time of a prediction, and whether hours
that were asked one by one are, to the bit, those of the walk.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from backtest.engine.history import History
from backtest.engine.walkforward import walk_forward
from backtest.executors.registry import Setup, open_executor
from trader.adapters.files import read_bars
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.types import DAY_MS, HOUR_MS, parse_hour
from trader.core.windows import refit_of
from trader.forecasters.registry import forecaster_of

START, WORKERS = parse_hour("2021-01-01"), 2


def measured(family: str, file: Path, days: int, times: int) -> dict[str, float]:
    """A walk-forward of so many days, and so many single predictions of hours of its first window."""
    bars, forecaster = read_bars(file, "BTCUSDT"), forecaster_of(family)
    params = params_of({**DEFAULT_PARAMS, "model": {"family": family}}, "the benchmark")
    with open_executor("local", Setup(WORKERS)) as executor:
        began = time.perf_counter()
        told = walk_forward(
            forecaster, bars, params, START, START + days * DAY_MS, source="the bars", executor=executor
        )
        walk_s = time.perf_counter() - began
    window = refit_of(params, 0, START)
    history = History.of(forecaster, bars, params, window.train_from, window.serve_until)
    began = time.perf_counter()
    model = history.fit(window, params)
    fit_s = time.perf_counter() - began
    # The last hours of a window are those with the longest filter.
    last = min(window.serve_until, START + days * DAY_MS)
    alone, each = [], []
    for hour in range(last - times * HOUR_MS, last, HOUR_MS):
        panel = history.seen_by(window.train_until, hour, hour + HOUR_MS)
        began = time.thread_time()
        alone.append(model.predict(panel, np.array([hour])).p_up)
        each.append((time.thread_time() - began) * 1000)
    rows = (last - START) // HOUR_MS
    equal = np.concatenate(alone).tobytes() == told[rows - times : rows].tobytes()
    return {
        "hours": len(told), "walk_s": walk_s, "fit_s": fit_s,
        "prediction_ms": statistics.median(each), "equal": float(equal),
    }  # fmt: skip


if __name__ == "__main__":
    family, file, days, times = sys.argv[1:]
    print(json.dumps(measured(family, Path(file), int(days), int(times))))
