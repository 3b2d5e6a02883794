"""One walk-forward as a whole process, from exec to exit, against FreqAI's.

FREQAI_PYTHON names an interpreter that has freqtrade[freqai], FREQAI_RUNNER the runner that enters it offline
(`prepare`, then `freqai --id ID --n-jobs 1`). Without them our own time is printed and the ratio is not.
"""

from __future__ import annotations

import csv
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import START, STOP, backtest, bars, bars_file, median, params_file, process
from trader.core.bars import as_columns
from trader.core.types import iso

ROUNDS = 3
CASES = (("reference's best parameters", 20, 1 / 5), ("fully grown trees", 0, 1 / 3))


def run() -> list[Figure]:
    """47 windows of 30 days, 355 trees; ours and FreqAI's in turn."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python, runner = os.environ.get("FREQAI_PYTHON"), os.environ.get("FREQAI_RUNNER")
        if python and runner:
            prepare(folder, python, runner)
        for title, gamma, target in CASES:
            params = params_file(folder, f"gamma{gamma}", gamma=gamma)
            words = backtest(
                *("run", "--bars", str(bars_file(folder)), "--params", str(params), "--from", iso(START)),
                *("--to", iso(STOP), "--hours-out", str(folder / "hours.jsonl"), "--json"),
            )
            ours, theirs = [], []
            for _ in range(ROUNDS):
                ours.append(process(words).wall_s)
                if python and runner:
                    freqai = [python, runner, "freqai", "--id", f"bench{gamma}", "--n-jobs", "1"]
                    theirs.append(process(freqai, environment(folder, gamma)).wall_s)
            found.append(Figure(f"backtest run, {title}", median(ours), unit="s"))
            ratio = median(ours) / median(theirs) if theirs else None
            note = (
                f"FreqAI {median(theirs):.2f} s"
                if theirs
                else "set FREQAI_PYTHON and FREQAI_RUNNER to measure it here"
            )
            found.append(Figure(f"of FreqAI's wall, {title}", ratio, "at most", target, note=note))
    return found


def environment(folder: Path, gamma: float) -> dict[str, str]:
    """What the runner reads: its folder, the bars, and the parameter set."""
    return {
        "LAB": str(folder),
        "BTC_CSV": str(folder / "btc.csv"),
        "PARAMSET": "" if gamma else "g0",
        "PYTHONDONTWRITEBYTECODE": "",
    }


def prepare(folder: Path, python: str, runner: str) -> None:
    """Bars as the runner reads them, and its own folders."""
    times, columns = as_columns(bars(folder))
    with (folder / "btc.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("DateTime", "Open", "High", "Low", "Close", "Volume"))
        prices = zip(*(columns[n].tolist() for n in ("open", "high", "low", "close", "volume")), strict=True)
        for time_ms, values in zip(times.tolist(), prices, strict=True):
            stamp = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
            writer.writerow((stamp, *values))
    process([python, runner, "prepare"], environment(folder, 20))
