"""`trader status` and `trader health` go by the clock that the bot's hours close by: an embedded exchange's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import command
from tests.support.screens import unwrapped
from tests.support.venue_kit import running
from trader.core.types import HOUR_MS, parse_hour
from trader.exchange.market import synthetic

NEWEST = parse_hour("2021-03-12T23:00")  # of the week's store
NOBODY = "http://127.0.0.1:9"


def asked(
    week: Path, url: str, *words: str, check: bool = True, **settings: str
) -> subprocess.CompletedProcess[str]:
    """A verb about the week's store, beside the embedded exchange at `url`."""
    environment = {"TRADER_VENUE_URL": url, "TRADER_TRACKERS": "none", **settings}
    return command("trader", *words, "--store", "store", cwd=week, check=check, **environment)


def at_minute(minute: int, speed: float = 60.0) -> dict[str, Any]:
    """An exchange that stands so many minutes after the newest closed hour, its hour passing in a minute."""
    bars = synthetic("BTCUSDT", 7, NEWEST - 100 * HOUR_MS, 400).bars
    return {"bars": bars, "at_ms": NEWEST + minute * 60_000, "speed": speed}


def test_beside_a_quick_exchange_no_hour_is_missing(week: Path) -> None:
    """Hours of 2021 that close once a minute are neither late by years nor closed too early, and the bot is alive."""
    with running(**at_minute(20)) as sim:
        report = json.loads(asked(week, sim.exchange.url, "status", "--json").stdout)
        screen = unwrapped(asked(week, sim.exchange.url, "status").stdout)
        alive = asked(week, sim.exchange.url, "health").stdout
    assert (report["state"], report["why"], report["behind_hours"]) == ("trading", "up to date", 0)
    assert "60 times as fast as the wall's" in report["clock"]
    assert f"clock {report['clock'][:13]}" in screen
    assert alive == "BTCUSDT: 2021-03-12T23:00:00Z is closed\n"


def test_hours_that_the_exchange_closed_without_the_bot_are_missing(week: Path) -> None:
    """By its clock, which may stand still: status counts the hours, and the bot is not alive."""
    with running(**at_minute(5 * 60 + 10, speed=0)) as sim:
        why = json.loads(asked(week, sim.exchange.url, "status", "--json").stdout)["why"]
        dead = asked(week, sim.exchange.url, "health", check=False)
    assert why == "5 hours are not closed: is the schedule running?"
    assert (dead.returncode, "in the last 75 minutes; see" in dead.stderr) == (3, True)


def test_an_exchange_of_an_earlier_hour_is_another_one(week: Path) -> None:
    """Nothing is up to date where the clock stands hours before the newest closed hour."""
    with running(**at_minute(-4 * 60, speed=0)) as sim:
        why = json.loads(asked(week, sim.exchange.url, "status", "--json").stdout)["why"]
    assert why.startswith("the newest closed hour is 4 hours ahead of the clock")


@pytest.mark.parametrize("words", [("status",), ("status", "--json")])
def test_status_answers_without_an_exchange(week: Path, words: tuple[str, ...]) -> None:
    """One line says that it does not answer; no hour is called missing by a clock of another year."""
    said = unwrapped(asked(week, NOBODY, *words).stdout)
    assert f"the embedded exchange at {NOBODY} does not answer" in said
    assert "not closed" not in said


def test_health_without_an_exchange_goes_by_this_machines_clock(week: Path) -> None:
    """It says so, whatever the answer."""
    dead = asked(week, NOBODY, "health", check=False)
    assert dead.returncode == 3
    assert f"({NOBODY} does not answer" in dead.stderr.replace("the embedded exchange at ", "")
    assert "by this machine's clock" in dead.stderr


def test_at_a_venue_on_the_network_nobody_is_asked(week: Path) -> None:
    """Its hours are this machine's, so status answers in a dead network as ever, with no word about a clock."""
    report = json.loads(asked(week, "", "status", "--json", TRADER_VENUE="testnet").stdout)
    assert (report["clock"], report["behind_hours"] > 10_000) == ("", True)
