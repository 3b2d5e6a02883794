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

from tests.support.book_crew import SYMBOLS, bars_of_book
from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.core.types import HOUR_MS, iso, parse_hour

START = parse_hour("2021-03-05")
PATIENCE_S = 120.0
NEVER = "0 0 1 1 *  trader tick"


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

    def closed(self, hour: int, *symbols: str) -> bool:
        """Whether the hour's record is in the store, of every symbol."""
        stamp = iso(hour)
        day = Path(stamp[:4], stamp[5:7], stamp[8:13], "record")
        journal = self.at.folder / "state" / "journal"
        return all((journal / symbol / day).exists() for symbol in symbols or ("BTCUSDT",))

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
def service(folder: Path, cron: str = NEVER, *options: str) -> Iterator[Service]:
    """A bot with a schedule, by default one that never comes, and the stream of an exchange that stands at START."""
    bars = made_bars(folder, "2020-12-01", "2021-03-20")
    with venue(folder, bars, START - HOUR_MS, *options) as at:
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


def test_a_stream_wakes_ticks_and_changes_nothing_else(tmp_path: Path) -> None:
    """Hours that no schedule would tick are traded when their bars close, each once: told three times, out of order, while
    somebody's `trader tick` races, after a lie that REST denies and after a cut. Metrics, status and doctor tell of it."""
    with service(tmp_path) as run:
        for n, faults in enumerate(([], {"scenario": "stream_twice"}, {"scenario": "stream_unordered"}), 1):
            run.at.sim("/sim/faults", faults)
            run.at.move_to(START + n * HOUR_MS)
            if n == 1:
                run.at.trader("tick")  # of another process, in the very moment
            until(lambda n=n: run.closed(START + n * HOUR_MS), f"hour {n} was not traded")  # type: ignore[misc]
        until(lambda: run.metric("trader_stream_wakes_total") == 3, "a wake was not counted")
        run.at.sim("/sim/faults", {"scenario": "stream_lie"})
        run.at.move_to(START + 4 * HOUR_MS - 20_000)
        until(lambda: run.said("REST has no such bar") > 0, "the lie was not looked at")
        assert not run.closed(START + 4 * HOUR_MS)
        run.at.sim("/sim/faults", [])
        run.at.sim("/sim/streams", {"close": True})
        until(lambda: run.said("stream of klines is back") == 1, "no second connection")
        run.at.move_to(START + 4 * HOUR_MS)
        until(lambda: run.closed(START + 4 * HOUR_MS), "the hour after the lie was not traded")
        assert run.at.sim("/sim/streams")["most_at_once"] == 1
        assert run.metric("trader_stream_alive") == 1
        assert run.metric("trader_stream_last_message_age_seconds") < 30
        assert run.metric("trader_stream_reconnects_total") == 1
        streaming = Venue(run.at.url, tmp_path, {**run.at.settings, "TRADER_STREAM": "true"})
        report = json.loads(streaming.trader("status", "--json").stdout)
        assert report["stream"].startswith("alive, last message")
        found = json.loads(streaming.trader("doctor", "--json", check=False).stdout)
        assert next(it["verdict"] for it in found if it["check"] == "stream") == "pass"
        lines = [json.loads(line) for line in run.at.journal()]
        orders = [it["time"] // HOUR_MS * HOUR_MS for it in run.at.ledger()]
    assert [line["close_time"] for line in lines] == [iso(START + n * HOUR_MS) for n in range(5)]
    assert orders == [START + n * HOUR_MS for n, line in enumerate(lines) if line["order_side"]]


@pytest.mark.long
def test_a_dead_stream_costs_no_hour(tmp_path: Path) -> None:
    """A clock that runs, a schedule of every minute, a stream that is silent and then refused: each hour is decided in time."""
    with service(tmp_path, "* * * * *  trader tick", "--speed", "120") as run:
        refused = {"action": "reply", "status": 503, "path": "/stream"}
        run.at.sim("/sim/faults", [{"action": "stream_silence"}, refused])
        run.at.sim("/sim/streams", {"close": True})
        last = START + 3 * HOUR_MS
        until(lambda: run.closed(last), "the schedule did not go on")
        assert run.metric("trader_stream_alive") == 0
        assert run.said("the schedule ticks without it") == 1
        reasons = [json.loads(line)["reason"] for line in run.at.journal()]
    assert "missed" not in reasons[2:]


@pytest.mark.long
def test_a_books_hour_begins_when_all_its_bars_have_closed(tmp_path: Path) -> None:
    """One stream for three symbols; while one of them is silent the hour waits for the schedule, here a person's tick."""
    (tmp_path / "made").mkdir()
    bars_of_book(tmp_path / "made")
    named = ", ".join(f'"{it}"' for it in SYMBOLS)
    (tmp_path / "book.toml").write_text(
        f'symbols = [{named}]\nparams = "P.json"\ncapital_usdt = 30000\nrebalance_hours = 4\n'
    )
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    (tmp_path / "cron-job").write_text(f"{NEVER}\n")
    options = ("--symbols", ",".join(SYMBOLS), "--balance", "USDT=30000")
    with venue(tmp_path, tmp_path / "made", START - HOUR_MS, *options) as made:
        at = Venue(made.url, tmp_path, {"TRADER_BOOK": "book.toml", "TRADER_METRICS_PORT": "0"})
        at.trader("retrain")
        at.move_to(START)
        run = Service(at)
        try:
            until(lambda: run.closed(START, *SYMBOLS), "the first tick did not close its hour")
            until(lambda: len(at.sim("/sim/streams")["open"]) == 1, "not one stream")
            assert len(at.sim("/sim/streams")["open"][0]["streams"]) == len(SYMBOLS)
            at.move_to(START + HOUR_MS)
            until(lambda: run.closed(START + HOUR_MS, *SYMBOLS), "the first hour by the stream")
            at.sim("/sim/faults", [{"action": "stream_silence", "symbol": SYMBOLS[-1], "nth": 1}])
            at.move_to(START + 2 * HOUR_MS)
            time.sleep(3)
            assert not run.closed(START + 2 * HOUR_MS, SYMBOLS[0])
            at.trader("tick")
            assert run.closed(START + 2 * HOUR_MS, *SYMBOLS)
            at.move_to(START + 3 * HOUR_MS)
            until(lambda: run.closed(START + 3 * HOUR_MS, *SYMBOLS), "the hour after the silence")
            until(lambda: run.metric("trader_stream_wakes_total") == 2, "wakes")
            streaming = Venue(at.url, tmp_path, {**at.settings, "TRADER_STREAM": "true"})
            assert "stream" in json.loads(streaming.trader("status", "--json").stdout)
            found = json.loads(streaming.trader("doctor", "--json", check=False).stdout)
            assert next(it["verdict"] for it in found if it["check"] == "stream") == "pass"
        finally:
            run.stop()
