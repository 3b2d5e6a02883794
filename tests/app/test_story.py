"""The journal told to a person, and the one screen that says how the bot stands."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.support.fakes import MemoryStore
from tests.support.records_made import decision_made, record_made, totals_made
from tests.support.rig import quick_params
from tests.support.rows_made import fit, training_of_rows
from tests.support.screens import unwrapped
from trader.app.cursors import write_cursor
from trader.app.halts import announce, resume
from trader.app.journal import Journal
from trader.app.status import status
from trader.app.story import hour_row, tell
from trader.core.events import BreachEvent, ChampionEvent, DeploymentEvent
from trader.core.lifecycle import BreachRule
from trader.core.model import card_for
from trader.core.params import params_of
from trader.core.records import Cursor, HourRecord
from trader.core.types import HOUR_MS, iso, parse_hour
from trader.core.windows import refit_of
from trader.forecasters.xgboost import XGBoostForecaster
from trader.observers.status_words import screen

START = parse_hour("2022-01-01")
RULE = BreachRule(hours=4, net_return_below=-0.05, hit_rate_below=0.5, cooldown_hours=24)
HOURS = 6


def published(journal: Journal) -> str:
    """A small model in the store, by its id."""
    params = params_of(quick_params(), "tests")
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 9), dtype=np.float32), rng.integers(0, 2, 60).astype(np.float64)
    forecaster = XGBoostForecaster()
    model = fit(forecaster, X, y, params)
    card = card_for(model, forecaster, params, refit_of(params, 0, START), training_of_rows(X, y), "tests")
    journal.store.create(f"models/{card.model_id}/model", model)
    journal.store.create(f"models/{card.model_id}/card", card.to_bytes())
    return card.model_id


@pytest.fixture
def journal() -> Journal:
    """Six closed hours from START, an equity that falls by 100 an hour, one call in three right."""
    made = Journal(MemoryStore(), "BTCUSDT")
    made.append(ChampionEvent("BTCUSDT", published(made), START, "first", "begins"))
    made.append(DeploymentEvent("BTCUSDT", START))
    for i in range(HOURS):
        made.close_hour(record(i))
    return made


def record(i: int) -> HourRecord:
    """The record of hour i."""
    equity = 10_000 - 100 * i
    line: dict[str, Any] = {"p_up": 0.5312, "equity": Decimal(equity)}
    if i == 2:
        line |= {"order_side": "SELL", "order_qty": Decimal("0.2"), "fill_price": Decimal(49_990)}
        line |= {"fee": Decimal("9.998"), "reason": "leave"}
    return record_made(
        START + i * HOUR_MS,
        line=line,
        expected_price=Decimal(50_000) if i == 2 else None,
        totals=totals_made(str(equity), hits=i // 3, scored=i),
    )


def breach(at_ms: int, reason: str = "hit rate") -> BreachEvent:
    """A breach at an hour."""
    return BreachEvent("BTCUSDT", at_ms, reason)


def test_events_stand_between_the_hours_they_explain(journal: Journal) -> None:
    """A model before its first hour, a breach after the hour that made it, its answer and a halt before the hours they
    change, each in words."""
    two, three, four = (START + i * HOUR_MS for i in (2, 3, 4))
    journal.append(breach(two, "hit rate of 2 h is 0.000, below 0.500"))
    journal.append(ChampionEvent("BTCUSDT", "m2", three, "breach", "breach 1: hit rate", breach_number=1))
    announce(journal, three + 90_000, "person", freeze=False, by="person", message="maintenance")
    resume(journal, four, "over")
    told = [(part.kind, iso(part.at)[11:16]) for part in tell(journal)]
    assert told == [
        ("champion", "00:00"),
        ("hour", "00:00"),
        ("hour", "01:00"),
        ("hour", "02:00"),
        ("breach", "02:00"),
        ("champion", "03:00"),
        ("hour", "03:00"),
        ("halt", "03:01"),
        ("resume", "04:00"),
        ("hour", "04:00"),
        ("hour", "05:00"),
    ]
    words = {part.kind: part.words for part in tell(journal, two, four + 1)}
    assert words["champion"] == "model m2 serves: breach 1: hit rate"
    assert words["halt"] == "person, by person: maintenance; what is held is sold"
    assert words["resume"] == "by person: over; a new risk epoch begins"


def test_a_span_holds_its_hours_and_events_only(journal: Journal) -> None:
    """--from is the first hour, --to the hour after the last."""
    told = list(tell(journal, START + HOUR_MS, START + 3 * HOUR_MS))
    assert [part.at for part in told] == [START + HOUR_MS, START + 2 * HOUR_MS]


def test_an_hour_is_told_in_a_row(journal: Journal) -> None:
    """Model and its family, P(up), target, reason, order, fill, fee, equity."""
    assert hour_row(record(2), "naive") == (
        *(
            "2022-01-01T02:00Z",
            "m1",
            "naive",
            "0.5312",
            "flat",
            "leave",
            "SELL 0.2",
            "49990",
            "+2.00",
            "10.00",
            "9,800.00",
        ),
    )


def test_status_says_how_the_bot_stands(journal: Journal) -> None:
    """Returns, the rule's window, the serving model's age and what comes next, by hand: 9,500 of 10,000."""
    report = status(journal, RULE, START + 5 * HOUR_MS + 600_000)
    assert (report["state"], report["behind_hours"]) == ("trading", 0)
    assert report["results"]["net_return"] == pytest.approx(-0.05)
    assert report["window"]["net_return"] == pytest.approx(9_500 / 9_900 - 1)
    assert report["window"]["hit_rate"] == 0.25
    assert (report["champion"]["words"], report["champion"]["age_hours"]) == ("begins", 6)
    assert report["champion"]["family"] == "xgboost"
    assert f"{report['champion']['model_id']} (xgboost), serves since" in unwrapped(screen("BTCUSDT", report))
    assert report["next"] == {
        "do": "trader tick",
        "hour": "2022-01-01T06:00:00Z",
        "refit": "2022-01-31T00:00:00Z",
        "refit_is_trained_from": "2022-01-30T23:00:00Z",
        "breach_from": "2022-01-01T05:00:00Z",
        "last_breach": None,
    }
    shown = unwrapped(screen("BTCUSDT", report))
    assert "2022-01-01T05:00:00Z: P(up) 0.5312, flat, no order (hold)" in shown
    assert "equity 9,500.00 USDT" in shown
    assert "hit rate 20.00 % of 5 predictions" in shown
    # No hour of this journal has a quote, so nobody knows what buy and hold would have paid.
    assert report["results"]["buy_and_hold"] is None
    assert "buy and hold" not in shown


def test_status_of_a_halted_bot_says_why_and_how_to_resume(journal: Journal) -> None:
    """A halt counts from its event on, before any tick has seen it; a resume ends it."""
    announce(journal, START + 5 * HOUR_MS, "drawdown", freeze=True, message="12 % below the peak")
    report = status(journal, RULE)
    assert report["state"] == "halted"
    assert "drawdown at 2022-01-01T05:00:00Z, by bot: 12 % below the peak" in report["why"]
    assert "trader resume --reason" in screen("BTCUSDT", report)
    resume(journal, START + 6 * HOUR_MS, "looked at")
    assert status(journal, RULE)["state"] == "trading"


def test_status_of_a_bot_that_nobody_ticks_asks_for_the_schedule(journal: Journal) -> None:
    """Hours that are over and not closed are counted by the clock it is given."""
    report = status(journal, RULE, START + 9 * HOUR_MS)
    assert report["behind_hours"] == 4
    assert "4 hours are not closed: is the schedule running?" in report["why"]


def test_status_names_the_end_of_a_cooldown_and_an_hour_in_doubt(journal: Journal) -> None:
    """After a breach the rule looks again when its cooldown is over; a decision without a record is an open hour."""
    journal.append(breach(START + 4 * HOUR_MS))
    journal.decide(decision_made(START + HOURS * HOUR_MS, "BUY", "0.1"))
    report = status(journal, RULE)
    assert report["next"]["breach_from"] == "2022-01-02T04:00:00Z"
    order = {"side": "BUY", "qty": "0.1", "expected_price": "50000"}
    assert report["open"] == {"hour": "2022-01-01T06:00:00Z", "order": order}
    assert "an order may be in doubt" in report["why"]
    assert "last one 2022-01-01T04:00:00Z: hit rate" in unwrapped(screen("BTCUSDT", report))


@pytest.mark.parametrize(
    ("hours_ago", "cooldown_hours", "budget", "words"),
    [
        ([], 24, None, "none runs; breaches: 0 in the last 30 days, no budget is set"),
        (
            [20],
            24,
            None,
            "until 2022-01-01T09:00:00Z (4 h left); breaches: 1 in the last 30 days, no budget is set",
        ),
        (
            [800, 30],
            24,
            3,
            "none runs; breaches: 1 in the last 30 days, the budget has 2 of 3 left",
        ),
        (
            [100, 20],
            24,
            2,
            "until 2022-01-01T09:00:00Z (4 h left); breaches: 2 in the last 30 days, "
            "the budget has 0 of 2 left: none until 2022-01-27T01:00:00Z",
        ),
    ],
)
def test_status_says_what_cooldown_and_budget_leave(
    journal: Journal,
    hours_ago: list[int],
    cooldown_hours: int,
    budget: int | None,
    words: str,
) -> None:
    """A cooldown that runs, one that is over, a budget that is used up; the rule is looked at again from the later end."""
    for ago in hours_ago:
        journal.append(breach(START + (HOURS - 1 - ago) * HOUR_MS))
    report = status(journal, replace(RULE, cooldown_hours=cooldown_hours, budget=budget))
    assert f"cooldown {words}" in unwrapped(screen("BTCUSDT", report))
    left = report["retrain"]
    ends = [left[key] for key in ("cooldown_until", "budget_from") if left[key]]
    assert report["next"]["breach_from"] == max([*ends, "2022-01-01T05:00:00Z"])
    assert report["drift"] is None


def test_status_of_a_bot_without_a_breach_leaves_everything(journal: Journal) -> None:
    """Keys that a machine reads, by hand."""
    assert status(journal, RULE)["retrain"] == {
        "cooldown_hours": 24,
        "cooldown_until": None,
        "cooldown_left_hours": 0,
        "budget": None,
        "budget_days": 30,
        "breaches": 0,
        "budget_left": None,
        "budget_from": None,
    }


def test_status_says_who_was_stopped_and_since_when_it_is_behind(journal: Journal) -> None:
    """A row for each observer that is behind or in trouble, one for those that have heard everything."""
    last = START + (HOURS - 1) * HOUR_MS
    write_cursor(journal, "notices", Cursor(hour_ms=last))
    write_cursor(journal, "page", Cursor(hour_ms=last))
    write_cursor(journal, "mlflow", Cursor(hour_ms=START, failures=3, trouble="stopped after 60 s"))
    report = status(journal, RULE, observers=("notices", "page", "mlflow", "neptune"))
    assert [row["behind_hours"] for row in report["observers"]] == [0, 0, 5, 6]
    assert report["observers"][2]["trouble"] == "stopped after 60 s"
    assert screen("BTCUSDT", report).splitlines()[-4:] == [
        "observers     notices, page: told of every closed hour",
        "              mlflow: stopped after 60 s, 3 times in a row; behind since",
        "              2022-01-01T01:00:00Z (5 h)",
        "              neptune: behind since 2022-01-01T00:00:00Z (6 h)",
    ]
    assert "observers" not in screen("BTCUSDT", status(journal, RULE))


def test_status_before_the_first_hour_says_what_to_do() -> None:
    """An empty store: train. A model and no hour yet: tick."""
    empty = Journal(MemoryStore(), "BTCUSDT")
    assert "trader retrain" in screen("BTCUSDT", status(empty, RULE))
    empty.append(DeploymentEvent("BTCUSDT", START))
    assert "the first hour is 2022-01-01T00:00:00Z" in screen("BTCUSDT", status(empty, RULE))
