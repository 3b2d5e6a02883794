"""A replay through HTTP, signature and the real client, beside the floor of its own requests (`replay_floor`).

The tape is recorded by a relay between one replay and its exchange. Then the replay without the relay and the floor are timed
in turn. Hours a second are this machine's; their ratio is the program's.
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
SMALL_HOURS = 48


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
        replays, floors = [], []
        for _ in range(pairs):
            replays.append(_replayed_s(folder, hours, folder / "hours.jsonl"))
            floors.append(_floor_s(written))
        same = (folder / "hours.jsonl").read_bytes() == (folder / "recorded.jsonl").read_bytes()
    note = f"{len(told) / hours:.2f} requests an hour, {len(told):,} in all; medians of {pairs} in turn"
    return [
        Figure("hours a second, replayed", hours / median(replays)),
        Figure("hours a second, the requests alone", hours / median(floors)),
        Figure("replay, of its floor", median(replays) / median(floors), "at most", 2.0, note=note),
        Figure("replayed twice to the same bytes", same, "exactly", 1, is_result=True),
    ]


def _words(folder: Path, hours: int, out: Path) -> list[str]:
    span = ("--from", iso(START), "--to", iso(START + hours * HOUR_MS))
    return trader("replay", "--bars", str(bars_file(folder)), *span, "--hours-out", str(out), "--json")


def _recorded(folder: Path, hours: int, path: Path) -> list[tape.Told]:
    """The tape of a replay, written. Its exchange is served as the replay's own would be."""
    at = iso(START - HOUR_MS)
    with exchange(bars_file(folder), at) as ready, tape.recording(ready["url"]) as relay:
        process([*_words(folder, hours, folder / "recorded.jsonl"), "--venue-url", relay.url], cwd=folder)
        tape.write(relay.kept, path)
        return relay.kept


def _replayed_s(folder: Path, hours: int, out: Path) -> float:
    """Seconds of the hours themselves, as the command tells them."""
    return float(json.loads(process(_words(folder, hours, out), cwd=folder).said)["seconds"])


def _floor_s(written: Path) -> float:
    """Seconds of the requests alone."""
    with tape.constants(written) as url:
        said = process([sys.executable, "-m", "benchmarks.replay_floor", str(written), url]).said
    return float(json.loads(said)[0])
