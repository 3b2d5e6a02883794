"""The 20 published parameter sets: the same bytes as a plain loop on one thread, in how much of its time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backtest.executors.registry import Setup, open_executor
from backtest.reference.reproduce import (
    AFTER_LAST,
    FIRST,
    PublishedTrial,
    SeedRows,
    published_trials,
    reproduce,
    rows_of,
)
from benchmarks.figure import Figure
from benchmarks.plain_search import trained
from benchmarks.scene import bars, trees_of
from trader.core.types import Matrix

WORKERS = 2


def plain_loop(rows: SeedRows, trial: PublishedTrial) -> Matrix:
    """What one writes without this project: xgb.train per window, one thread."""
    parts, a, span = [], 0, 24 * trial.params.look_back_days
    while a + span < len(rows):
        b = a + span
        booster = trained(trial.params, rows.X[a:b], rows.up[a:b])
        parts.append(booster.inplace_predict(rows.X[b : min(b + 720, len(rows))]))
        a += 720
    return np.concatenate(parts)


def run() -> list[Figure]:
    """All twenty, and how their scores go along with the published ones."""
    raced = race(published_trials())
    best = max(range(len(raced.published)), key=lambda i: raced.published[i])
    alike = float(np.corrcoef(raced.published, raced.reproduced)[0, 1])
    title = f"trial {best}, published {raced.published[best]:.2f}"
    return [
        *raced.figures(),
        Figure("correlation with the published scores", alike, "at least", 0.84),
        Figure(title, raced.reproduced[best], unit="stakes"),
    ]


def run_small() -> list[Figure]:
    """The one with the fewest trees."""
    return race([min(published_trials(), key=lambda it: trees_of(it.params).n_estimators)]).figures()


@dataclass(slots=True)
class Race:
    """Seconds of the plain loop and ours over the same trials; how many are equal; scores."""

    rows: int
    plain_s: float = 0.0
    ours_s: float = 0.0
    equal: int = 0
    published: list[float] = field(default_factory=list)
    reproduced: list[float] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """What any number of trials tells."""
        note = f"{self.ours_s:.1f} s against {self.plain_s:.1f} s"
        equals = "trials whose every prediction equals the plain loop's"
        return [
            Figure("rows", self.rows, "exactly", 35_064, is_result=True),
            Figure(equals, self.equal, "exactly", len(self.published), is_result=True),
            Figure(
                "wall, two workers, of the plain loop's",
                self.ours_s / self.plain_s,
                "at most",
                0.55,
                note=note,
            ),
        ]


def race(trials: Sequence[PublishedTrial]) -> Race:
    """Trial by trial, the plain loop and ours in turn."""
    with tempfile.TemporaryDirectory() as name:
        rows = rows_of(bars(Path(name)), "bars", FIRST, AFTER_LAST)
    raced = Race(len(rows))
    for trial in trials:
        began = time.perf_counter()
        want = plain_loop(rows, trial)
        raced.plain_s += time.perf_counter() - began
        began = time.perf_counter()
        kept: list[Matrix] = []
        with open_executor("local", Setup(WORKERS)) as executor:
            report = reproduce(rows, executor=executor, trials=[trial], keep=kept.append)
        raced.ours_s += time.perf_counter() - began
        raced.equal += kept[0].tobytes() == want.tobytes()
        raced.published.append(trial.published)
        raced.reproduced.append(report["trials"][0]["reproduced"])
    return raced
