"""One walk-forward as a whole process, from exec to exit, against FreqAI's (benchmarks/freqai_side.py)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from backtest.engine.walkforward import walk_forward
from benchmarks.figure import Figure
from benchmarks.freqai_side import FreqAI, freqai
from benchmarks.scene import (
    START,
    STOP,
    backtest,
    bars,
    bars_file,
    median,
    params_file,
    process,
    reference_params,
)
from trader.core.types import DAY_MS, HOUR_MS, Matrix, iso, parse_hour
from trader.forecasters.xgboost import XGBoostForecaster

ROUNDS = 3
CASES = (("reference's best parameters", 20, 1 / 5), ("fully grown trees", 0, 1 / 3))
# Three windows whose training and serving hours have no hole; trees that take every row and every column.
SMALL_FROM = parse_hour("2020-09-01")
SMALL_TO = SMALL_FROM + 90 * DAY_MS
SMALL_TREES: dict[str, Any] = {"n_estimators": 60, "gamma": 1, "subsample": 1.0, "colsample_bytree": 1.0}


def run() -> list[Figure]:
    """47 windows of 30 days, 355 trees; ours and FreqAI's in turn."""
    with tempfile.TemporaryDirectory() as name, freqai(Path(name)) as other:
        found = []
        for title, gamma, target in CASES:
            found += _raced(Path(name), other, title, target, {"gamma": gamma}, (START, STOP), ROUNDS)
        return found


def run_small() -> list[Figure]:
    """One pair over three windows; and whether both have done the same work."""
    with tempfile.TemporaryDirectory() as name, freqai(Path(name)) as other:
        span = (SMALL_FROM, SMALL_TO)
        return [
            *_raced(Path(name), other, "three windows", 1 / 3, SMALL_TREES, span, rounds=1),
            *_same_work(Path(name), other, "three windows"),
        ]


def _raced(
    folder: Path,
    other: FreqAI,
    title: str,
    target: float,
    trees: dict[str, Any],
    span: tuple[int, int],
    rounds: int,
) -> list[Figure]:
    """Walls of both, in turn, and their ratio."""
    values, file = reference_params(**trees), params_file(folder, "P", **trees)
    words = (
        "--bars",
        str(bars_file(folder)),
        "--params",
        str(file),
        "--from",
        iso(span[0]),
        "--to",
        iso(span[1]),
    )
    ours, theirs = [], []
    for _ in range(rounds):
        hours = ("--hours-out", str(folder / "hours.jsonl"), "--evidence", str(folder / "evidence"))
        ours.append(process(backtest("run", *words, *hours, "--json")).wall_s)
        theirs.append(other.backtest(_name(title), values, *span).wall_s)
    ratio, note = median(ours) / median(theirs), f"FreqAI {median(theirs):.2f} s"
    return [
        Figure(f"backtest run, {title}", median(ours), unit="s"),
        Figure(f"of FreqAI's wall, {title}", ratio, "at most", target, note=note),
    ]


def _same_work(folder: Path, other: FreqAI, title: str) -> list[Figure]:
    """FreqAI's P(up) beside ours of the same bars. A window begins with the bar that opens there; ours, with the one
    that has closed. FreqAI scales the columns before it fits, so trees split a little elsewhere and P(up) is not equal."""
    times, theirs = other.predictions(_name(title))
    first, stop = SMALL_FROM + HOUR_MS, SMALL_TO + HOUR_MS
    params = reference_params(**SMALL_TREES)
    ours = walk_forward(XGBoostForecaster(), bars(folder), params, first, stop, source="bars")
    same = int(np.isin(times, np.arange(first, stop, HOUR_MS)).sum()) if len(times) == len(ours) else 0
    alike = [_correlation(ours[1:], theirs[1:]), _correlation(ours[1:], theirs[:-1])] if same else [0.0, 0.0]
    note = f"{alike[1]:.2f} with the hour before"
    name = "correlation of FreqAI's P(up) with ours, hour by hour"
    return [
        Figure("hours that both predict", same, "exactly", (stop - first) // HOUR_MS, is_result=True),
        Figure(name, alike[0], "at least", 0.8, note=note, is_result=True),
        Figure("less that with the hour before", alike[0] - alike[1], "at least", 0.2, is_result=True),
    ]


def _correlation(a: Matrix, b: Matrix) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def _name(title: str) -> str:
    return title.replace(" ", "-").replace("'", "")
