"""`trader run` with every observer of a person's: told after the record, on real ends, and costing no hour when dead."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.commands.test_notices import sink
from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2021-03-05")
PATIENCE_S = 120.0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that a background process does."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def with_settings(at: Venue, **settings: str) -> Venue:
    """The same exchange and folder, with settings beside."""
    return Venue(at.url, at.folder, {**at.settings, **settings})


def begun(folder: Path, at: Venue) -> None:
    """A bot that may tick at START."""
    (folder / "P.json").write_text(json.dumps(quick_params()))
    (folder / "cron-job").write_text("0 0 1 1 *  trader tick\n")
    at.trader("retrain", "--params", "P.json")
    at.move_to(START)


def test_a_run_tells_everyone_and_logs_json(tmp_path: Path) -> None:
    """Notice, heartbeat, page and metrics of the first tick; each log line is JSON and names the hour."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    with venue(tmp_path, bars, START - HOUR_MS) as at, sink() as end:
        begun(tmp_path, at)
        watched = with_settings(
            at,
            TRADER_NOTIFY=end.url.replace("http://", "json://"),
            TRADER_HEARTBEAT_URL=f"{end.url}/beat",
            TRADER_PAGE_DIR=str(tmp_path / "page"),
            TRADER_METRICS_PORT="0",
            TRADER_LOG_FORMAT="json",
            TRADER_TRACKERS="none",
        )
        running = watched.start("run")
        try:
            until(lambda: any(path == "/beat" for _, path, _ in end.heard), "no heartbeat")
            until((tmp_path / "page" / "index.html").exists, "no page")
        finally:
            running.send_signal(signal.SIGTERM)
            _, err = running.communicate(timeout=200)
        assert running.returncode == 0, err
        lines = [json.loads(line) for line in err.splitlines()]
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    told = next(line for line in lines if line.get("outcome") == "traded")
    assert told["hour"] == "2021-03-05T00:00:00Z"
    assert told["attempt"] == (1 if "BUY" in told["event"] else None)
    titles = [json.loads(body)["title"] for verb, _, body in end.heard if verb == "POST"]
    assert any("a new model" in title for title in titles)


def test_dead_ends_cost_no_hour(tmp_path: Path) -> None:
    """Nobody answers, the page's folder is a file: the hour is closed, the exit code is that of the hour."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    (tmp_path / "file").write_text("")
    with venue(tmp_path, bars, START - HOUR_MS) as at:
        begun(tmp_path, at)
        dead = with_settings(
            at,
            TRADER_NOTIFY="json://127.0.0.1:9/",
            TRADER_HEARTBEAT_URL="http://127.0.0.1:9/secret-token",
            TRADER_PAGE_DIR=str(tmp_path / "file" / "page"),
            TRADER_TRACKERS="none",
        )
        done = dead.trader("tick")
        assert len(at.journal()) == 1
        assert done.returncode == 0
        for name in ("notices", "heartbeat", "page"):
            assert f"observer {name}" in done.stderr
        assert "secret-token" not in done.stderr + done.stdout


def test_metrics_answer_while_it_runs(tmp_path: Path) -> None:
    """On loopback, on the port that the service names."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    with venue(tmp_path, bars, START - HOUR_MS) as at:
        begun(tmp_path, at)
        running = with_settings(at, TRADER_METRICS_PORT="0", TRADER_TRACKERS="none").start("run")
        try:
            assert running.stderr is not None
            line = running.stderr.readline()
            while "metrics on" not in line:
                assert line, "the service ended"
                line = running.stderr.readline()
            url = line.split()[-1].removesuffix("/metrics")

            def closed() -> bool:
                text = urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode()
                return 'trader_ticks_total{outcome="traded"' in text

            until(closed, "no tick was counted")
            # Its hour is closed in time by the exchange's clock, which stands in 2021.
            assert urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=200)
