"""What MLflow adds to a tick, and that it was told every hour."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import median
from benchmarks.tick_stage import DEFAULTS, START, Size, Stage, stage
from trader.adapters.store_local import LocalStore
from trader.app.cursors import read_cursor
from trader.app.journal import Journal
from trader.core.types import HOUR_MS
from trader.observers.turn import turn

MOST_TOLD_S = 120.0


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
