"""An hour's tick: in a fresh process, warm with its own share apart from the venue's, and with ten years behind it."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.scene import bars_file
from tests.rig import quick_params
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal, encode, hour_folder
from trader.app.retrain import retrain
from trader.app.tick import Bot, tick
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, HOUR_MS, iso, parse_hour
from trader.simulation import rehearsal

START = parse_hour("2022-01-01")
FRESH_TICKS = 9
OWN_HOURS = 2_000
WARM_TICKS = 300
DAY, TEN_YEARS = 24, 87_600
DEFAULTS = params_of(DEFAULT_PARAMS, "the defaults")
# Small trees that change their mind often: as many of the hours as possible carry an order.
BUSY = params_of(
    quick_params(step_days=365, exit_edge=0.0, halt_cumulative_return=None), "the benchmark's own"
)


def run() -> list[Figure]:
    """Each part on its own folder and its own embedded exchange."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*own_share(folder), *ten_years(folder)]


@dataclass
class Stage:
    """A bot in this process at an exchange of its own, its hours moved by hand."""

    bot: Bot
    clock: SimClock
    store: Path
    url: str

    def tick_at(self, hour: int) -> float:
        """Seconds of the tick of an hour (UTC ms), the exchange's clock set to it before."""
        self.clock.move_to(hour)
        began = time.perf_counter()
        ticked = tick(self.bot)
        seconds = time.perf_counter() - began
        if ticked.outcome != "traded":
            raise RuntimeError(f"a tick of the benchmark did not trade: {ticked.message}")
        return seconds

    def fresh(self, hour: int) -> Spent:
        """The tick of an hour in a fresh process."""
        self.clock.move_to(hour)
        return trader("tick", cwd=self.store.parent, **self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to run this bot."""
        folder = self.store.parent
        return {
            "TRADER_VENUE_URL": self.url,
            "TRADER_STORE": str(self.store),
            "TRADER_BARS": str(folder / "bars"),
            "TRADER_TRACKERS": "none",
        }


@contextmanager
def stage(folder: Path, params: Params, start: int, *, durable: bool) -> Iterator[Stage]:
    """A bot that begins at `start`; one that has begun already where the folder holds its store."""
    served = ["--bars", str(bars_file(folder)), "--symbol", "BTCUSDT"]
    with wiring.embedded_exchange(served, params, start) as venue:
        settings = rehearsal.embedded_settings(venue, "BTCUSDT", folder / "store")
        with (
            closing(SimClock(venue["url"])) as clock,
            wiring.open_bot(settings, clock, durable=durable, keep_bars=False) as bot,
        ):
            if not bot.journal.events("champion"):
                retrain(bot.journal, bot.collector, bot.forecaster, params, start, bot.version)
            yield Stage(bot, clock, folder / "store", venue["url"])


@dataclass(frozen=True, slots=True)
class Spent:
    """A whole process: wall and processor seconds, peak memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float


# A small parent: a child's peak is never below that of the process that started it.
LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def trader(*words: str, cwd: Path, **environment: str) -> Spent:
    """A `trader` command from exec to exit. Raises RuntimeError with its last words where it fails."""
    command = [sys.executable, "-I", "-S", "-c", LAUNCHER, sys.executable, "-m", "trader.cli", *words]
    done = subprocess.run(
        command, cwd=cwd, env={"PATH": os.defpath, **environment}, capture_output=True, text=True, check=True
    )
    code, wall_s, cpu_s, peak_mb = json.loads(done.stdout.splitlines()[-1])
    if code:
        raise RuntimeError(f"trader {' '.join(words)} ended with {code}: {done.stderr[-400:]}")
    return Spent(wall_s, cpu_s, peak_mb)


@dataclass
class Watch:
    """Every request of a bot: when it left, when its answer was there. perf_counter seconds."""

    requests: list[tuple[float, float, str]] = field(default_factory=list)

    def over(self, api: Any) -> None:
        """Watch one connection's HTTP adapter."""
        adapter = api.client.session.get_adapter(api.url)
        send = adapter.send

        def timed(request: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return send(request, **options)
            finally:
                what = f"{request.method} {request.path_url.split('?')[0]}"
                self.requests.append((began, time.perf_counter(), what))

        adapter.send = timed

    def own_seconds(self, ended: float) -> tuple[float, bool]:
        """From the answer with the closed bar to the order's leaving (or to the hour's end), requests left out; and
        whether there was an order."""
        known = max((end for _, end, what in self.requests if what.endswith("/klines")), default=None)
        if known is None:
            raise RuntimeError("no bar was asked for")
        orders = [began for began, _, what in self.requests if what == "POST /api/v3/order"]
        until = orders[0] if orders else ended
        waited = sum(end - began for began, end, _ in self.requests if began >= known and end <= until)
        return until - known - waited, bool(orders)


def own_share(folder: Path) -> list[Figure]:
    """2,000 hours of a warm bot whose journal is flushed to the disk as in production."""
    place = folder / "own"
    place.mkdir()
    watch, all_hours, with_order = Watch(), [], []
    with stage(place, BUSY, START, durable=True) as made:
        watch.over(made.bot.exchange._api)  # type: ignore[attr-defined]
        watch.over(made.bot.collector._market._api)  # type: ignore[attr-defined]
        for i in range(OWN_HOURS):
            watch.requests.clear()
            made.tick_at(START + i * HOUR_MS)
            seconds, ordered = watch.own_seconds(time.perf_counter())
            all_hours.append(seconds * 1000)
            if ordered:
                with_order.append(seconds * 1000)
    note = f"{OWN_HOURS:,} hours, {len(with_order):,} of them with an order; the rest count to their record"
    figures = []
    for what, values in (("", all_hours), (", hours with an order", with_order)):
        shares = statistics.quantiles(values, n=100)
        figures.append(
            Figure(f"bar known to order sent, own share, median{what}", shares[49], "at most", 25, "ms", note)
        )
        figures.append(Figure(f"its 99th percentile{what}", shares[98], "at most", 75, "ms"))
        note = ""
    return figures


def ten_years(folder: Path) -> list[Figure]:
    """The same hours by two bots: one with a day of journal behind it, one with ten years; fresh processes and warm."""
    young, old = folder / "day", folder / "years"
    for place in (young, old):
        place.mkdir()
    begun = START - DAY * HOUR_MS
    with stage(young, DEFAULTS, begun, durable=False) as made:
        for i in range(DAY):
            made.tick_at(begun + i * HOUR_MS)
    shutil.copytree(young / "store", old / "store")
    seconds = age(old / "store", begun)
    with ExitStack() as stack:
        stages = [stack.enter_context(stage(place, DEFAULTS, START, durable=False)) for place in (young, old)]
        fresh: list[list[Spent]] = [[], []]
        done: list[Spent] = []
        for i in range(FRESH_TICKS):
            for made, spent in zip(stages, fresh, strict=True):
                spent.append(made.fresh(START + i * HOUR_MS))
            done.append(stages[1].fresh(START + i * HOUR_MS))
        warm: list[list[float]] = [[], []]
        for i in range(FRESH_TICKS, FRESH_TICKS + WARM_TICKS):
            for made, walls in zip(stages, warm, strict=True):
                walls.append(made.tick_at(START + i * HOUR_MS))
    cpu = [statistics.median(spent.cpu_s for spent in side) for side in fresh]
    wall = [statistics.median(side) for side in warm]
    every = [spent for side in fresh for spent in side]
    return [
        Figure("tick, fresh process", statistics.median(s.wall_s for s in every), "at most", 2, "s"),
        Figure("its processor time", statistics.median(s.cpu_s for s in every), unit="s"),
        Figure("its peak memory, the largest", max(s.peak_mb for s in every), "at most", 240, "MB"),
        Figure(
            "tick that is done, fresh process", statistics.median(s.wall_s for s in done), "at most", 1.2, "s"
        ),
        Figure("its processor time", statistics.median(s.cpu_s for s in done), unit="s"),
        Figure(
            *(
                "ten years of journal behind it against a day, fresh, processor time",
                cpu[1] / cpu[0],
                "at most",
                1.1,
            ),
            note=f"{TEN_YEARS:,} records written in {seconds:.0f} s; {FRESH_TICKS} ticks each, in turn",
        ),
        Figure(
            *("the same, warm, wall", wall[1] / wall[0], "at most", 1.1),
            note=f"{WARM_TICKS} ticks each, in turn: {wall[0] * 1000:.1f} and {wall[1] * 1000:.1f} ms",
        ),
    ]


def age(store: Path, begun: int) -> float:
    """Give a store ten years before `begun`: a closed hour each, a champion every month. Returns the seconds it took.

    Decisions and records are copies of the store's first, the champions of its own, so that all have their true shape.
    """
    clock = time.perf_counter()
    first = store / hour_folder("BTCUSDT", begun)
    shapes = [(name, json.loads((first / name).read_bytes())) for name in ("decision", "record")]
    since = begun - TEN_YEARS * HOUR_MS
    for hour in range(since, begun, HOUR_MS):
        folder = store / hour_folder("BTCUSDT", hour)
        folder.mkdir(parents=True)
        for name, content in shapes:
            content["close_time"] = hour
            if "line" in content:
                content["line"]["close_time"] = iso(hour)
            (folder / name).write_bytes(encode(content))
    deployed = store / "state" / "BTCUSDT" / "deployment" / "000001"
    deployed.write_bytes(encode({**json.loads(deployed.read_bytes()), "start": since}))
    champion = Journal(LocalStore(store), "BTCUSDT").events("champion")[0].content
    (store / "state" / "BTCUSDT" / "champion" / "000001").unlink()
    aged = Journal(LocalStore(store, durable=False), "BTCUSDT")
    for month in [*range(since, begun, DEFAULTS.step_days * DAY_MS), begun]:
        aged.append("champion", {**champion, "valid_from": month})
    return time.perf_counter() - clock
