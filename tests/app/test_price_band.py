"""Bars from one host, orders to another: a real bot between two exchanges whose prices differ by five per cent."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.rig import quick_params, venue
from tests.rig_bars import made_bars
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.retrain import retrain
from trader.app.tick import tick
from trader.config import EMBEDDED_KEY, EMBEDDED_SECRET, load_settings
from trader.core.errors import ConfigError
from trader.core.params import params_of
from trader.core.types import HOUR_MS, parse_hour

PARAMS = params_of(quick_params(), "tests")
START, HOURS = parse_hour("2021-01-10"), 24


def reasons(folder: Path, band: str) -> tuple[set[str], int]:
    """Reasons of a day's lines, and how many orders the venue executed."""
    (folder / "signal").mkdir()
    signal = made_bars(folder / "signal", "2020-11-01", "2021-01-20")
    venue_bars = made_bars(folder, "2020-11-01", "2021-01-20", price=48_000 * 1.05)
    before = START - HOUR_MS
    with venue(folder, venue_bars, before) as traded, venue(folder, signal, before) as market:
        settings = load_settings(
            venue_url=traded.url,
            data_url=market.url,
            api_key=EMBEDDED_KEY,
            api_secret=EMBEDDED_SECRET,
            store=folder / "store",
            price_band=band,
        )
        with (
            closing(SimClock(traded.url)) as clock,
            closing(SimClock(market.url)) as market_clock,
            wiring.open_bot(settings, clock, durable=False, keep_bars=False) as bot,
        ):
            retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, START, "tests")
            for hour in range(START, START + HOURS * HOUR_MS, HOUR_MS):
                market_clock.move_to(hour)
                clock.move_to(hour)
                assert tick(bot).outcome == "traded"
                assert tick(bot).outcome == "done"
            lines = [record.line for record in bot.journal.records()]
        assert len(lines) == HOURS
        return {line.reason for line in lines}, len(traded.ledger())


def test_beyond_the_band_every_hour_is_recorded_and_none_is_traded(tmp_path: Path) -> None:
    """A band of 2 % and prices 5 % apart: a line for every hour, each with the reason, no order at the venue."""
    assert reasons(tmp_path, "0.02") == ({"price_band"}, 0)


def test_within_the_band_the_same_hours_trade(tmp_path: Path) -> None:
    """A band of 10 % at the same two exchanges: orders leave."""
    said, orders = reasons(tmp_path, "0.1")
    assert orders > 0
    assert "enter" in said
    assert "price_band" not in said


@pytest.mark.parametrize(("venue", "band"), [("testnet", "0.2"), ("demo", "0.02"), ("live", "0.01")])
def test_each_venue_has_its_band(venue: str, band: str) -> None:
    """Documented defaults; the embedded exchange serves its own bars and needs none; a setting overrides them."""
    assert str(load_settings(venue=venue).band) == band
    assert load_settings().band is None
    assert str(load_settings(venue=venue, price_band="0.005").band) == "0.005"
    with pytest.raises(ConfigError, match="price_band"):
        load_settings(price_band="0")
