"""An hour's tick: in a fresh process beside the floor of its imports (`import_floor`), warm with its own share apart from the
venue's, with ten years behind it, and with MLflow set beside without any tracker."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figure import Figure
from benchmarks.import_floor import record, words
from benchmarks.scene import Process, bars_file, median, process, trader
from tests.support.rig import quick_params
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.adapters.store_local import LocalStore
from trader.app.bot import Bot
from trader.app.codec import DECISION, RECORD
from trader.app.codec_events import ACCOUNT, CHAMPION, DEPLOYMENT
from trader.app.comparison import unknown_orders
from trader.app.cursors import read_cursor
from trader.app.journal import Journal, event_key, hour_folder
from trader.app.retrain import retrain
from trader.app.tick import tick
from trader.core.events import DeploymentEvent
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import DAY_MS, HOUR_MS, parse_hour
from trader.observers.turn import turn
from trader.simulation import rehearsal

START = parse_hour("2022-01-01")
DAY = 24
MOST_TOLD_S = 120.0
DEFAULTS = params_of(DEFAULT_PARAMS, "the defaults")
# Small trees that change their mind often: as many of the hours as possible carry an order.
BUSY = params_of(
    quick_params(step_days=365, exit_edge=0.0, halt_cumulative_return=None), "the benchmark's own"
)


@dataclass(frozen=True, slots=True)
class Size:
    """Hours of the warm bot; fresh ticks of each kind; warm ticks in turn; closed hours behind the older bot."""

    own_hours: int = 2_000
    fresh_ticks: int = 9
    warm_ticks: int = 300
    hours_behind: int = 87_600


def run() -> list[Figure]:
    """As often as medians need, ten years behind the older bot."""
    return _figures(Size())


def run_small() -> list[Figure]:
    """A few of each, three months behind the older bot."""
    return _figures(Size(own_hours=48, fresh_ticks=1, warm_ticks=4, hours_behind=2_160))


def _figures(size: Size) -> list[Figure]:
    """Each part on its own folder and its own embedded exchange."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*own_share(folder, size), *ten_years(folder, size), *with_mlflow(folder, size)]


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

    def fresh(self, hour: int, **more: str) -> Process:
        """The tick of an hour in a fresh process, with `more` in its environment."""
        self.clock.move_to(hour)
        return process(trader("tick"), {**self.environment, **more}, self.store.parent)

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
            if not bot.journal.events(CHAMPION):
                retrain(bot.journal, bot.collector, bot.forecaster_of, params, start, bot.version)
            yield Stage(bot, clock, folder / "store", venue["url"])


@dataclass
class Watch:
    """Every request of a bot: when it left, when its answer was there. perf_counter seconds."""

    requests: list[tuple[float, float, str]] = field(default_factory=list)

    def over(self, api: Any) -> None:
        """Watch one connection's HTTP session."""
        session = api.client.session
        send = session.request

        def timed(method: str, uri: str, **asked: Any) -> Any:
            began = time.perf_counter()
            try:
                return send(method, uri, **asked)
            finally:
                what = f"{method} {urlsplit(uri).path}"
                self.requests.append((began, time.perf_counter(), what))

        session.request = timed

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

    def compared(self) -> int:
        """Requests that compare the account with the journal."""
        return sum(what.endswith(("/allOrders", "/myTrades")) for _, _, what in self.requests)

    def comparison_seconds(self, bot: Bot, hour: int) -> float:
        """What comparing the account with the journal takes of the bot itself, requests left out, once the hour is closed."""
        newest, account = bot.journal.record(hour), bot.journal.events(ACCOUNT)
        self.requests.clear()
        began = time.perf_counter()
        found = unknown_orders(bot.context, newest, hour + HOUR_MS, hour + HOUR_MS, account)
        seconds = time.perf_counter() - began
        if found:
            raise RuntimeError(f"an order of the benchmark is unknown: {found}")
        return seconds - sum(end - start for start, end, _ in self.requests)


def own_share(folder: Path, size: Size) -> list[Figure]:
    """Hours of a warm bot whose journal is flushed to the disk as in production."""
    place = folder / "own"
    place.mkdir()
    watch, all_hours, with_order = Watch(), [], []
    asked, compared = 0, []
    with stage(place, BUSY, START, durable=True) as made:
        watch.over(made.bot.exchange._api)  # type: ignore[attr-defined]
        watch.over(made.bot.collector._market._api)  # type: ignore[attr-defined]
        for i in range(size.own_hours):
            watch.requests.clear()
            made.tick_at(START + i * HOUR_MS)
            seconds, ordered = watch.own_seconds(time.perf_counter())
            all_hours.append(seconds * 1000)
            if ordered:
                with_order.append(seconds * 1000)
            else:
                asked = max(asked, watch.compared())
            compared.append(watch.comparison_seconds(made.bot, START + i * HOUR_MS) * 1000)
    note = (
        f"{size.own_hours:,} hours, {len(with_order):,} of them with an order; the rest count to their record"
    )
    figures = []
    for what, values in (("", all_hours), (", hours with an order", with_order)):
        shares = statistics.quantiles(values, n=100)
        title = f"bar known to order sent, own share, median{what}"
        figures.append(Figure(title, shares[49], "at most", 25, "ms", note))
        figures.append(Figure(f"its 99th percentile{what}", shares[98], "at most", 75, "ms"))
        note = ""
    title = "comparison with the account, an hour without an order"
    figures.append(Figure(f"{title}, requests", asked, "at most", 2, is_result=True))
    figures.append(Figure(f"{title}, own share, median", statistics.median(compared), "at most", 5, "ms"))
    return figures


def ten_years(folder: Path, size: Size) -> list[Figure]:
    """The same hours by two bots: one with a day of journal behind it, one with ten years; fresh processes and warm."""
    young, old = folder / "day", folder / "years"
    seconds = two_stores(young, old, size)
    fresh, floors = list[list[Process]]([[], []]), list[Process]()
    done: list[Process] = []
    warm: list[list[float]] = [[], []]
    with ExitStack() as stack:
        stages = [stack.enter_context(stage(place, DEFAULTS, START, durable=False)) for place in (young, old)]
        stages[0].clock.move_to(START)
        imported = record(folder / "modules.json", young, stages[0].environment, "tick")
        for i in range(1, size.fresh_ticks + 1):
            for made, spent in zip(stages, fresh, strict=True):
                spent.append(made.fresh(START + i * HOUR_MS))
            floors.append(process(words(imported)))
            done.append(stages[1].fresh(START + i * HOUR_MS))
        for i in range(size.fresh_ticks + 1, size.fresh_ticks + 1 + size.warm_ticks):
            for made, walls in zip(stages, warm, strict=True):
                walls.append(made.tick_at(START + i * HOUR_MS))
    cpu = [median([spent.cpu_s for spent in side]) for side in fresh]
    wall = [median(side) for side in warm]
    written = (
        f"{size.hours_behind:,} records written in {seconds:.0f} s; {size.fresh_ticks} ticks each, in turn"
    )
    in_turn = f"{size.warm_ticks} ticks each, in turn: {wall[0] * 1000:.1f} and {wall[1] * 1000:.1f} ms"
    return [
        *processes([spent for side in fresh for spent in side], done, floors, len(imported)),
        Figure(
            "ten years of journal against a day, fresh, processor time",
            cpu[1] / cpu[0],
            "at most",
            1.1,
            note=written,
        ),
        Figure("the same, warm, wall", wall[1] / wall[0], "at most", 1.1, note=in_turn),
    ]


def with_mlflow(folder: Path, size: Size) -> list[Figure]:
    """Fresh ticks in turn, without a tracker and with MLflow, from the start of the command to its end; the process that it
    leaves behind has told each hour before the next tick begins."""
    place = folder / "mlflow"
    place.mkdir()
    walls: dict[str, list[float]] = {"none": [], "mlflow": []}
    told: list[float] = []
    with stage(place, DEFAULTS, START, durable=False) as made:
        tracked = {"TRADER_TRACKER_DIR": str(place / "tracking"), "TRADER_WAIT_FOR_OBSERVERS": "false"}
        for i in range(2 * size.fresh_ticks + 2):
            hour, name = START + i * HOUR_MS, ("none", "mlflow")[i % 2]
            spent = made.fresh(hour, TRADER_TRACKERS=name, **tracked)
            if name == "mlflow":
                told.append(heard_after(made, hour))
            if i > 1:  # the first telling makes MLflow's tables
                walls[name].append(spent.wall_s)
        points = metrics_of(place / "tracking" / "mlflow.db")
    alone, beside = median(walls["none"]), median(walls["mlflow"])
    note = f"{size.fresh_ticks} ticks each, in turn: {alone:.2f} and {beside:.2f} s; MLflow was told {median(told):.1f} s later"
    title = "tick with MLflow, fresh, wall to the end of the command, of one without"
    return [
        Figure(title, beside / alone, "at most", 1.1, note=note),
        Figure("hours that MLflow holds then", points, "exactly", 2 * size.fresh_ticks + 2, is_result=True),
    ]


def heard_after(made: Stage, hour: int) -> float:
    """Seconds until MLflow has heard of an hour and whoever told it has ended. Raises RuntimeError if that takes minutes."""
    began = time.perf_counter()
    journal = Journal(LocalStore(made.store), "BTCUSDT")
    while time.perf_counter() - began < MOST_TOLD_S:
        if read_cursor(journal, "mlflow").hour_ms == hour:
            with turn(made.store.parent / "tracking", MOST_TOLD_S):
                return time.perf_counter() - began
        time.sleep(0.05)
    raise RuntimeError(f"MLflow was not told: {read_cursor(journal, 'mlflow').trouble or 'no word'}")


def metrics_of(database: Path) -> int:
    """Hours whose equity MLflow's file holds."""
    with closing(sqlite3.connect(database)) as rows:
        found = rows.execute("select count(distinct step) from metrics where key = 'equity_usdt'").fetchone()
    return int(found[0])


def processes(fresh: list[Process], done: list[Process], floors: list[Process], modules: int) -> list[Figure]:
    """Fresh ticks beside their floor."""
    walls = [median([spent.wall_s for spent in side]) for side in (fresh, floors, done)]
    cpus = [median([spent.cpu_s for spent in side]) for side in (fresh, floors, done)]
    note = f"{modules:,} third-party modules in an empty program: {walls[1]:.2f} s, of the processor {cpus[1]:.2f} s"
    return [
        Figure("tick, fresh process", walls[0], "at most", 2, "s"),
        Figure("its processor time", cpus[0], unit="s"),
        Figure("its wall, of its imports'", walls[0] / walls[1], "at most", 1.5, note=note),
        Figure("its processor time, of its imports'", cpus[0] / cpus[1], "at most", 1.5),
        Figure("its peak memory, the largest", max(s.peak_mb for s in fresh), "at most", 240, "MB"),
        Figure("tick that is done, fresh process", walls[2], "at most", 1.2, "s"),
        Figure("its processor time", cpus[2], unit="s"),
    ]


def two_stores(young: Path, old: Path, size: Size) -> float:
    """A bot's first day in two folders, the second with years before it; the seconds that those took to write."""
    for place in (young, old):
        place.mkdir()
    begun = START - DAY * HOUR_MS
    with stage(young, DEFAULTS, begun, durable=False) as made:
        for i in range(DAY):
            made.tick_at(begun + i * HOUR_MS)
    shutil.copytree(young / "store", old / "store")
    return age(old / "store", begun, size.hours_behind)


def age(store: Path, begun: int, hours: int) -> float:
    """Give a store so many hours before `begun`, a closed one each, a champion every month. Returns the seconds it took.

    Decisions and records are copies of the store's first, the champions of its own, so that all have their true shape.
    """
    clock = time.perf_counter()
    first = store / hour_folder("BTCUSDT", begun)
    decision = DECISION.decode("decision", (first / "decision").read_bytes(), "BTCUSDT")
    shape = RECORD.decode("record", (first / "record").read_bytes(), "BTCUSDT")
    since = begun - hours * HOUR_MS
    for hour in range(since, begun, HOUR_MS):
        folder = store / hour_folder("BTCUSDT", hour)
        folder.mkdir(parents=True)
        (folder / "decision").write_bytes(DECISION.encode(replace(decision, close_time=hour), "aged"))
        line = replace(shape.line, close_time=hour)
        (folder / "record").write_bytes(RECORD.encode(replace(shape, close_time=hour, line=line), "aged"))
    deployed = store / event_key("BTCUSDT", "deployment", 1)
    deployed.write_bytes(DEPLOYMENT.encode(DeploymentEvent("BTCUSDT", since), "aged"))
    champion = Journal(LocalStore(store), "BTCUSDT").events(CHAMPION)[0].content
    (store / "state" / "BTCUSDT" / "champion" / "000001").unlink()
    aged = Journal(LocalStore(store, durable=False), "BTCUSDT")
    for month in [*range(since, begun, DEFAULTS.step_days * DAY_MS), begun]:
        aged.append(replace(champion, valid_from_ms=month))
    return time.perf_counter() - clock
