"""The live path: the demo, a replay through HTTP and the real client, fresh ticks, warm ticks, signed round trips."""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import bars_file
from trader import rehearsal, wiring
from trader.adapters.clocks import SimClock
from trader.app.retrain import retrain
from trader.app.tick import tick
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.sizing import floor_step
from trader.core.types import HOUR_MS, iso, parse_hour

START, HOURS = parse_hour("2022-01-01"), 1_416
FRESH_TICKS = 7
ROUND_TRIPS = 300


def trader(*words: str, cwd: Path, **environment: str) -> float:
    """Seconds of a whole `trader` process. Raises CalledProcessError where it fails."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "trader.cli", *words]
    subprocess.run(
        command, cwd=cwd, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, check=True
    )
    return time.perf_counter() - began


def run() -> list[Figure]:
    """Each figure on its own folder and its own embedded exchange."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [demo(folder), replay(folder), *ticks(folder)]


def demo(folder: Path) -> Figure:
    """`trader demo`, whole process."""
    return Figure("trader demo, whole process", trader("demo", "--json", cwd=folder), "at most", 90, "s")


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


def ticks(folder: Path) -> list[Figure]:
    """Fresh processes: an hour to close, an hour that is done; and signed orders of a warm one."""
    params = params_of(DEFAULT_PARAMS, "the defaults")
    served = ["--bars", str(bars_file(folder)), "--symbol", "BTCUSDT"]
    store = folder / "ticks"
    shutil.rmtree(store, ignore_errors=True)
    with wiring.embedded_exchange(served, params, START) as venue:
        settings = rehearsal.embedded_settings(venue, "BTCUSDT", store)
        environment = {
            "TRADER_VENUE_URL": venue["url"],
            "TRADER_STORE": str(store),
            "TRADER_BARS": str(folder / "b"),
        }
        clock_at = closing(SimClock(venue["url"]))
        with clock_at as clock, wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot:
            retrain(bot.journal, bot.collector, bot.forecaster, params, START, bot.version)
            fresh, done = [], []
            for i in range(FRESH_TICKS):
                clock.move_to(START + i * HOUR_MS)
                fresh.append(trader("tick", cwd=folder, **environment))
                done.append(trader("tick", cwd=folder, **environment))
            peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            clock.move_to(START + FRESH_TICKS * HOUR_MS)
            tick(bot)
            accepted, ask = bot.exchange.filters("BTCUSDT"), bot.exchange.quote("BTCUSDT").ask
            bought = floor_step(Decimal(500), ask, accepted.step_size)
            sold = floor_step(bought * (1 - params.fee_rate), Decimal(1), accepted.step_size)
            began = time.perf_counter()
            for i in range(ROUND_TRIPS):
                now = bot.exchange.time_ms() if i % 50 == 0 else clock.now_ms()
                side = "BUY" if i % 2 == 0 else "SELL"
                qty = bought if side == "BUY" else sold
                sent = bot.exchange.send(bot.exchange.sign("BTCUSDT", side, qty, f"bench-{i}", now))
                if sent.outcome != "accepted":
                    raise RuntimeError(f"an order of the benchmark was not accepted: {sent.message}")
            rate = ROUND_TRIPS / (time.perf_counter() - began)
    return [
        Figure("tick, fresh process", statistics.median(fresh), "at most", 2, "s"),
        Figure("tick that is done, fresh process", statistics.median(done), "at most", 1.2, "s"),
        Figure("largest child process so far", peak_mb, None, None, "MB"),
        Figure("signed orders through python-binance", rate, "at least", 300, "a second"),
    ]
