"""A replay through HTTP, signature and the real client, beside the floor of its own requests (`replay_floor`).

The tape is recorded by a relay between one replay and its exchange. Then the replay without the relay and the floor are timed
in turn. Hours a second are this machine's; their ratio is the program's. On a busy machine the wall is no measure of either, so
the bot's own processor time stands beside it: what an hour costs more in a long replay than in one of a day, which leaves out
imports and the first training, against the floor's client. The exchange's own time is in the wall alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks import tape
from benchmarks.bench_exchange import exchange
from benchmarks.figure import Figure
from benchmarks.scene import bars_file, median, process, trader
from trader.core.types import HOUR_MS, iso, parse_hour

START = parse_hour("2022-01-01")
HOURS, PAIRS = 1_416, 5
SMALL_HOURS, DAY = 48, 24


def run() -> list[Figure]:
    """Two months of hours, five pairs."""
    return _figures(HOURS, PAIRS)


def run_small() -> list[Figure]:
    """Two days, one pair."""
    return _figures(SMALL_HOURS, pairs=1)


def _figures(hours: int, pairs: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = folder / "tape.jsonl"
        told = _recorded(folder, hours, written)
        walls, cpus = list[tuple[float, float]](), list[float]()
        for _ in range(pairs):
            wall_s, cpu_s = _replayed(folder, hours, folder / "hours.jsonl")
            _, day_cpu_s = _replayed(folder, DAY, folder / "day.jsonl")
            floor_s, floor_cpu_s = _floor(written)
            walls.append((wall_s, floor_s))
            cpus.append((cpu_s - day_cpu_s) / (hours - DAY) * hours / floor_cpu_s)
        same = (folder / "hours.jsonl").read_bytes() == (folder / "recorded.jsonl").read_bytes()
    # Of two days the difference to one is noise.
    own = [Figure("replay, of its floor, processor time of the bot", median(cpus), "at most", 2.0)]
    note = f"{len(told) / hours:.2f} requests an hour, {len(told):,} in all; medians of {pairs} in turn"
    return [
        Figure("hours a second, replayed", hours / median([ours for ours, _ in walls])),
        Figure("hours a second, the requests alone", hours / median([floor for _, floor in walls])),
        Figure("replay, of its floor, wall", median([a / b for a, b in walls]), "at most", 2.0, note=note),
        *(own if hours > SMALL_HOURS else []),
        Figure("replayed twice to the same bytes", same, "exactly", 1, is_result=True),
    ]


def _words(folder: Path, hours: int, out: Path) -> list[str]:
    span = ("--from", iso(START), "--to", iso(START + hours * HOUR_MS))
    return trader("replay", "--bars", str(bars_file(folder)), *span, "--hours-out", str(out), "--json")


def _recorded(folder: Path, hours: int, path: Path) -> list[tape.Told]:
    """The tape of a replay, written. Its exchange is served as the replay's own would be."""
    with exchange(bars_file(folder), iso(START - HOUR_MS)) as ready, tape.recording(ready["url"]) as relay:
        process([*_words(folder, hours, folder / "recorded.jsonl"), "--venue-url", relay.url], cwd=folder)
        tape.write(relay.kept, path)
        return relay.kept


def _replayed(folder: Path, hours: int, out: Path) -> tuple[float, float]:
    """Seconds of the hours themselves, as the command tells them, and of the processor, of the whole process."""
    with exchange(bars_file(folder), iso(START - HOUR_MS)) as ready:
        spent = process([*_words(folder, hours, out), "--venue-url", ready["url"]], cwd=folder)
    return float(json.loads(spent.said)["seconds"]), spent.cpu_s


def _floor(written: Path) -> tuple[float, float]:
    """Seconds of the requests alone, and of the client's processor."""
    with tape.constants(written) as url:
        said = process([sys.executable, "-m", "benchmarks.replay_floor", str(written), url]).said
    wall_s, cpu_s = json.loads(said)
    return wall_s, cpu_s
