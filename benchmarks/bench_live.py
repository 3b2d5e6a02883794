"""The live path: the demo as a whole process, and signed orders of a warm client. Ticks are in bench_tick, hours in
bench_replay."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import bars_file, process, trader
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.sizing import floor_step
from trader.core.types import Side, parse_hour
from trader.simulation import rehearsal

START = parse_hour("2022-01-01")
ROUND_TRIPS = 300


def run() -> list[Figure]:
    """Each figure on its own folder and its own embedded exchange."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*demo(folder), signed_orders(folder, ROUND_TRIPS)]


def run_small() -> list[Figure]:
    """The demo with one configuration, and a few orders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*demo(folder, "--trials", "1"), signed_orders(folder, 20)]


def demo(folder: Path, *options: str) -> list[Figure]:
    """`trader demo`, whole process: two weeks of hours and one retrain on a breach."""
    spent = process(trader("demo", "--json", *options), cwd=folder)
    hours = json.loads(spent.said)["hours"]
    return [
        Figure("trader demo, whole process", spent.wall_s, "at most", 90, "s"),
        Figure("its hours", hours, "exactly", 336, is_result=True),
    ]


def signed_orders(folder: Path, round_trips: int) -> Figure:
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
            for i in range(round_trips):
                now = exchange.time_ms() if i % 50 == 0 else clock.now_ms()
                side: Side = "BUY" if i % 2 == 0 else "SELL"
                qty = bought if side == "BUY" else sold
                sent = exchange.send(exchange.sign("BTCUSDT", side, qty, f"bench-{i}", now))
                if sent.outcome != "accepted":
                    raise RuntimeError(f"an order of the benchmark was not accepted: {sent.message}")
            rate = round_trips / (time.perf_counter() - began)
    return Figure("signed orders through python-binance", rate, "at least", 300, "a second")
