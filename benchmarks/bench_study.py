"""A study beside what one would do without it: the notebook's loop, FreqAI, and its own second time."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import study_freqai
from benchmarks.figure import Figure
from benchmarks.scene import START, STOP, backtest, bars, bars_file, median, process
from benchmarks.study_scale import growth, workers_peak_mb
from benchmarks.study_search import Pair, pair
from trader.core.types import iso

TRIALS = 20
NO_FREQAI = "set FREQAI_PYTHON and FREQAI_RUNNER to measure it here"


def run() -> list[Figure]:
    """One pair of each."""
    return _figures(seeds=1, pairs=1, freqai_runs=2)


def run_full() -> list[Figure]:
    """Ten seeds of the search, five pairs of the rest, twenty runs of FreqAI in each."""
    return _figures(seeds=10, pairs=5, freqai_runs=TRIALS)


def _figures(seeds: int, pairs: int, freqai_runs: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_search(folder, seeds), *_beside_freqai(folder, pairs, freqai_runs), *_scale(folder, pairs)]


def _search(folder: Path, seeds: int) -> list[Figure]:
    series = bars(folder)
    pairs: list[Pair] = []
    for seed in range(seeds):
        pairs.append(pair(series, seed))
        print(f"  {pairs[-1].line()}", flush=True)
    # A study that never got there counts as one that took for ever.
    ratio = median([float("inf") if it.ratio is None else it.ratio for it in pairs])
    return [
        Figure(
            "as good as the plain loop's twenty trials, of its wall",
            ratio,
            "at most",
            1 / 5,
            note=f"median of {seeds} seeds of the search; both winners' later months are printed above",
        )
    ]


def _beside_freqai(folder: Path, pairs: int, freqai_runs: int) -> list[Figure]:
    """Exact and pruned studies, FreqAI, and the exact study once more from its cache, in turn; each pair a seed."""
    walls: dict[str, list[float]] = {"exact": [], "pruned": [], "again": [], "freqai": []}
    best: list[tuple[float, float]] = []
    for seed in range(1, pairs + 1):
        rows = []
        for kind in ("exact", "pruned"):
            walls[kind].append(_study(folder, kind, folder / f"folds-{kind}", seed))
            rows = rows or _rows(folder / "exact")
        shutil.rmtree(folder / "exact")
        walls["again"].append(_study(folder, "exact", folder / "folds-exact", seed))
        best.append((_best(folder / "pruned"), _best(folder / "exact")))
        if study_freqai.at_hand():
            chosen = rows[:: max(1, TRIALS // freqai_runs)]
            walls["freqai"].append(study_freqai.of_twenty(study_freqai.walls(folder, chosen)))
        for kind in ("exact", "pruned"):
            shutil.rmtree(folder / kind)
            shutil.rmtree(folder / f"folds-{kind}")
        print(
            f"  seed {seed}: {', '.join(f'{kind} {took[-1]:.1f} s' for kind, took in walls.items() if took)}",
            flush=True,
        )
    return [
        Figure("a study of 20 trials, none pruned", median(walls["exact"]), unit="s"),
        Figure("a study of 20 trials", median(walls["pruned"]), unit="s"),
        Figure(
            "its best net Sharpe ratio, less that of the one without pruning",
            median([pruned - exact for pruned, exact in best]),
            note="; ".join(f"{pruned:.2f} of {exact:.2f}" for pruned, exact in best),
        ),
        _ratio("of 20 FreqAI runs' wall, none pruned", walls["exact"], walls["freqai"], 1 / 5, freqai_runs),
        _ratio("of 20 FreqAI runs' wall", walls["pruned"], walls["freqai"], 1 / 10, freqai_runs),
        Figure(
            "once more in another folder, its folds from the cache",
            median([b / a for a, b in zip(walls["exact"], walls["again"], strict=True)]),
            "at most",
            0.05,
            note=f"{median(walls['again']):.1f} s against {median(walls['exact']):.1f} s",
        ),
    ]


def _ratio(name: str, ours: list[float], theirs: list[float], target: float, runs: int) -> Figure:
    if not theirs:
        return Figure(name, None, "at most", target, note=NO_FREQAI)
    ratio = median([a / b for a, b in zip(ours, theirs, strict=True)])
    return Figure(
        name, ratio, "at most", target, note=f"FreqAI {median(theirs):.0f} s, from {runs} of 20 runs"
    )


def _best(study: Path) -> float:
    """The value of its best complete trial."""
    return max(float(row["value"]) for row in _rows(study) if row["state"] == "complete")


def _study(folder: Path, kind: str, cache: Path, seed: int) -> float:
    words = ("--trials", str(TRIALS), "--seed", str(seed), "--batch", "4", "--workers", "2", "--json")
    span = ("--bars", str(bars_file(folder)), "--from", iso(START), "--to", iso(STOP))
    exact = ("--exact",) if kind == "exact" else ()
    where = ("--study", str(folder / kind), "--cache", str(cache))
    return process(backtest("tune", *span, *words, *where, *exact)).wall_s


def _rows(study: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (study / "trials.jsonl").read_text().splitlines()]


def _scale(folder: Path, rounds: int) -> list[Figure]:
    found = growth(bars(folder), rounds)
    figures = [
        Figure(f"sixteen times the {name}, of sixteen times the cost", ratio, "at most", 1.15)
        for name, ratio in found.items()
    ]
    few, many = workers_peak_mb(4), workers_peak_mb(64)
    note = f"{few:.0f} MB after 4 trials, {many:.0f} MB after 64"
    return [
        *figures,
        Figure("a worker's peak after sixteen times the trials", many / few, "at most", 1.05, note=note),
    ]
