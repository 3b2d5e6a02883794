"""The fifteen first faults, in the POST of an order and in every query that its recovery makes: one order, booked once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.crew import Scene
from trader.app.tick import tick
from trader.core.errors import OrderInDoubt, Retry
from trader.exchange.scenarios import SCENARIOS

ONE, TWO = ["filled"], ["absent", "filled"]

# The scenario, and what becomes of the order's attempts. Where the venue never executed the first, it is proved absent
# and a second trades; where it did, however late and whatever it answered, the order is found and nothing follows.
POSTED = [
    ("ok_baseline", ONE),
    ("ping_fail_at_start", ONE),
    ("timeout_after_commit", ONE),
    ("timeout_before_commit", TWO),
    ("rst_after_commit", ONE),
    ("rst_before_commit", TWO),
    ("late_commit", ONE),
    ("1007_after_commit", ONE),
    ("1007_not_committed", TWO),
    ("1006_commit", ONE),
    ("502_html_commit", ONE),
    ("504_empty_commit", ONE),
    ("truncated_json_after_commit", ONE),
    ("200_empty_body_after_commit", ONE),
    ("json_list_error", ONE),
    ("null_error", ONE),
]

# The same faults as a query meets them: to its reader, before and after a commit are one.
ASKED = [
    "timeout_after_commit",
    "rst_after_commit",
    "1007_after_commit",
    "1006_commit",
    "502_html_commit",
    "504_empty_commit",
    "truncated_json_after_commit",
    "200_empty_body_after_commit",
    "json_list_error",
    "null_error",
]

# What happens to the order's POST, so that the query is needed: executed or not, its connection is reset.
LOST_AFTER, LOST_BEFORE = "rst_after_commit", "rst_before_commit"
QUERIES = [
    (LOST_AFTER, "order"),
    (LOST_AFTER, "myTrades"),
    (LOST_BEFORE, "order"),
    (LOST_BEFORE, "time"),
    (LOST_BEFORE, "openOrders"),
    (LOST_BEFORE, "allOrders"),
    (LOST_BEFORE, "myTrades"),
    (LOST_BEFORE, "account"),
]


def pairs(every: int) -> list[Any]:
    """Each query with each fault. What a fault does to a reader is the same in all queries, so that only every n-th pair is tried
    in `make test`: each query, and each fault, more than once."""
    return [
        pytest.param(
            lost,
            query,
            scenario,
            marks=() if (i + j) % every == 0 else pytest.mark.long,
            id=f"{query}-{lost}-{scenario}",
        )
        for i, (lost, query) in enumerate(QUERIES)
        for j, scenario in enumerate(ASKED)
    ]


def kinds(made: Scene) -> list[str]:
    """What became of the hour's attempts, in order; at most one is open, the last."""
    journal = made.journal()
    found: list[str] = []
    for n in range(1, 10):
        if journal.attempt(made.start, n) is None:
            break
        outcome = journal.outcome(made.start, n)
        found.append("open" if outcome is None else outcome.kind)
    assert "open" not in found[:-1]
    return found


def posts(made: Scene) -> int:
    """How many orders were sent to the exchange, answered or not."""
    return sum((row["method"], row["path"]) == ("POST", "/api/v3/order") for row in made.sim("/sim/requests"))


def traded_once(made: Scene, ends: list[str]) -> None:
    """The hour is closed by one executed order, each attempt was sent once, books and account agree."""
    assert kinds(made) == ends
    assert posts(made) == len(ends)
    made.finish()
    assert posts(made) == len(ends)


@pytest.mark.parametrize(("scenario", "ends"), POSTED, ids=[row[0] for row in POSTED])
def test_a_fault_in_the_post(fresh: Scene, scenario: str, ends: list[str]) -> None:
    """One tick brings the hour to its end: traded once, whatever became of the request or of its reply."""
    fresh.sim("/sim/faults", {"scenario": scenario})
    with fresh.bot() as bot:
        assert tick(bot).outcome == "traded"
    traded_once(fresh, ends)


def struck(made: Scene, query: str, scenario: str) -> int:
    """How many of the bot's queries met the scenario."""
    asked = ("GET", f"/api/v3/{query}")
    return sum(
        (row["method"], row["path"]) == asked and row["faults"] == scenario
        for row in made.sim("/sim/requests")
    )


def faults(lost: str, scenario: str, query: str, times: Any) -> list[dict[str, Any]]:
    """The POST's fault, and since then the scenario's in the query."""
    asked = {**SCENARIOS[scenario][0], "method": "GET", "path": f"/api/v3/{query}", "since": "the post"}
    asked.pop("nth")
    if asked["action"] == "truncate":
        asked["bytes"] = 1  # an empty list is two
    return [{**SCENARIOS[lost][0], "name": "the post"}, {**asked, **times}]


@pytest.mark.parametrize(("lost", "query", "scenario"), pairs(2))
def test_a_fault_in_a_query(fresh: Scene, lost: str, query: str, scenario: str) -> None:
    """For as long as it lasts the hour is parked and nothing else is sent; the first tick after it trades once."""
    ends = ONE if lost == LOST_AFTER else TWO
    fresh.sim("/sim/faults", faults(lost, scenario, query, {}))
    with fresh.bot() as bot:
        for caught in (
            OrderInDoubt,
            Retry,
        ):  # without the time, the second tick does not come as far as the order
            with pytest.raises(caught):
                tick(bot)
            assert (kinds(fresh), posts(fresh)) == (["open"], 1)
            bot.clock.sleep(60)
        assert struck(fresh, query, scenario) >= 3  # it was asked again before it was given up
        fresh.sim("/sim/faults", [])
        assert tick(bot).outcome == "traded"
    traded_once(fresh, ends)


@pytest.mark.parametrize(("lost", "query", "scenario"), pairs(3))
def test_a_passing_fault_in_a_query(fresh: Scene, lost: str, query: str, scenario: str) -> None:
    """It strikes once: the query is asked again, and the same tick trades once."""
    fresh.sim("/sim/faults", faults(lost, scenario, query, {"nth": 1}))
    with fresh.bot() as bot:
        assert tick(bot).outcome == "traded"
    assert struck(fresh, query, scenario) == 1
    traded_once(fresh, ONE if lost == LOST_AFTER else TWO)
