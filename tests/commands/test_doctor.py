"""The doctor finds what is wrong, says what to do, and goes on when one check cannot be made."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.adapters.store_local import LocalStore
from trader.app.cursors import stopped
from trader.app.doctor import disk_check, schedule_check, store_check
from trader.app.journal import Journal
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2021-03-05")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """A bot that has closed one hour at an embedded exchange."""
    folder = tmp_path_factory.mktemp("doctor")
    bars = made_bars(folder, "2020-12-01", "2021-03-20")
    (folder / "P.json").write_text(json.dumps(quick_params()))
    (folder / "cron-job").write_text("0,1,3,10 * * * *  trader tick\n")
    with venue(folder, bars, START - HOUR_MS) as running:
        running.trader("retrain", "--params", "P.json")
        running.move_to(START)
        running.trader("tick")
        yield running


def look(at: Venue, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and findings by check."""
    done = at.trader("doctor", "--json", *options, check=False)
    return done.returncode, {finding["check"]: finding for finding in json.loads(done.stdout)}


def test_a_healthy_bot_passes(begun: Venue) -> None:
    """The embedded exchange stands in 2021, and its clock is the one that counts there."""
    code, found = look(begun)
    wrong = {name: finding for name, finding in found.items() if finding["verdict"] == "fail"}
    assert (code, wrong) == (0, {})
    assert "the embedded exchange's clock (2021-" in found["clock"]["said"]
    assert "standing still" in found["clock"]["said"]
    assert set(found) == {
        "exchange",
        "clock",
        "filters",
        "bars",
        "store",
        "disk",
        "model",
        "hours",
        "halt",
        "ticks",
        "observers",
        "account",
        "costs",
        "rights",
        "schedule",
    }


def test_a_clock_that_is_off_is_found(begun: Venue) -> None:
    """What the API says of the time, against the clock that the schedule follows."""
    skew = {"method": "GET", "path": "/api/v3/time", "phase": "before", "action": "skew", "ms": 40_000}
    begun.sim("/sim/faults", [skew])
    try:
        _, found = look(begun)
    finally:
        begun.sim("/sim/faults", [])
    assert found["clock"]["verdict"] == "fail"
    assert re.search(r"is -(39|40)\.\d\d s off", found["clock"]["said"])
    assert "NTP" in found["clock"]["todo"]


def test_a_halt_and_a_missing_schedule_are_found(begun: Venue, tmp_path: Path) -> None:
    """Each with the command that ends it; every other check is still made."""
    store = tmp_path / "store"
    shutil.copytree(begun.folder / "state", store)
    begun.trader("halt", "--reason", "maintenance", "--store", str(store))
    _, found = look(begun, "--store", str(store), "--cron-job", "nowhere")
    assert found["halt"]["verdict"] == "fail"
    assert "maintenance" in found["halt"]["said"]
    assert "trader resume" in found["halt"]["todo"]
    assert found["schedule"]["verdict"] == "fail"
    assert "nowhere" in found["schedule"]["said"]
    assert found["store"]["verdict"] == "pass"


def test_an_observer_that_was_stopped_is_found(begun: Venue, tmp_path: Path) -> None:
    """A warning, since no hour depends on it; one that only has not been told yet is none."""
    store = tmp_path / "store"
    shutil.copytree(begun.folder / "state", store)
    begun.settings = {"TRADER_HEARTBEAT_URL": "http://127.0.0.1:9/", "TRADER_COPIES": "true"}
    try:
        _, before = look(begun, "--store", str(store))
        stopped(Journal(LocalStore(store), "BTCUSDT"), "copies", "stopped after 60 s")
        _, after = look(begun, "--store", str(store))
    finally:
        begun.settings = {}
    said = "told of each hour: heartbeat, copies"
    assert (before["observers"]["verdict"], before["observers"]["said"]) == ("pass", said)
    assert after["observers"]["verdict"] == "warn"
    since = "behind since 2021-03-05T00:00:00Z (1 h)"
    assert after["observers"]["said"] == f"copies: stopped after 60 s; {since}"
    assert "trader observe" in after["observers"]["todo"]


def test_a_bot_that_has_not_begun_is_told_how(begun: Venue, tmp_path: Path) -> None:
    """A newcomer's first look."""
    _, found = look(begun, "--store", str(tmp_path / "new"))
    assert "trader retrain" in found["model"]["todo"]


def test_an_unreachable_exchange_is_said_once(begun: Venue) -> None:
    """One failure with the way out, no word of what nobody could look at; store, disk and schedule are still looked at."""
    from tests.support.rig import command

    done = command(
        "trader", "doctor", "--json", cwd=begun.folder, check=False,
        TRADER_VENUE_URL="http://127.0.0.1:9", TRADER_TIMEOUT_S="1",
    )  # fmt: skip  # read as a table
    findings = json.loads(done.stdout)
    found = {finding["check"]: finding["verdict"] for finding in findings}
    assert done.returncode == 2
    assert [name for name, verdict in found.items() if verdict == "fail"] == ["exchange"]
    assert "cannot reach the exchange at http://127.0.0.1:9: " in findings[0]["said"]
    assert findings[0]["todo"].startswith("start it with: trader exchange")
    assert set(found) == {"exchange", "store", "disk", "halt", "ticks", "observers", "schedule"}
    assert {found[name] for name in ("store", "disk", "schedule")} == {"pass"}
    assert "Traceback" not in done.stderr


def test_an_account_that_does_not_cover_the_bot_fails(tmp_path: Path) -> None:
    """Before an order would halt on it."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    (tmp_path / "P.json").write_text(json.dumps(quick_params()))
    with venue(tmp_path, bars, START - HOUR_MS, "--balance", "USDT=9000") as poor:
        poor.trader("retrain", "--params", "P.json")
        _, found = look(poor)
    assert found["account"]["verdict"] == "fail"
    assert "9000" in found["account"]["said"]


def test_another_commission_than_the_parameters_count_on_is_said(tmp_path: Path) -> None:
    """The backtest would promise what the venue does not keep."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-03-20")
    (tmp_path / "P.json").write_text(json.dumps(quick_params(fee_rate=0.0005)))
    with venue(tmp_path, bars, START - HOUR_MS) as dear:
        dear.trader("retrain", "--params", "P.json")
        _, found = look(dear)
    assert found["costs"]["verdict"] == "warn"
    assert "0.1" in found["costs"]["said"]
    assert "0.05" in found["costs"]["said"]


# The account's stock of BNB, what the parameters say of a discount, the verdict, and words of what is said and to be done.
IN_BNB = [
    (
        "100",
        0.25,
        "pass",
        "0.075% a side in BNB instead of 0.1%; 100 BNB are free, enough for about 8,000",
    ),
    ("0.25", 0.25, "warn", "enough for about 20 orders"),
    ("100", None, "warn", "set fee_discount, with fee_rate x (1 - fee_discount) = 0.00075"),
]


@pytest.mark.parametrize(("stock", "discount", "verdict", "words"), IN_BNB)
def test_commission_in_a_third_asset_is_said_with_its_stock(
    tmp_path: Path, stock: str, discount: float | None, verdict: str, words: str
) -> None:
    """Asset, discounted rate, free stock in orders, and whether the parameters count on it. A BNB costs 600 USDT."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params(fee_discount=discount)))
    fee = (
        "--fee-asset",
        "BNB",
        "--fee-discount",
        "0.25",
        "--fee-asset-price",
        "600",
        "--balance",
        f"BNB={stock}",
    )
    with venue(tmp_path, made_bars(tmp_path, "2020-12-01", "2021-03-20"), START - HOUR_MS, *fee) as paying:
        paying.trader("retrain", "--params", "P.json")
        _, found = look(paying)
    costs = found["costs"]
    assert costs["verdict"] == verdict
    assert words in costs["said"] + costs["todo"]


def test_a_discount_that_the_account_does_not_have_is_said(tmp_path: Path) -> None:
    """The parameters count on commission in another asset, the venue takes it from what is received."""
    (tmp_path / "P.json").write_text(json.dumps(quick_params(fee_discount=0.25)))
    with venue(tmp_path, made_bars(tmp_path, "2020-12-01", "2021-03-20"), START - HOUR_MS) as plain:
        plain.trader("retrain", "--params", "P.json")
        _, found = look(plain)
    assert found["costs"]["verdict"] == "warn"
    assert "leave fee_discount out" in found["costs"]["todo"]


class Forgetful:
    """A store that overwrites what exists, as some S3 servers do with If-None-Match."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """What is there."""
        return self.objects.get(key)

    def create(self, key: str, data: bytes) -> bool:
        """Says yes to everybody."""
        self.objects[key] = data
        return True

    def put(self, key: str, data: bytes) -> None:
        """The same."""
        self.objects[key] = data

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Not asked."""
        raise AssertionError


def test_a_store_that_overwrites_is_found_out() -> None:
    """Two ticks could both trade there."""
    finding = store_check(Forgetful())
    assert finding.verdict == "fail"
    assert "If-None-Match" in finding.todo


@pytest.mark.parametrize(("free", "verdict"), [(10**12, "pass"), (10**8, "warn"), (10**6, "fail")])
def test_disk(free: int, verdict: str) -> None:
    """A full disk stops the bot before it trades; one that fills is worth a word."""
    assert disk_check(free, "/somewhere").verdict == verdict


@pytest.mark.parametrize(
    ("ticks", "verdict"),
    [
        (["0,1,3,10 * * * *"], "pass"),
        (["0 * * * *"], "warn"),
        (["0 0 * * *"], "fail"),
        (["0 9-17 * * *"], "fail"),
    ],
)
def test_schedule(ticks: list[str], verdict: str) -> None:
    """Every hour needs a tick, and a second one to mend the first."""
    assert schedule_check(1, ticks, "cron-job").verdict == verdict
