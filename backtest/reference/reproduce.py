"""The published study this project starts from, repeated on its own terms, and what its scores are worth.

Its terms, faults and all: one row an hour from 2018 to 2021, a missing hour filled forward and counted; ten features;
label 0 for an equal close; a window trains on the `look_back` days of rows before it up to the very hour it serves,
and serves 720 rows; the score adds |return| of every hour whose direction was right and subtracts it where wrong.
It knows no costs. So beside each score stand the changes of mind behind it and what is left after 0.1 % a side.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from backtest.executors.futures import InProcess, in_order
from backtest.executors.protocol import Arrays, Executor, SharedArrays, Task, TaskSettings, task_function
from trader.core.errors import DataError
from trader.core.features import preset_named
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, REQUIRED_COLUMNS, Bars, Floats, Matrix, Progress, iso, parse_hour
from trader.forecasters.xgboost import XGBoostForecaster

# Bars that open in 2018 to 2021, by their close.
FIRST, AFTER_LAST = parse_hour("2018-01-01T01:00Z"), parse_hour("2022-01-01T01:00Z")
STEP_ROWS = 720
FEE_A_SIDE = 0.001
# The reference set no seed; XGBoost's default is 0.
SEED = 0
MORE_SEEDS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class PublishedTrial:
    """A parameter set of the study and its printed score: additive gross return, in stakes."""

    number: int
    published: float
    params: Params

    def with_seed(self, seed: int) -> Params:
        """The parameters with another seed of XGBoost."""
        return self.params.model_copy(update={"seed": seed})


@dataclass(frozen=True, slots=True, eq=False)
class SeedRows:
    """X: (n, 10) float32, no NaN. up: (n,) 1.0 where the next close is higher, else 0.0. moves: (n,) the next hour's
    simple return. The last hour's outcome is unknown to the reference: its label is 0 and its move nothing."""

    X: Matrix
    up: Floats
    moves: Floats

    def __len__(self) -> int:
        return len(self.X)


def published_trials() -> list[PublishedTrial]:
    """The 20 published parameter sets, in the order of their numbers."""
    found = json.loads(Path(__file__).with_name("trials.json").read_text(encoding="utf-8"))
    return [
        PublishedTrial(
            number=row["trial"],
            published=row["published"],
            params=params_of(
                {
                    **DEFAULT_PARAMS,
                    "model": {"family": "xgboost", **row["xgboost"]},
                    "look_back_days": row["look_back_days"],
                    "features": "seed_code",
                    "seed": SEED,
                },
                f"published trial {row['trial']}",
            ),
        )
        for row in found["trials"]
    ]


def rows_of(bars: Bars, source: str, start: int = FIRST, stop: int = AFTER_LAST) -> SeedRows:
    """The study's rows, start <= close_time < stop, without those whose indicators are undefined.

    Raises DataError, with the way out, where the bars do not reach from `start` to `stop`.
    """
    if not len(bars) or bars.first > start or bars.last < stop - HOUR_MS:
        held = f"{iso(bars.first)} to {iso(bars.last)}" if len(bars) else "none"
        raise DataError(
            f"the published study needs bars that close from {iso(start)} to {iso(stop - HOUR_MS)}; {source} holds {held}. "
            f"Collect them first: trader collect"
        )
    bars = filled_forward(bars)
    here = slice(bars.row(start), bars.row(stop))
    # Over the whole table at once, as the reference did: in anchored blocks the last bits differ, and what is fitted with them.
    X = preset_named("seed_code").compute(bars)[here].astype(np.float32)
    close = bars.close[here]
    moves = np.append(close[1:] / close[:-1] - 1, 0.0)
    defined = ~np.isnan(X).any(axis=1)
    return SeedRows(X[defined], (moves > 0).astype(np.float64)[defined], moves[defined])


def filled_forward(bars: Bars) -> Bars:
    """A missing hour repeats the bar before it, volume and all, as the reference's table did."""
    row = np.maximum.accumulate(np.where(bars.flagged, 0, np.arange(len(bars))))
    columns = {name: getattr(bars, name)[row] for name in REQUIRED_COLUMNS}
    return replace(bars, **columns)


def windows(rows: int, look_back_days: int) -> list[tuple[int, int, int]]:
    """(first row of training, first row served, row after the last served) of each window; the last may be short."""
    span = 24 * look_back_days
    return [
        (begin, begin + span, min(begin + span + STEP_ROWS, rows))
        for begin in range(0, rows - span, STEP_ROWS)
    ]


@task_function
def predict_window(arrays: Arrays, settings: TaskSettings) -> bytes:
    """P(up) of a window's served rows, by a model fitted on the rows before them: (m,) float32."""
    begin, served, after = settings["window"]
    params, X = Params.model_validate_json(settings["params"]), arrays["X"]
    forecaster = XGBoostForecaster()
    native = forecaster.train(X[begin:served], arrays["up"][begin:served], params, params.seed, ())
    return forecaster.predictor(native).scores(X[served:after]).tobytes()


@dataclass(frozen=True, slots=True)
class AdditiveScore:
    """gross: additive, in stakes. changes: hours whose side differs from the hour before. hours: predicted."""

    gross: float
    changes: int
    hours: int

    @property
    def net(self) -> float:
        """After 0.1 % a side: one to begin, and two for every change of mind, for the stake is turned round."""
        return self.gross - FEE_A_SIDE * (1 + 2 * self.changes)

    @property
    def net_reopened(self) -> float:
        """As the reference trades: every position closed and opened again each hour."""
        return self.gross - FEE_A_SIDE * 2 * self.hours


def score(rows: SeedRows, first: int, p_up: Matrix) -> AdditiveScore:
    """The study's score of P(up), (m,) float32, of the rows from `first` on: up where it is above a half."""
    up = p_up > 0.5
    here = slice(first, first + len(p_up))
    size = np.abs(rows.moves[here])
    right = up == (rows.up[here] > 0)
    return AdditiveScore(float(np.where(right, size, -size).sum()), int((up[1:] != up[:-1]).sum()), len(p_up))


def reproduce(
    rows: SeedRows,
    *,
    seeds: Sequence[int] = (SEED,),
    executor: Executor | None = None,
    progress: Progress | None = None,
    trials: Sequence[PublishedTrial] | None = None,
    keep: Callable[[Matrix], None] | None = None,
) -> dict[str, Any]:
    """Score every published trial by the study's own loop; the first of `seeds` is the reproduced one. `keep` is given
    the P(up) of each trial and seed, in their order.

    Returns rows, correlation (of published and reproduced), trials: [{trial, published, reproduced, changes, hours,
    net, net_reopened, other_seeds}], seconds. Returns are additive, in stakes.
    """
    began = time.perf_counter()
    trials = published_trials() if trials is None else trials
    found = list(_scores(rows, [(t, seed) for t in trials for seed in seeds], executor, progress, keep))
    report = []
    for number, trial in enumerate(trials):
        own, *others = found[number * len(seeds) : (number + 1) * len(seeds)]
        report.append(
            {
                "trial": trial.number,
                "published": trial.published,
                "reproduced": own.gross,
                "changes": own.changes,
                "hours": own.hours,
                "net": own.net,
                "net_reopened": own.net_reopened,
                "other_seeds": [other.gross for other in others],
            }
        )
    return {
        "rows": len(rows),
        "correlation": _correlation(report),
        "trials": report,
        "seconds": round(time.perf_counter() - began, 3),
    }


def _correlation(report: list[dict[str, Any]]) -> float | None:
    """Pearson's, None with fewer than three trials."""
    if len(report) < 3:
        return None
    return float(np.corrcoef([[row["published"], row["reproduced"]] for row in report], rowvar=False)[0, 1])


def _scores(
    rows: SeedRows,
    jobs: list[tuple[PublishedTrial, int]],
    executor: Executor | None,
    progress: Progress | None,
    keep: Callable[[Matrix], None] | None,
) -> Iterator[AdditiveScore]:
    """In the order of the jobs. One fit is one task, so that no worker is left with a whole trial at the end."""
    spans = [windows(len(rows), trial.params.look_back_days) for trial, _ in jobs]
    results = in_order(executor or InProcess(), _tasks(rows, jobs, spans))
    count, done = sum(map(len, spans)), 0
    for span in spans:
        p_up = []
        for part in islice(results, len(span)):
            p_up.append(np.frombuffer(part, np.float32))
            done += 1
            if progress:
                progress(done, count)
        joined = np.concatenate(p_up)
        if keep:
            keep(joined)
        yield score(rows, span[0][1], joined)


def _tasks(
    rows: SeedRows, jobs: list[tuple[PublishedTrial, int]], spans: list[list[tuple[int, int, int]]]
) -> Iterator[Task]:
    shared = SharedArrays({"X": rows.X, "up": rows.up})
    for (trial, seed), span in zip(jobs, spans, strict=True):
        params = trial.with_seed(seed).model_dump_json()
        for window in span:
            settings = {"params": params, "window": list(window)}
            label = f"trial {trial.number}, seed {seed}, rows {window[1]:,} on"
            yield Task(predict_window, settings, shared, placement="thread", label=label)
