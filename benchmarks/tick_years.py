"""Ten years of journal behind a tick against a day, and a tick in a fresh process beside the floor of its imports."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.import_floor import record, words
from benchmarks.scene import Process, median, process
from benchmarks.tick_stage import DEFAULTS, START, Size, stage
from trader.adapters.store_local import LocalStore
from trader.app.codec import DECISION, RECORD
from trader.app.codec_events import CHAMPION, DEPLOYMENT
from trader.app.event_log import event_key
from trader.app.journal import Journal, hour_folder
from trader.core.events import DeploymentEvent
from trader.core.types import DAY_MS, HOUR_MS

DAY = 24


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
