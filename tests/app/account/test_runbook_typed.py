"""The runbook's commands, typed: each state of an account that halts is left by the command that its row names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.core.types import HOUR_MS, parse_time

START = parse_time("2021-03-05T00:00:00Z")
RUNBOOK = (Path(__file__).resolve().parents[3] / "docs" / "runbook.md").read_text()


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made bars."""
    return made_bars(tmp_path_factory.mktemp("bars"), "2021-01-15", "2021-03-12")


def exchange(folder: Path, bars: Path) -> AbstractContextManager[Venue]:
    """An embedded exchange that goes on where the state file of the folder left it."""
    return venue(folder, bars, START - HOUR_MS, "--state", "exchange.json")


@pytest.fixture(scope="module")
def bought(bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bot that has just bought, and what its exchange remembers."""
    folder = tmp_path_factory.mktemp("bought")
    (folder / "P.json").write_text(json.dumps(quick_params()))
    with exchange(folder, bars) as running:
        running.trader("retrain", "--params", "P.json")
        for hour in range(48):
            running.move_to(START + hour * HOUR_MS)
            if json.loads(running.trader("tick", "--json").stdout)["lines"][-1]["order_side"] == "BUY":
                break
    return folder


@pytest.fixture
def held(bars: Path, bought: Path, tmp_path: Path) -> Iterator[Venue]:
    """That bot, copied, at an exchange of its own."""
    shutil.copytree(bought, tmp_path, dirs_exist_ok=True)
    with exchange(tmp_path, bars) as running:
        yield running


def later(at: Venue, hours: int) -> None:
    """So many hours on."""
    at.move_to(at.sim("/sim/clock")["now"] + hours * HOUR_MS)


def ticked(at: Venue, code: int) -> dict[str, Any]:
    """A tick that ends with this exit code; what it said."""
    done = at.trader("tick", "--json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return {**json.loads(done.stdout or "{}"), "said": done.stdout + done.stderr}


def typed(at: Venue, command: str, reason: str) -> str:
    """Type a command that the row of this reason names, its ID from the newest halt; what it answered."""
    rows = [line for line in RUNBOOK.splitlines() if line.startswith(f"| `{reason}`")]
    assert any(command.split()[0] in row for row in rows), (command, rows)
    said = json.loads(at.trader("status", "--json").stdout)["halt"]["words"]
    found = re.search(r"[A-Za-z0-9]+-[0-9a-f]{4}-[A-Z0-9]+-[0-9]{8}-[dhf][1-9]", said)
    words = [found[0] if word == "ID" and found else word for word in command.split()]
    return at.trader(*words, "--reason", "typed by a test").stdout


def sound(at: Venue) -> None:
    """The store holds together, and status, doctor and tick agree that trading goes on."""
    assert json.loads(at.trader("store", "verify", "--json").stdout)["problems"] == []
    assert json.loads(at.trader("status", "--json").stdout)["state"] == "trading"
    doctor = json.loads(at.trader("doctor", "--json", check=False).stdout)
    assert {row["check"]: row["verdict"] for row in doctor}["halt"] == "pass"


@pytest.mark.parametrize("verb", ["adopt", "ignore"])
def test_two_stores(held: Venue, verb: str) -> None:
    """A second store of the bot: exit 4 and the order's id; then whose it is; then it trades."""
    shutil.move(held.folder / "state", held.folder / "old")
    held.trader("retrain", "--params", "P.json")
    later(held, 1)
    assert "with another store" in ticked(held, 4)["said"]
    refused = held.trader("resume", "--reason", "x", check=False)
    assert (refused.returncode, "nobody has said whose it is" in refused.stderr) == (2, True)
    assert "halt is lifted" in typed(held, f"{verb} ID", "two_stores")
    assert held.trader("resume", "--reason", "also said").returncode == 0
    later(held, 1)
    ticked(held, 0)
    sound(held)


def test_foreign_order(held: Venue) -> None:
    """A record has lost what its order executed: the order is named, and adopted."""
    record = max((held.folder / "state" / "journal").rglob("record"))
    outcome = record.with_name("outcome-1")
    content = json.loads(record.read_text())
    content["fills"], content["totals"] = [], json.loads(record.with_name("decision").read_text())["totals"]
    record.write_text(json.dumps(content))
    outcome.write_text(json.dumps({**json.loads(outcome.read_text()), "fills": [], "kind": "expired"}))
    later(held, 1)
    assert "trader adopt" in ticked(held, 4)["said"]
    assert "halt is lifted" in typed(held, "adopt ID", "foreign_order")
    line = ticked(held, 0)["lines"][0]
    assert float(line["position"]) > 0 or line["order_side"] == "SELL"


def test_reconcile_by_a_new_epoch(held: Venue) -> None:
    """Half of the coins are withdrawn: the exit sells the rest and halts; they will not come back, so a new epoch begins."""
    position = json.loads(held.trader("status", "--json").stdout)["holding"]["position"]
    fault = {
        "path": "/api/*",
        "nth": 1,
        "action": "deposit",
        "asset": "BTC",
        "amount": f"-{float(position) / 2:.5f}",
    }
    held.trader("halt", "--reason", "news")
    held.sim("/sim/faults", [fault])
    later(held, 1)
    assert ticked(held, 4)["lines"][0]["order_side"] == "SELL"
    assert "a new epoch begins" in typed(held, "epoch --allocation-usdt 4000", "reconcile")
    later(held, 1)
    assert float(ticked(held, 0)["lines"][0]["equity"]) == pytest.approx(4000, rel=0.02)
    sound(held)


def test_person_sells_now_and_goes_on(held: Venue) -> None:
    """Flatten sells at once; a second one finds nothing left; the next hour is closed halted; resumed, the bot trades."""
    assert "sold 0." in held.trader("flatten", "--reason", "news").stdout
    assert "nothing was sold" in held.trader("flatten", "--reason", "news").stdout
    assert [order["side"] for order in held.ledger()][-1] == "SELL"
    later(held, 1)
    assert ticked(held, 4)["lines"][0]["order_side"] is None
    assert "resumed" in typed(held, "resume", "person")
    later(held, 1)
    ticked(held, 0)
    sound(held)


def test_the_wipe_of_a_testnet(held: Venue) -> None:
    """The account is back at its beginning and knows no order: the exit finds nothing to sell and halts; a new epoch begins."""
    held.sim("/sim/faults", [{"path": "/api/*", "nth": 1, "action": "wipe"}])
    for _ in range(48):
        later(held, 1)
        if held.trader("tick", check=False).returncode == 4:
            break
    assert "a new epoch begins" in typed(held, "epoch", "reconcile")
    later(held, 1)
    ticked(held, 0)
    sound(held)


def test_what_cannot_be_typed_says_why(held: Venue) -> None:
    """Each verb with nothing to do, or the wrong thing: exit 2 and a way out."""
    for words, said in (
        (("adopt", "hourly-0000-BTCUSDT-21030500-d1"), "knows no order"),
        (("adopt", "no id at all"), "is no client order id"),
        (("ignore", "web_typo"), "no halt names it"),
        (("close-attempt", "2021-03-05T00", "7"), "has no attempt 7"),
        (("epoch",), "trader flatten"),
        (("epoch", "--allocation-usdt", "-1"), "above 0"),
    ):
        done = held.trader(*words, "--reason", "x", check=False)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("permission", {"path": "/api/*", "action": "no_trade"}),
        ("symbol_status", {"path": "/api/*", "action": "status", "status": "HALT"}),
    ],
)
def test_what_the_venue_forbids_for_a_while(held: Venue, reason: str, fault: dict[str, Any]) -> None:
    """The account may not trade, or the symbol does not: halted once an order is wanted; when it is over, resumed."""
    held.trader("halt", "--reason", "so that the next hour wants to sell")
    held.sim("/sim/faults", [fault])
    later(held, 25)  # the venue's filters are asked anew
    ticked(held, 4)
    held.sim("/sim/faults", [])
    assert json.loads(held.trader("status", "--json").stdout)["halt"]["reason"] == reason
    assert "resumed" in typed(held, "resume", reason)
    later(held, 1)
    ticked(held, 0)
    sound(held)


def test_a_revoked_key_is_told_at_both_ends(held: Venue) -> None:
    """Exit 2 and trouble in status, doctor and journal while it lasts, no hour closed; over with the first tick that goes
    through."""
    held.sim("/sim/faults", [{"path": "/api/*", "action": "revoke_key"}])
    for _ in range(2):
        later(held, 1)
        ticked(held, 2)
    assert json.loads(held.trader("status", "--json").stdout)["trouble"]["exit_code"] == 2
    doctor = json.loads(held.trader("doctor", "--json", check=False).stdout)
    assert {row["check"]: row["verdict"] for row in doctor}["ticks"] == "fail"
    held.sim("/sim/faults", [])
    later(held, 1)
    ticked(held, 0)
    assert json.loads(held.trader("status", "--json").stdout)["trouble"] is None
    told = held.trader("journal").stdout
    assert (told.count("ticks fail"), "over" in told) == (1, True)
    sound(held)
