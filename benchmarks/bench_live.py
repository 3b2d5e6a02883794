"""The live path: the demo, a replay through HTTP and the real client, signed orders. Ticks are in bench_tick."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from benchmarks.bench_tick import trader
from benchmarks.figure import Figure
from benchmarks.scene import bars_file
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.sizing import floor_step
from trader.core.types import HOUR_MS, Side, iso, parse_hour
from trader.simulation import rehearsal

START, HOURS = parse_hour("2022-01-01"), 1_416
ROUND_TRIPS = 300


def run() -> list[Figure]:
    """Each figure on its own folder and its own embedded exchange."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [demo(folder), replay(folder), signed_orders(folder)]


def demo(folder: Path) -> Figure:
    """`trader demo`, whole process: two weeks of hours and one retrain on a breach."""
    spent = trader("demo", "--json", cwd=folder)
    return Figure("trader demo, whole process", spent.wall_s, "at most", 90, "s")


def replay(folder: Path) -> Figure:
    """Two months of hours, every one through HTTP, signature and the real client."""
    words = (
        "replay",
        "--bars",
        str(bars_file(folder)),
        "--from",
        iso(START),
        "--to",
        iso(START + HOURS * HOUR_MS),
    )
    command = [sys.executable, "-m", "trader.cli", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Figure("replay", json.loads(done.stdout)["ticks_per_second"], "at least", 100, "hours/s")


def signed_orders(folder: Path) -> Figure:
    """Market orders of a warm client, signed, sent and answered."""
    params = params_of(DEFAULT_PARAMS, "the defaults")
    served = ["--bars", str(bars_file(folder)), "--symbol", "BTCUSDT"]
    with wiring.embedded_exchange(served, params, START) as venue:
        settings = rehearsal.embedded_settings(venue, "BTCUSDT", folder / "orders")
        with (
            closing(SimClock(venue["url"])) as clock,
            closing(wiring.make_exchange(settings, clock)) as exchange,
        ):
            accepted, ask = exchange.filters("BTCUSDT"), exchange.quote("BTCUSDT").ask
            bought = floor_step(Decimal(500), ask, accepted.step_size)
            sold = floor_step(bought * (1 - params.fee_rate), Decimal(1), accepted.step_size)
            began = time.perf_counter()
            for i in range(ROUND_TRIPS):
                now = exchange.time_ms() if i % 50 == 0 else clock.now_ms()
                side: Side = "BUY" if i % 2 == 0 else "SELL"
                qty = bought if side == "BUY" else sold
                sent = exchange.send(exchange.sign("BTCUSDT", side, qty, f"bench-{i}", now))
                if sent.outcome != "accepted":
                    raise RuntimeError(f"an order of the benchmark was not accepted: {sent.message}")
            rate = ROUND_TRIPS / (time.perf_counter() - began)
    return Figure("signed orders through python-binance", rate, "at least", 300, "a second")
