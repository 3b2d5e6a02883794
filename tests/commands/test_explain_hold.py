"""An hour in which an entry is within its minimum holding period says so: which entry, until when, and what P(up) alone would
have said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from tests.support.screens import unwrapped
from trader.adapters.store_local import LocalStore
from trader.app.explain import explain
from trader.app.journal import Journal
from trader.core.types import HOUR_MS, iso, parse_time
from trader.forecasters.registry import forecaster_of

HORIZON = 4


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `store` holds four days of calls about the close four hours ahead, outages among them."""
    folder = tmp_path_factory.mktemp("patient")
    bars = made_bars(folder, "2020-12-01", "2021-03-20")
    (folder / "P.json").write_text(json.dumps(quick_params(horizon_hours=HORIZON)))
    span = ("--bars", str(bars), "--from", "2021-03-05", "--to", "2021-03-09", "--params", "P.json")
    command("trader", "replay", *span, "--store", "store", "--hours-out", "hours.jsonl", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def told(patient: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each line beside its hour explained."""
    journal = Journal(LocalStore(patient / "store"), "BTCUSDT")
    lines = [json.loads(line) for line in (patient / "hours.jsonl").read_text().splitlines()]
    return [(line, explain(journal, forecaster_of, parse_time(line["close_time"]))) for line in lines]


def test_an_hour_is_bound_from_its_entry_to_the_end_of_the_horizon(
    told: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    """Read from the lines alone: the three hours after a filled entry keep what is held, the fourth may leave; hours
    without a bar or a venue count, and are told so."""
    entered: int | None = None
    seen: dict[str | None, int] = {}
    for line, found in told:
        hour = parse_time(line["close_time"])
        if entered is None or hour >= entered + HORIZON * HOUR_MS:
            assert found["hold"] is None, line
        else:
            alone = None if line["p_up"] is None else "long" if line["p_up"] >= 0.5 else "flat"
            assert found["hold"] == {
                "held": "long",
                "entered_at": iso(entered),
                "until": iso(entered + HORIZON * HOUR_MS),
                "horizon_hours": HORIZON,
                "by_p_up": alone,
            }
            assert line["target"] == found["decision"]["target"] == "long"
            seen[alone] = seen.get(alone, 0) + 1
        if (line["order_side"], line["reason"]) == ("BUY", "enter") and line["fill_price"]:
            entered = hour
    assert seen["flat"] >= 5, "the rule changed what was decided"
    assert seen["long"] >= 5
    assert seen[None] >= 1, "an hour of an outage"


@pytest.mark.parametrize(
    ("by_p_up", "words"),
    [
        ("flat", "although P(up) says flat"),
        ("long", "and P(up) says long too"),
        (None, "and there is no P(up)"),
    ],
)
def test_the_words_say_that_it_was_therefore_kept(
    patient: Path, told: list[tuple[dict[str, Any], dict[str, Any]]], by_p_up: str | None, words: str
) -> None:
    """With the entry and the hour that may leave; an hour that is free says nothing of it."""
    line, found = next(pair for pair in told if pair[1]["hold"] and pair[1]["hold"]["by_p_up"] == by_p_up)
    hold = found["hold"]
    text = command("trader", "explain", line["close_time"], "--store", "store", cwd=patient).stdout
    entry = (
        f"hold long was entered at {hold['entered_at']} for 4 h, so it is kept until {hold['until']}, {words}"
    )
    assert entry in unwrapped(text)
    free = command("trader", "explain", hold["until"], "--store", "store", cwd=patient).stdout
    assert "hold      " not in free


def test_with_a_horizon_of_an_hour_nothing_is_ever_bound(week: Path) -> None:
    """The rule never applies, and is never told."""
    journal = Journal(LocalStore(week / "store"), "BTCUSDT")
    records = [record for record in journal.records() if record.totals.state.entered_at]
    assert records
    assert [explain(journal, forecaster_of, r.close_time)["hold"] for r in records[:30]] == [None] * 30
