"""From a closed bar to its decision: woken by the stream, and by the schedule beside it.

`trader run --stream` is a process of its own, with the reference's model, its store on this disk and a schedule that never
comes; the exchange is another process. A client of the same stream sees each bar close, which is the moment that counts from, and
the decision counts when it is in the store (looked for every millisecond). Five hundred hours close because the clock is moved;
then the clock runs, 120 times as fast as the wall's, and a few hours close by themselves: for the stream, and for a schedule of
every minute, whose clock is exact here. All times are this machine's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.figure import Figure
from benchmarks.scene import ROOT, bars_file, median, params_file, process, trader
from trader.adapters.clocks import SimClock
from trader.core.types import HOUR_MS, iso, parse_hour

START = parse_hour("2022-01-01")
SPEED = 120
NEVER, EVERY_MINUTE = "0 0 1 1 *  trader tick", "* * * * *  trader tick"
PATIENCE_S = 120.0
BEFORE_MS = 180_000  # the running clock is set so long before the end of an hour, by its own time
MOST_MS = 100.0


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds from the end of a bar until its decision, and until its record, for each hour."""

    decided: list[float]
    closed: list[float]

    @property
    def worst(self) -> float:
        """The 99th percentile of the decisions."""
        return sorted(self.decided)[int(0.99 * (len(self.decided) - 1))]


def run() -> list[Figure]:
    """Five hundred hours, and twenty of a running clock for each way."""
    return measured(500, 20)


def run_small() -> list[Figure]:
    """A few hours of a small model."""
    return measured(5, 1, n_estimators=20)


def measured(moved: int, running: int, **trees: Any) -> list[Figure]:
    """The figures. moved, running: hours of the clock that is moved, and of the one that runs; trees: changes of the model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _exchange(folder, START - HOUR_MS, 0) as url:
            params = params_file(folder, "P", **trees)
            begun = folder / "begun"
            begun.mkdir()
            process(trader("retrain", "--params", str(params)), env=_environment(url), cwd=begun)
        by_stream = _hours(folder, "moved", "--stream", NEVER, moved, 0)
        also = _hours(folder, "streamed", "--stream", NEVER, running, SPEED)
        scheduled = _hours(folder, "scheduled", "--no-stream", EVERY_MINUTE, running, SPEED)
    seen = "a closed bar seen by stream"
    return [
        Figure(f"{seen}, to its decision, median", median(by_stream.decided), "at most", MOST_MS, "ms"),
        Figure("the same, 99th of 100", by_stream.worst, unit="ms"),
        Figure("the same, to its record, median", median(by_stream.closed), unit="ms"),
        Figure("hours that the stream began", len(by_stream.decided), "exactly", moved, is_result=True),
        Figure(f"clock at {SPEED}, by stream, median", median(also.decided), unit="ms"),
        Figure(f"clock at {SPEED}, by an exact schedule, median", median(scheduled.decided), unit="ms"),
    ]


@contextmanager
def _exchange(folder: Path, at: int, speed: int) -> Iterator[str]:
    """`trader exchange` as a child, its address."""
    words = trader(
        "exchange", "--bars", str(bars_file(folder)), "--symbol", "BTCUSDT", "--port", "0", "--json"
    )
    words += ["--at", iso(at), "--speed", str(speed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        try:
            yield json.loads(child.stdout.readline() if child.stdout else "")["url"]
        finally:
            child.terminate()


def _environment(url: str) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TRADER_")}
    return {**bare, "PYTHONPATH": str(ROOT), "TRADER_VENUE_URL": url, "TRADER_TRACKERS": "none"}


def _hours(folder: Path, name: str, option: str, cron: str, hours: int, speed: int) -> Waits:
    """A bot that has begun, and its hours one after the other."""
    home = folder / name
    shutil.copytree(folder / "begun", home)
    (home / "cron-job").write_text(f"{cron}\n")
    with _exchange(folder, START, speed) as url, _service(home, _environment(url), option):
        return _traded(home, url, hours, speed)


@contextmanager
def _service(home: Path, env: dict[str, str], option: str) -> Iterator[None]:
    """`trader run`, once its first tick has closed its hour."""
    with (home / "log").open("w") as log:
        service = subprocess.Popen(trader("run", option), env=env, cwd=home, stderr=log, stdout=log)
        try:
            _wait_for(_hour(home, START) / "record", home)
            time.sleep(1.0)  # until the stream is connected, and what the first tick started has ended
            yield
        finally:
            service.terminate()
            service.wait(60)


def _traded(home: Path, url: str, hours: int, speed: int) -> Waits:
    waits = Waits([], [])
    with _closes(url) as seen, closing(SimClock(url)) as clock:
        begin = (clock.now_ms() // HOUR_MS + 1) * HOUR_MS
        if speed and begin - clock.now_ms() < 2 * BEFORE_MS:
            begin += HOUR_MS
        for hour in range(begin, begin + hours * HOUR_MS, HOUR_MS):
            clock.move_to(hour - BEFORE_MS if speed else hour)
            decided = _wait_for(_hour(home, hour) / "decision", home)
            closed = _wait_for(_hour(home, hour) / "record", home)
            waits.decided.append((decided - seen[hour]) * 1000)
            waits.closed.append((closed - seen[hour]) * 1000)
    return waits


@contextmanager
def _closes(url: str) -> Iterator[dict[int, float]]:
    """When a client of the stream saw each bar close: close time (UTC ms) -> seconds of the monotonic clock."""
    seen: dict[int, float] = {}
    with connect(url.replace("http", "ws") + "/ws/btcusdt@kline_1h", proxy=None) as client:

        def listen() -> None:
            try:
                for message in client:
                    at, kline = time.monotonic(), json.loads(message)["k"]
                    if kline["x"]:
                        seen[kline["T"] + 1] = at
            except ConnectionClosed:
                return

        thread = threading.Thread(target=listen)
        thread.start()
        yield seen
    thread.join()


def _wait_for(path: Path, home: Path) -> float:
    """The monotonic second at which a file is there."""
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > end:
            raise RuntimeError(f"{path} did not come:\n{(home / 'log').read_text()[-2000:]}")
        time.sleep(0.001)
    return time.monotonic()


def _hour(home: Path, hour: int) -> Path:
    stamp = iso(hour)
    return home / "state" / "journal" / "BTCUSDT" / stamp[:4] / stamp[5:7] / stamp[8:13]
