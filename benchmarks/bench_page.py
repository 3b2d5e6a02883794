"""The page: written with a year behind it, drawn with five; and a bot's hours with observers set beside those without."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.scene import ROOT, bars_file, median, process, trader
from benchmarks.tick_stage import BUSY, Stage, Watch, stage
from tests.support.rig import quick_params
from trader import wiring
from trader.adapters.store_local import LocalStore
from trader.app.codec import RECORD
from trader.app.codec_events import CHAMPION, DEPLOYMENT
from trader.app.event_log import event_key
from trader.app.journal import Journal, hour_folder
from trader.config import Settings, load_settings
from trader.core.events import DeploymentEvent
from trader.core.records import HourRecord
from trader.core.types import DAY_MS, HOUR_MS, iso, parse_hour
from trader.dashboard.page import LIBRARY, library_bytes, render
from trader.dashboard.series import fold, fresh
from trader.observers import pages
from trader.observers.process import tell_observers

START = parse_hour("2022-01-01")
SYMBOL, STEP_DAYS = "BTCUSDT", 30
DEAD = "http://127.0.0.1:9/"  # nobody listens on the discard port
BARE = f"""<!doctype html><html><body><script defer src="{LIBRARY}"></script><script>
document.addEventListener("DOMContentLoaded", () => {{ document.body.dataset.drawn = "yes"; }})</script></body></html>"""
CHROMIUM = Path("/usr/bin/chromium")


@dataclass(frozen=True, slots=True)
class Size:
    """Hours that are replayed, and a year's; how often a page is written and drawn; hours of the two bots."""

    replayed: int = 60 * 24
    year: int = 365 * 24
    writes: int = 10
    draws: int = 10
    hours: int = 40


def run() -> list[Figure]:
    """Two real months, told over and over, stand for the years."""
    return _figures(Size())


def run_small() -> list[Figure]:
    """Two days stand for years of ten days."""
    return _figures(Size(replayed=48, year=240, writes=2, draws=1, hours=4))


def _figures(size: Size) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = a_year(folder, size)
        return [written(folder, store, size), *drawn(folder, store, size), *observed(folder, size)]


def a_year(folder: Path, size: Size) -> Path:
    """A store with a year of hours that ends where two replayed months do, and a model every thirty days."""
    (folder / "P.json").write_text(json.dumps(quick_params(step_days=STEP_DAYS)))
    span = ("--from", iso(START), "--to", iso(START + size.replayed * HOUR_MS))
    words = ("--bars", str(bars_file(folder)), *span, "--params", "P.json", "--store", "store")
    process(trader("replay", *words), {"TRADER_TRACKERS": "none"}, folder)
    store = folder / "store"
    journal = Journal(LocalStore(store), SYMBOL)
    shapes = list(journal.records())
    for i in range(size.year - size.replayed):
        close(store, moved(shapes[-1 - i % size.replayed], START - (i + 1) * HOUR_MS))
    champions = [event.content for event in journal.events(CHAMPION)]
    begun = store / event_key(SYMBOL, "deployment", 1)
    since = START - (size.year - size.replayed) * HOUR_MS
    begun.write_bytes(DEPLOYMENT.encode(DeploymentEvent(SYMBOL, since), "benchmark"))
    for event in (store / "state" / "BTCUSDT" / "champion").iterdir():
        event.unlink()
    journal = Journal(LocalStore(store, durable=False), SYMBOL)
    for valid_from in range(since, START, STEP_DAYS * DAY_MS):
        journal.append(replace(champions[0], valid_from_ms=valid_from))
    for content in champions:
        journal.append(content)
    return store


def moved(record: HourRecord, hour: int) -> HourRecord:
    """The record as if it were of another hour (close time, UTC ms)."""
    return replace(record, close_time=hour, line=replace(record.line, close_time=hour))


def close(store: Path, record: HourRecord) -> None:
    """Put a closed hour into a store."""
    folder = store / hour_folder(SYMBOL, record.close_time)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record").write_bytes(RECORD.encode(record, "benchmark"))


def settings_of(store: Path) -> Settings:
    """Settings that find the store."""
    return load_settings(store=str(store), symbol=SYMBOL)


def written(folder: Path, store: Path, size: Size) -> Figure:
    """After each of ten further hours, as the observer writes it: a journal of its own, a warm process."""
    settings = settings_of(store)
    pages.write_page(wiring.make_journal(settings), settings, folder / "page")
    shapes = list(wiring.make_journal(settings).records(START))
    walls = []
    for i in range(size.writes):
        close(store, moved(shapes[i], shapes[-1].close_time + (i + 1) * HOUR_MS))
        began = time.perf_counter()
        pages.write_page(wiring.make_journal(settings), settings, folder / "page")
        walls.append(time.perf_counter() - began)
    note = f"median of {size.writes} hours, the slowest {max(walls) * 1000:.0f} ms; {size.year:,} hours behind them"
    name = "the page after an hour, a year behind it"
    return Figure(name, statistics.median(walls) * 1000, "at most", 400, "ms", note)


def drawn(folder: Path, store: Path, size: Size) -> list[Figure]:
    """Five years folded, rendered, and opened in Chromium from a file."""
    settings, series = settings_of(store), fresh()
    journal = wiring.make_journal(settings)
    shapes = list(journal.records())
    for year in range(4, -1, -1):
        for record in shapes:
            fold(series, moved(record, record.close_time - year * size.year * HOUR_MS))
    place = folder / "five"
    place.mkdir()
    page = place / pages.PAGE
    page.write_text(render(pages.view_of(journal, settings, series), series))
    (place / LIBRARY).write_bytes(library_bytes())
    bare = place / "bare.html"
    bare.write_text(BARE)
    heavy = Figure("its bytes, the figure library beside it", page.stat().st_size / 1e6, "at most", 2, "MB")
    name = "five years drawn in Chromium, from navigation to a frame"
    own, alone = "its main thread's processor time", "of it the figure library alone"
    python = with_playwright()
    if python is None:
        why = "it needs Chromium and .venv-system: make system"
        return [Figure(name, None, "at most", 1.5, "s", why), heavy]
    (walls, busy), (_, library) = (
        seconds_drawn(python, page, size.draws),
        seconds_drawn(python, bare, size.draws),
    )
    note = f"median of {size.draws}, each in a browser context of its own; the slowest {max(walls):.2f} s"
    return [
        Figure(name, median(walls), "at most", 1.5, "s", note),
        Figure(own, median(busy), unit="s"),
        Figure(alone, median(library), unit="s"),
        heavy,
    ]


def seconds_drawn(python: str, page: Path, draws: int) -> tuple[list[float], list[float]]:
    """From navigation to the frame that has everything, each time anew: wall, and the main thread's own."""
    words = [python, "-m", "benchmarks.page_drawn", str(page), str(draws)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    rows = json.loads(done.stdout)
    return [wall for wall, _ in rows], [busy for _, busy in rows]


def with_playwright() -> str | None:
    """A Python that can drive the browser: this one, or that of `make system`. None without one."""
    if not CHROMIUM.exists():
        return None
    if find_spec("playwright"):
        return sys.executable
    other = ROOT / ".venv-system"
    there = other.joinpath("bin", "python").exists() and any(other.glob("lib/*/site-packages/playwright"))
    return str(other / "bin" / "python") if there else None


def observed(folder: Path, size: Size) -> list[Figure]:
    """Two bots, the same hours in turn; one tells a page, a dead heartbeat and a dead notifier after each hour."""
    shares: dict[str, list[float]] = {"none": [], "told": []}
    with ExitStack() as stack:
        bots: dict[str, tuple[Stage, Watch]] = {}
        for name in shares:
            place = folder / name
            place.mkdir()
            made, watch = stack.enter_context(stage(place, BUSY, START, durable=True)), Watch()
            watch.over(made.bot)
            bots[name] = made, watch
        for i in range(size.hours):
            for name in sorted(bots, reverse=i % 2 == 1):
                made, watch = bots[name]
                watch.requests.clear()
                made.tick_at(START + i * HOUR_MS)
                shares[name].append(watch.own_seconds(time.perf_counter())[0] * 1000)
                if name == "told":
                    tell(made, folder)
    alone, beside = median(shares["none"]), median(shares["told"])
    note = f"own share of {size.hours} hours each, medians {alone:.2f} and {beside:.2f} ms"
    page = folder / "observed" / pages.PAGE
    if not page.exists():
        raise RuntimeError("the observers of the benchmark wrote no page")
    return [
        Figure("bar to order with observers set, against without", beside / alone, "at most", 1.1, note=note)
    ]


def tell(made: Stage, folder: Path) -> None:
    """What a tick does after its hour: a process of its own that tells the observers."""
    told = {
        **made.environment,
        "TRADER_PAGE_DIR": str(folder / "observed"),
        "TRADER_HEARTBEAT_URL": DEAD,
        "TRADER_NOTIFY": DEAD.replace("http", "json"),
        "TRADER_TRACKER_DIR": str(folder / "tracking"),
        "TRADER_WAIT_FOR_OBSERVERS": "true",
    }
    with environment(told), quiet():
        tell_observers(load_settings(store=str(made.store), symbol=SYMBOL))


@contextmanager
def quiet() -> Iterator[None]:
    """Without what children say: here, forty times, that nobody listens."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """The process's environment with some values changed."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
