"""A study beside what one would do without it: the notebook's loop, FreqAI, and its own second time."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import study_freqai
from benchmarks.figure import Figure
from benchmarks.freqai_side import FreqAI, freqai
from benchmarks.scene import START, STOP, backtest, bars, bars_file, median, process
from benchmarks.study_scale import FOLD, SMALLER, SMALLEST, growth, workers_peak_mb
from benchmarks.study_search import Limits, Pair, pair
from trader.core.types import DAY_MS, iso

TRIALS = 20


@dataclass(frozen=True, slots=True)
class Size:
    """Seeds of the search, pairs of the rest, FreqAI's runs in each; the hours and the trials of a study; how far work grows."""

    seeds: int = 1
    pairs: int = 1
    freqai_runs: int = 2
    stop: int = STOP
    trials: int = TRIALS
    grown: int = FOLD


def run() -> list[Figure]:
    """One pair of each."""
    return _figures(Size())


def run_full() -> list[Figure]:
    """Ten seeds of the search, five pairs of the rest, twenty runs of FreqAI in each."""
    return _figures(Size(seeds=10, pairs=5, freqai_runs=TRIALS))


def run_small() -> list[Figure]:
    """Three trials over two windows, one run of FreqAI."""
    return _figures(Size(freqai_runs=1, stop=START + 60 * DAY_MS, trials=3, grown=2))


def _figures(size: Size) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_search(folder, size), *_beside_freqai(folder, size), *_scale(folder, size)]


def _search(folder: Path, size: Size) -> list[Figure]:
    series, limits = bars(folder), Limits(START, size.stop, size.trials)
    pairs: list[Pair] = []
    for seed in range(size.seeds):
        pairs.append(pair(series, seed, limits))
        print(f"  {pairs[-1].line()}", flush=True)
    # A study that never got there counts as one that took for ever.
    ratio = median([float("inf") if it.ratio is None else it.ratio for it in pairs])
    name = f"as good as the plain loop's {size.trials} trials, of its wall"
    note = f"median of {size.seeds} seeds of the search; both winners' later months are printed above"
    return [Figure(name, ratio, "at most", 1 / 5, note=note)]


class Walls(dict[str, list[float]]):
    """Seconds by kind: exact, pruned, again (from the cache), freqai."""

    def __init__(self) -> None:
        super().__init__({kind: [] for kind in ("exact", "pruned", "again", "freqai")})

    def last(self) -> str:
        """The newest of each, for a person."""
        return ", ".join(f"{kind} {took[-1]:.1f} s" for kind, took in self.items())


def _beside_freqai(folder: Path, size: Size) -> list[Figure]:
    """Exact and pruned studies, FreqAI, and the exact study once more from its cache, in turn; each pair a seed."""
    walls, best, same = Walls(), list[tuple[float, float]](), True
    with freqai(folder) as other:
        for seed in range(1, size.pairs + 1):
            for kind in ("exact", "pruned"):
                walls[kind].append(_study(folder, kind, folder / f"folds-{kind}", seed, size))
            rows = _rows(folder / "exact")
            shutil.rmtree(folder / "exact")
            walls["again"].append(_study(folder, "exact", folder / "folds-exact", seed, size))
            same = same and _told(rows) == _told(_rows(folder / "exact"))
            best.append((_best(folder / "pruned"), _best(folder / "exact")))
            walls["freqai"].append(_freqai(other, rows, size))
            for kind in ("exact", "pruned"):
                shutil.rmtree(folder / kind)
                shutil.rmtree(folder / f"folds-{kind}")
            print(f"  seed {seed}: {walls.last()}", flush=True)
    return [
        *_compared(walls, best, size),
        Figure("trials from the cache are the same", same, "exactly", 1, is_result=True),
    ]


def _compared(walls: Walls, best: list[tuple[float, float]], size: Size) -> list[Figure]:
    """Ratios of the walls, and what pruning costs."""
    name = f"of {TRIALS} FreqAI runs' wall"
    found = "; ".join(f"{pruned:.2f} of {exact:.2f}" for pruned, exact in best)
    again = f"{median(walls['again']):.1f} s against {median(walls['exact']):.1f} s"
    shares = [b / a for a, b in zip(walls["exact"], walls["again"], strict=True)]
    lost = median([pruned - exact for pruned, exact in best])
    return [
        Figure(f"a study of {size.trials} trials, none pruned", median(walls["exact"]), unit="s"),
        Figure(f"a study of {size.trials} trials", median(walls["pruned"]), unit="s"),
        Figure("its best net Sharpe ratio, less that of the one without pruning", lost, note=found),
        _ratio(f"{name}, none pruned", walls["exact"], walls["freqai"], 1 / 5, size),
        _ratio(name, walls["pruned"], walls["freqai"], 1 / 10, size),
        Figure(
            "once more in another folder, its folds from the cache",
            median(shares),
            "at most",
            0.05,
            note=again,
        ),
    ]


def _freqai(other: FreqAI, rows: Sequence[dict[str, Any]], size: Size) -> float:
    """Seconds of as many FreqAI runs as the study has trials, from those that are made."""
    chosen = rows[:: max(1, size.trials // size.freqai_runs)]
    return study_freqai.of_all(study_freqai.walls(other, chosen, START, size.stop), size.trials)


def _ratio(name: str, ours: list[float], theirs: list[float], target: float, size: Size) -> Figure:
    ratio = median([a / b for a, b in zip(ours, theirs, strict=True)])
    note = f"FreqAI {median(theirs):.0f} s, from {size.freqai_runs} of {size.trials} runs"
    return Figure(name.replace(str(TRIALS), str(size.trials)), ratio, "at most", target, note=note)


def _best(study: Path) -> float:
    """The value of its best complete trial."""
    return max(float(row["value"]) for row in _rows(study) if row["state"] == "complete")


def _study(folder: Path, kind: str, cache: Path, seed: int, size: Size) -> float:
    words = ("--trials", str(size.trials), "--seed", str(seed), "--batch", "4", "--workers", "2", "--json")
    span = ("--bars", str(bars_file(folder)), "--from", iso(START), "--to", iso(size.stop))
    exact = ("--exact",) if kind == "exact" else ()
    where = ("--study", str(folder / kind), "--cache", str(cache))
    return process(backtest("tune", *span, *words, *where, *exact), cwd=folder).wall_s


def _rows(study: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (study / "trials.jsonl").read_text().splitlines()]


def _told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a trial is and what it found, without how long it took."""
    return [(row["params"], row["state"], row["value"]) for row in rows]


def _scale(folder: Path, size: Size) -> list[Figure]:
    smaller = SMALLER if size.grown == FOLD else SMALLEST
    found, times = growth(bars(folder), size.pairs, size.grown, smaller), size.grown
    trials = smaller["trials"][0]
    few, many = workers_peak_mb(trials), workers_peak_mb(trials * times)
    note = f"{few:.0f} MB after {trials} trials, {many:.0f} MB after {trials * times}"
    peak = f"a worker's peak after {times} times the trials"
    return [
        *(
            Figure(f"{times} times the {name}, of {times} times the cost", it, "at most", 1.15)
            for name, it in found.items()
        ),
        Figure(peak, many / few, "at most", 1.05, note=note),
    ]
