"""`trader run --stream`: a closed bar wakes a tick between those of the schedule, and each hour is traded once."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.core.types import HOUR_MS, iso, parse_hour

START = parse_hour("2021-03-05")
PATIENCE_S = 120.0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Service:
    """A running `trader run --stream`, what it has said, and its metrics."""

    def __init__(self, at: Venue) -> None:
        self.at = at
        self.process = at.start("run", "--stream")
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def said(self, words: str) -> int:
        """How often it has said so."""
        return sum(words in line for line in list(self.lines))

    def metric(self, name: str) -> float:
        """A metric of its page."""
        (where,) = (line.split()[-1] for line in list(self.lines) if "metrics on" in line)
        text = urllib.request.urlopen(where, timeout=10).read().decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def closed(self, hour: int) -> bool:
        """Whether the hour's record is in the store."""
        stamp = iso(hour)
        folder = self.at.folder / "state" / "journal" / "BTCUSDT" / stamp[:4] / stamp[5:7] / stamp[8:13]
        return (folder / "record").exists()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        assert code == 0, "".join(self.lines)


@contextmanager
def service(folder: Path, cron: str = "0 0 1 1 *  trader tick") -> Iterator[Service]:
    """A bot whose schedule never comes, woken by the stream of an exchange that stands still at START."""
    bars = made_bars(folder, "2020-12-01", "2021-03-20")
    with venue(folder, bars, START - HOUR_MS) as at:
        (folder / "P.json").write_text(json.dumps(quick_params()))
        (folder / "cron-job").write_text(f"{cron}\n")
        at.trader("retrain", "--params", "P.json")
        at.move_to(START)
        run = Service(Venue(at.url, folder, {**at.settings, "TRADER_METRICS_PORT": "0"}))
        try:
            until(lambda: run.closed(START), "the first tick did not close its hour")
            until(lambda: len(at.sim("/sim/streams")["open"]) == 1, "no stream was opened")
            yield run
        finally:
            run.stop()


def test_a_closed_bar_wakes_a_tick(tmp_path: Path) -> None:
    """Hours that no schedule would tick are traded when their bars close; metrics, status and doctor tell of the stream."""
    with service(tmp_path) as run:
        for n in (1, 2, 3):
            run.at.move_to(START + n * HOUR_MS)
            until(lambda n=n: run.closed(START + n * HOUR_MS), f"hour {n} was not traded")  # type: ignore[misc]
        until(lambda: run.metric("trader_stream_wakes_total") == 3, "a wake was not counted")
        assert run.metric("trader_stream_alive") == 1
        assert run.metric("trader_stream_last_message_age_seconds") < 10
        streaming = Venue(run.at.url, tmp_path, {**run.at.settings, "TRADER_STREAM": "true"})
        report = json.loads(streaming.trader("status", "--json").stdout)
        assert report["stream"].startswith("alive, last message")
        found = json.loads(streaming.trader("doctor", "--json", check=False).stdout)
        assert next(it["verdict"] for it in found if it["check"] == "stream") == "pass"
    assert [json.loads(line)["close_time"] for line in run.at.journal()] == [
        iso(START + n * HOUR_MS) for n in range(4)
    ]


def test_what_the_stream_says_twice_late_or_falsely_changes_nothing(tmp_path: Path) -> None:
    """Bars told three times and out of order are one hour each, a lie is not traded, and there is one connection at a time."""
    with service(tmp_path) as run:
        for n, scenario in enumerate(("stream_twice", "stream_unordered"), start=1):
            run.at.sim("/sim/faults", {"scenario": scenario})
            run.at.move_to(START + n * HOUR_MS)
            until(lambda n=n: run.closed(START + n * HOUR_MS), scenario)  # type: ignore[misc]
        run.at.sim("/sim/faults", {"scenario": "stream_lie"})
        run.at.move_to(START + 3 * HOUR_MS - 20_000)
        until(lambda: run.said("REST has no such bar") > 0, "the lie was not looked at")
        assert not run.closed(START + 3 * HOUR_MS)
        run.at.sim("/sim/faults", [])
        run.at.sim("/sim/streams", {"close": True})
        until(lambda: run.said("stream of klines is back") == 1, "no second connection")
        run.at.move_to(START + 3 * HOUR_MS)
        until(lambda: run.closed(START + 3 * HOUR_MS), "the hour after the lie")
        assert run.at.sim("/sim/streams")["most_at_once"] == 1
        assert run.metric("trader_stream_reconnects_total") == 1
    assert len(run.at.journal()) == 4


@pytest.mark.long
def test_a_dead_stream_leaves_the_schedule(tmp_path: Path) -> None:
    """Where the stream is silent and then refused, every hour is ticked by the schedule within itself."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    dead = [
        {"action": "stream_silence"},
        {"action": "reply", "status": 503, "path": "/stream", "nth": [2, 100_000]},
    ]
    (tmp_path / "faults.json").write_text(json.dumps(dead))
    with venue(tmp_path, bars, START - HOUR_MS) as at:
        (tmp_path / "P.json").write_text(json.dumps(quick_params()))
        at.trader("retrain", "--params", "P.json")
