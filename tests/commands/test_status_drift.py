"""`trader status` tells drift beside what chance explains, from what the retrain rule keeps, and writes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.rig import command
from tests.support.screens import unwrapped
from trader.adapters.store_local import LocalStore
from trader.app.halts import announce
from trader.app.journal import Journal
from trader.app.recent import recent_hours
from trader.app.retrain import load_model
from trader.app.watch import MOST_READS, seen_drift
from trader.core.drift import DRIFT_HOURS, population_stability
from trader.core.lifecycle import DriftRule
from trader.core.model import RANGE_QUANTILES
from trader.core.types import HOUR_MS
from trader.observers.status_words import screen


def slow_kolmogorov_smirnov(values: list[float], edges: list[float], quantiles: tuple[float, ...]) -> float:
    """The largest distance of two distributions where the training sample's is known: at its inner quantiles."""
    known = dict(zip(edges[1:-1], quantiles[1:-1], strict=True))  # of equal edges the last
    known.pop(edges[-1], None)
    return max(abs(float(np.mean(np.array(values) <= edge)) - share) for edge, share in known.items())


RULE = DriftRule(("psi", "ks", "calibration"), 168)
SETTINGS = {"TRADER_DRIFT": "psi,ks,calibration", "TRADER_TRACKERS": "none"}


@pytest.fixture
def store(week: Path, tmp_path: Path) -> Path:
    """A copy of the week's store."""
    shutil.copytree(week / "store", tmp_path / "store")
    return tmp_path / "store"


def kept(store: Path, hours_ago: int = 0) -> Journal:
    """The journal, after the retrain rule looked at drift so many hours ago."""
    journal = Journal(LocalStore(store), "BTCUSDT")
    records = list(journal.records())
    assert recent_hours(journal, records[-1 - hours_ago], DRIFT_HOURS + 1 - hours_ago)
    return Journal(LocalStore(store), "BTCUSDT")


def files(store: Path) -> dict[Path, bytes]:
    """Everything in a store."""
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def asked(store: Path, **settings: str) -> dict[str, Any]:
    """`trader status --json`."""
    done = command(
        "trader", "status", "--store", str(store), "--json", cwd=store.parent, check=True, **settings
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_drift_is_told_beside_what_chance_explains(store: Path) -> None:
    """PSI and KS equal the slow formula over the week's records and the card of the model that served last; nothing is
    written, and the screen has it too."""
    journal = kept(store, MOST_READS + 1)
    before = files(store)
    found = asked(store, **SETTINGS)["drift"]
    assert files(store) == before
    records = list(journal.records())[-DRIFT_HOURS:]
    card, _ = load_model(journal, records[-1].model_id)
    rows = [r.features for r in records if r.features and None not in r.features.values()]
    for name, slow in (("psi", population_stability), ("ks", slow_kolmogorov_smirnov)):
        by_column = [
            slow([value for row in rows if (value := row[c]) is not None], card.ranges[c], RANGE_QUANTILES)
            for c in card.columns
        ]
        measure = found["measures"][name]
        assert measure["value"] == pytest.approx(max(by_column), rel=1e-5)
        assert measure["limit"] == card.drift_limits[name]
        assert measure["above"] is (measure["value"] > measure["limit"])
    assert found["measures"]["calibration"]["value"] is not None
    shown = unwrapped(
        command("trader", "status", "--store", str(store), cwd=store.parent, check=True, **SETTINGS).stdout
    )
    assert f"drift last 168 h PSI {found['measures']['psi']['value']:.3f}" in shown
    assert "; no more than chance explains" in shown


def test_without_its_rule_drift_is_not_told(store: Path) -> None:
    """The rule is off by default."""
    assert asked(store, TRADER_TRACKERS="none")["drift"] is None


def test_a_look_that_would_be_long_is_not_made(store: Path) -> None:
    """Nobody has kept the hours, or too long ago: the schedule is asked for instead."""
    words = "not looked at lately: does the schedule run trader retrain --if-due with this setting?"
    assert asked(store, **SETTINGS)["drift"]["why"] == words
    kept(store, MOST_READS + 2)
    assert asked(store, **SETTINGS)["drift"] == {"hours": DRIFT_HOURS, "why": words, "measures": {}}


def test_a_young_bot_and_a_halted_one_say_why_nothing_is_known(store: Path) -> None:
    """So many hours of so many; a halted bot is not retrained, so nothing looks."""
    journal = Journal(LocalStore(store), "BTCUSDT")
    records = list(journal.records())
    card, _ = load_model(journal, records[-1].model_id)
    start = records[0].close_time
    young = seen_drift(journal, RULE, start, records[39], card)
    assert young["why"] == "40 of 169 hours so far"
    newest = records[-1]
    state = replace(newest.totals.state, risk=replace(newest.risk, halted_at=start))
    halted = replace(newest, totals=replace(newest.totals, state=state))
    assert seen_drift(journal, RULE, start, halted, card)["why"] == "not looked at while trading is halted"


@pytest.mark.parametrize(
    ("psi", "ks", "cooldown", "words"),
    [
        (0.5, 0.1, False, "PSI 0.500 (above 0.400), KS 0.100 (below 0.200); PSI beyond chance: retrains"),
        (
            0.5,
            0.3,
            True,
            "PSI 0.500 (above 0.400), KS 0.300 (above 0.200); PSI and KS beyond chance: retrains, "
            "when the line above allows it",
        ),
        (None, 0.1, False, "PSI unknown, KS 0.100 (below 0.200); too little is known"),
    ],
)
def test_the_screen_says_what_drift_will_do(
    store: Path, psi: float | None, ks: float, cooldown: bool, words: str
) -> None:
    """Beyond chance is answered, at once or when the cooldown is over; what is unknown is said."""
    report = asked(store, **SETTINGS)
    measures = {
        "psi": {"value": psi, "limit": 0.4, "above": None if psi is None else psi > 0.4},
        "ks": {"value": ks, "limit": 0.2, "above": ks > 0.2},
    }
    report["drift"] = {"hours": 168, "why": "", "measures": measures}
    if cooldown:
        report["retrain"]["cooldown_until"] = "2021-03-20T00:00:00Z"
    assert f"drift last 168 h {words}" in unwrapped(screen("BTCUSDT", report))


def test_a_halt_that_no_hour_has_seen_yet_hides_nothing(store: Path) -> None:
    """`trader halt` is an event before any record knows of it: what was kept is still told."""
    journal = kept(store)
    newest = list(journal.records())[-1].close_time
    announce(journal, newest + HOUR_MS, "person", freeze=False, by="person", message="a look")
    report = asked(store, **SETTINGS)
    assert report["state"] == "halted"
    assert report["drift"]["measures"]["psi"]["value"] is not None


def test_a_look_at_drift_imports_no_heavy_library(store: Path) -> None:
    """`trader status` stays a matter of a second: numpy is enough."""
    kept(store)
    code = (
        "import sys; sys.argv = ['trader', 'status', '--store', 'store']\n"
        "from trader.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([m for m in ('xgboost', 'optuna', 'pyarrow', 'rich', 'talib', 'pandas', 'boto3') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=store.parent,
        env={"PATH": os.defpath, **SETTINGS},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "no more than chance explains" in unwrapped(done.stdout), done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
