"""This checkout side by side with an earlier commit: study, walk-forward, fresh tick and replay, in turn.

`python -m benchmarks before --commit REV` checks REV out into a temporary folder (git worktree) and runs both sides with the
same interpreter, through the command lines alone, so that modules may have moved in between: `backtest tune`, `backtest run`,
`trader tick` at an exchange of that side's own, `trader replay`. A side's processes find its own packages first. Sides take
turns (A B, then B A), after one turn that is not counted, in which bytecode is written
(a single pair is counted all the same). Of each pair the ratio is taken, and the
median of the ratios is the figure: wall and processor seconds of whole processes, children included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_exchange import exchange
from benchmarks.figure import Figure
from benchmarks.scene import ROOT, Process, bars_file, median, process
from trader.adapters.clocks import SimClock
from trader.core.types import HOUR_MS, iso, parse_hour

PAIRS = 5
MOST = 1.03
STUDIED = parse_hour("2018-03-01")
TRADED = parse_hour("2022-01-01")
# In the form that every version reads.
PARAMS = {
    "xgboost": {
        "n_estimators": 355,
        "max_depth": 5,
        "learning_rate": 0.0317,
        "subsample": 0.787,
        "colsample_bytree": 0.886,
        "gamma": 5,
    },
    "look_back_days": 59,
    "step_days": 30,
    "gap_hours": 1,
    "enter_edge": 0.005,
    "exit_edge": 0.0,
    "fee_rate": 0.001,
    "half_spread_bps": 1,
    "slippage_bps": 1,
    "allocation_usdt": 10_000,
    "seed": 7,
}


@dataclass(frozen=True, slots=True)
class Size:
    """Counted pairs, trials of the study, days of study and walk-forward, hours of the replay, ticks in one measurement."""

    pairs: int = PAIRS
    trials: int = 12
    days: int = 720
    hours: int = 720
    ticks: int = 3


def run() -> list[Figure]:
    """Against the commit before."""
    return against("HEAD~1")


def run_small() -> list[Figure]:
    """Against the last commit, which may be this very code: whether all of it runs."""
    return against("HEAD", Size(pairs=1, trials=2, days=30, hours=12, ticks=1))


def against(commit: str, size: Size | None = None) -> list[Figure]:
    """This checkout's working tree against a commit."""
    size = size or Size()
    with (
        tempfile.TemporaryDirectory() as name,
        checked_out(commit, Path(name)) as (tree, said),
        ExitStack() as stack,
    ):
        sides = [
            stack.enter_context(side(where, Path(name) / str(i), size))
            for i, where in enumerate((tree, ROOT))
        ]
        figures: list[Figure] = []
        for measure in ("study", "walk-forward", "fresh tick", "replay"):
            figures += compared(measure, [it.measures[measure] for it in sides], size.pairs)
        figures += same_hours(sides)
    print(f"  before: {said}", flush=True)
    return figures


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """A commit's files, and its line in the log."""
    where = folder / "before"
    git("worktree", "add", "--detach", "--quiet", str(where), commit)
    try:
        yield where, git("log", "-1", "--format=%h %s", commit)
    finally:
        git("worktree", "remove", "--force", str(where))


def git(*words: str) -> str:
    """A git command here. Raises RuntimeError with its own words."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Side:
    """One checkout: what it can be timed at, and where its hours files lie."""

    measures: dict[str, Callable[[], list[Process]]]
    folder: Path


@contextmanager
def side(tree: Path, folder: Path, size: Size) -> Iterator[Side]:
    """A checkout with a folder of its own, and an exchange and a bot for its ticks."""
    folder.mkdir()
    told = {"PYTHONPATH": str(tree)}
    market = ("--bars", str(bars_file(folder)))
    params = ("--params", "P.json")
    (folder / "P.json").write_text(json.dumps(PARAMS))

    def command(package: str, *words: str, **more: str) -> Process:
        return process([sys.executable, "-m", f"{package}.cli", *words], {**told, **more}, folder)

    def study() -> list[Process]:
        words = ("--trials", str(size.trials), "--batch", "2", "--workers", "2", "--json")
        return [command("backtest", "tune", *market, *span(STUDIED, size.days * 24), *words)]

    def walk() -> list[Process]:
        words = ("--workers", "1", "--hours-out", "walk.jsonl", "--json")
        return [command("backtest", "run", *market, *span(STUDIED, size.days * 24), *params, *words)]

    def replay() -> list[Process]:
        words = ("--hours-out", "replay.jsonl", "--json")
        return [command("trader", "replay", *market, *span(TRADED, size.hours), *params, *words)]

    with exchange(bars_file(folder), iso(TRADED - HOUR_MS), tree) as ready:
        bot = {
            "TRADER_VENUE_URL": ready["url"],
            "TRADER_STORE": "store",
            "TRADER_BARS": "bars",
            "TRADER_TRACKERS": "none",
        }
        command("trader", "retrain", *params, **bot)
        clock = SimClock(ready["url"])

        def ticks() -> list[Process]:
            spent = []
            for _ in range(size.ticks):
                clock.move_to(clock.now_ms() + HOUR_MS)
                spent.append(command("trader", "tick", **bot))
            return spent

        yield Side({"study": study, "walk-forward": walk, "fresh tick": ticks, "replay": replay}, folder)
        clock.close()


def span(start: int, hours: int) -> tuple[str, ...]:
    """Options for start <= T < start + hours."""
    return "--from", iso(start), "--to", iso(start + hours * HOUR_MS)


def compared(name: str, sides: list[Callable[[], list[Process]]], pairs: int) -> list[Figure]:
    """Now over before, pair by pair."""
    walls, cpus, taken = list[float](), list[float](), list[float]()
    for i in range(pairs + (pairs > 1)):
        spent = [sides[0](), sides[1]()] if i % 2 == 0 else [sides[1](), sides[0]()][::-1]
        if i == 0 and pairs > 1:
            continue  # bytecode was written
        wall, cpu = ([sum(getattr(it, what) for it in one) for one in spent] for what in ("wall_s", "cpu_s"))
        walls.append(wall[1] / wall[0])
        cpus.append(cpu[1] / cpu[0])
        taken.append(wall[1])
    note = f"{median(taken):.2f} s now; ratios {', '.join(f'{it:.3f}' for it in walls)}"
    return [
        Figure(f"{name}, wall, of the commit before", median(walls), "at most", MOST, note=note),
        Figure(f"{name}, processor time", median(cpus), "at most", MOST),
    ]


def same_hours(sides: list[Side]) -> list[Figure]:
    """Whether both sides' hours files are the same bytes: they are unless what an hour's line says has changed."""
    return [
        Figure(
            f"{name}: hours as before",
            (sides[0].folder / name).read_bytes() == (sides[1].folder / name).read_bytes(),
        )
        for name in ("walk.jsonl", "replay.jsonl")
    ]
