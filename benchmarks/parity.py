"""`python -m benchmarks.parity`: the two commands on real weeks of five symbols, and 72 hours by fresh processes.

Each row runs `backtest run` and `trader replay` as a user does and compares the bytes of their hours files. Needs the data
folder (HOURLY_TRADER_DATA, or `shared/data` beside the repository); the suite proves the same on made bars. The exit
code is 1 if anything differs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.rig import anew, quick_params, venue
from tests.support.rig_bars import REAL
from trader import terminal
from trader.core.params import DEFAULT_PARAMS
from trader.core.types import DAY_MS, HOUR_MS, iso, parse_hour

BTC = [("2022-01-01", "2022-03-01"), ("2021-04-15", "2021-05-01"), ("2020-02-01", "2020-03-10")]
# Small models without an edge, so that they trade: steps of 0.0001, 0.1, 1 and 100,000.
OTHERS = [
    ("ETHUSDT", "2021-03-01"),
    ("ADAUSDT", "2021-03-01"),
    ("XRPUSDT", "2021-03-01"),
    ("SHIBUSDT", "2021-07-20"),
]
LOOP_START, LOOP_HOURS = "2021-04-24", 72


@dataclass(frozen=True, slots=True)
class Compared:
    """A span, how many orders it had, and whether the two files are the same bytes."""

    name: str
    hours: int
    orders: int
    equal: bool
    seconds: float

    def row(self) -> tuple[str, ...]:
        """As text."""
        verdict = "equal" if self.equal else "DIFFERENT"
        return self.name, str(self.hours), str(self.orders), verdict, f"{self.seconds:.0f}"


def compared(name: str, files: tuple[Path, Path], began: float) -> Compared:
    """Two hours files, byte by byte."""
    first, second = (file.read_bytes() for file in files)
    lines = [json.loads(line) for line in first.splitlines()]
    orders = sum(line["order_side"] is not None for line in lines)
    return Compared(name, len(lines), orders, first == second, time.perf_counter() - began)


def span(folder: Path, symbol: str, start: str, stop: str, params: dict[str, object]) -> Compared:
    """`diff` of the hours files of `backtest run` and `trader replay`."""
    began = time.perf_counter()
    (folder / "P.json").write_text(json.dumps(params))
    words = (
        "--bars",
        str(REAL / f"{symbol}-1h.parquet"),
        "--from",
        start,
        "--to",
        stop,
        "--params",
        "P.json",
    )
    anew("backtest", "run", *words, "--hours-out", "backtest.jsonl", "--json", cwd=folder)
    anew("trader", "replay", *words, "--hours-out", "replay.jsonl", "--json", cwd=folder)
    return compared(f"{symbol} {start}..{stop}", (folder / "backtest.jsonl", folder / "replay.jsonl"), began)


def loop(folder: Path) -> Compared:
    """Hour by hour: POST /sim/clock, then `trader tick` in a fresh process; an outage of five hours among them."""
    began, start = time.perf_counter(), parse_hour(LOOP_START)
    bars = REAL / "BTCUSDT-1h.parquet"
    (folder / "P.json").write_text(json.dumps(quick_params()))
    words = ("--bars", str(bars), "--from", LOOP_START, "--to", iso(start + LOOP_HOURS * HOUR_MS))
    anew("backtest", "run", *words, "--params", "P.json", "--hours-out", "backtest.jsonl", cwd=folder)
    with venue(folder, bars, start - HOUR_MS) as exchange:
        exchange.run = anew
        exchange.trader("retrain", "--params", "P.json")
        for hour in range(start, start + LOOP_HOURS * HOUR_MS, HOUR_MS):
            exchange.move_to(hour)
            exchange.trader("tick", check=False)
        (folder / "ticks.jsonl").write_text(exchange.trader("journal", "--jsonl").stdout)
    return compared(
        f"loop of ticks, {LOOP_START}", (folder / "backtest.jsonl", folder / "ticks.jsonl"), began
    )


def main() -> int:
    """Compare everything; the table comes at the end."""
    if not REAL.exists():
        print("no data folder: set HOURLY_TRADER_DATA", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [span(folder, "BTCUSDT", start, stop, DEFAULT_PARAMS) for start, stop in BTC]
        for symbol, start in OTHERS:
            rows.append(
                span(folder, symbol, start, iso(parse_hour(start) + 14 * DAY_MS)[:10], quick_params())
            )
        rows.append(loop(folder))
    print(terminal.table("", [row.row() for row in rows], ("", "hours", "orders", "bytes", "s")))
    return 0 if all(row.equal for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
