"""One bot that really traded, with a study in its store, told to trackers by many tests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.crew import PARAMS, STORE, a_bot, scene
from tests.support.mlflow_made import empty_database
from tests.support.once import once
from tests.support.rig_bars import made_bars
from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.app.tick import tick
from trader.config import Settings, load_settings
from trader.core.errors import Retry
from trader.core.events import StudyEvent
from trader.core.news import Observer
from trader.core.records import Cursor, HourRecord
from trader.core.study import study_key, study_report
from trader.core.types import HOUR_MS, parse_hour
from trader.observers.delivery import tell

START = parse_hour("2021-03-06T00:00")
HOURS = 50  # more than are told at once
TRIALS = 12


@pytest.fixture(scope="session", autouse=True)
def _fonts_are_looked_for_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """matplotlib's cache for all tests here; children of this process inherit it where they inherit anything."""
    before = os.environ.get("MPLCONFIGDIR")
    os.environ.setdefault("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
    yield
    if before is None:
        del os.environ["MPLCONFIGDIR"]


@pytest.fixture(scope="session")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars with outages."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2020-12-01", "2021-03-20")


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database before its first run, to be copied."""
    return empty_database(tmp_path_factory)


def a_study() -> dict[str, Any]:
    """A study whose best trial is the champion's parameters; one trial failed."""
    trials = []
    for number in range(TRIALS):
        params = {**PARAMS.as_json(), "look_back_days": 20 + number}
        value = None if number == 3 else 1.0 - number / 10
        trials.append(
            {
                "number": number,
                "state": "failed" if value is None else "complete",
                "value": value,
                "params": params,
            }
        )
    shares = {"look_back_days": 1.0}
    return study_report("BTCUSDT", START, "net Sharpe, annualised", 7, trials, 0, shares)


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory, bars_file: Path) -> Path:
    """The store of a bot that ticked through 50 hours at a real embedded exchange, an outage among them."""
    return once(tmp_path_factory, "fifty-hours", lambda folder: _traded(bars_file, folder)) / STORE


def _traded(bars_file: Path, folder: Path) -> None:
    with scene(bars_file, folder, START) as made:
        with a_bot(made.url, made.store) as bot:
            for hour in range(START, START + HOURS * HOUR_MS, HOUR_MS):
                made.sim("/sim/clock", {"to": hour})
                with suppress(Retry):  # the venue is shut: a later tick closes the hour
                    tick(bot)
        journal = made.journal()
        report = a_study()
        journal.store.create(study_key(report["id"]), json.dumps(report).encode())
        journal.append(StudyEvent("BTCUSDT", report["id"], START))


@dataclass
class Told:
    """A copy of the traded store and a tracker's folder of its own."""

    store: Path
    tracking: Path

    @property
    def journal(self) -> Journal:
        """A fresh look at the journal."""
        return Journal(LocalStore(self.store, durable=False), "BTCUSDT")

    @property
    def records(self) -> list[HourRecord]:
        """All closed hours."""
        return list(self.journal.records())

    @property
    def settings(self) -> Settings:
        """Of a bot with this store."""
        return load_settings(store=self.store, tracker_dir=self.tracking, trackers="mlflow,neptune")

    def tell(self, observer: Observer, cursor: Cursor | None = None, chunk_hours: int | None = 48) -> int:
        """Tell it everything after the cursor; the number of hours."""
        return sum(heard.hours for heard in tell(self.journal, observer, cursor, chunk_hours))


@pytest.fixture
def told(traded: Path, tmp_path: Path) -> Told:
    """A store of one's own."""
    shutil.copytree(traded, tmp_path / "store")
    return Told(tmp_path / "store", tmp_path / "tracking")
