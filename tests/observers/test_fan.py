"""The page's forecast: where its bars come from, and what the page says without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock, MemoryMarket
from tests.support.rig import quick_params
from trader.adapters.store_local import LocalStore
from trader.adapters.talib_features import register_shipped
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import ASKED, retrain
from trader.config import load_settings
from trader.core.params import params_of
from trader.core.types import HOUR_MS
from trader.forecasters.registry import forecaster_of
from trader.observers.fan import BEFORE_HOURS, fan_of
from trader.wiring import ParquetBars

BARS = bars_made(1_200, 5)
START = BARS.first + 1_000 * HOUR_MS
HOUR = START + 50 * HOUR_MS


def trained(folder: Path, model: dict[str, Any]) -> Journal:
    """A journal in a folder with one model."""
    register_shipped()
    journal = Journal(LocalStore(folder / "store", durable=False), "BTCUSDT")
    collector = Collector(MemoryMarket(BARS, FakeClock(START - HOUR_MS)), "BTCUSDT")
    params = params_of(quick_params(model=model), "tests")
    retrain(journal, collector, forecaster_of, params, START, "tests", ASKED)
    return journal


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings of a bot whose exchange does not answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADER_VENUE_URL", "http://127.0.0.1:9")
    return load_settings(store=str(tmp_path / "store"), bars=tmp_path / "data")


def test_a_forecast_from_collected_bars_asks_nobody(tmp_path: Path, nobody: Any) -> None:
    """Where the file reaches the hour; in the form that the page draws."""
    journal = trained(tmp_path, {"family": "naive", "forecast_hours": 12})
    ParquetBars(tmp_path / "data").save(BARS)
    told, why = fan_of(journal, nobody, HOUR)
    assert why == ""
    assert told is not None
    assert (told["hour"], told["close"]) == (HOUR, BARS.close[BARS.row(HOUR)])
    assert (len(told["prices"]), len(told["before"])) == (12, BEFORE_HOURS)
    assert told["before"][-1] == told["close"]
    assert all(row == sorted(row) for row in told["prices"])


def test_without_bars_the_page_says_why(tmp_path: Path, nobody: Any) -> None:
    """An exchange that does not answer costs the page its forecast, not itself."""
    journal = trained(tmp_path, {"family": "naive", "forecast_hours": 12})
    told, why = fan_of(journal, nobody, HOUR)
    assert told is None
    assert "127.0.0.1:9" in why


def test_a_family_without_a_distribution_has_no_fan_and_no_complaint(tmp_path: Path, nobody: Any) -> None:
    """Trees give P(up) alone, and so does a distribution of the horizon only; before the first hour there is nothing."""
    journal = trained(tmp_path, quick_params()["model"])
    assert fan_of(journal, nobody, HOUR) == (None, "")
    assert fan_of(journal, nobody, None) == (None, "")
    assert fan_of(Journal(LocalStore(tmp_path / "empty"), "BTCUSDT"), nobody, HOUR) == (None, "")
