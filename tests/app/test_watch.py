"""What cooldown and budget leave, beside the rule that they belong to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trader.app.watch import allowance
from trader.core.lifecycle import BUDGET_DAYS, BreachRule, within_budget
from trader.core.types import DAY_MS, HOUR_MS, parse_hour, parse_time

START = parse_hour("2022-01-01")


def rule(cooldown_hours: int, budget: int | None) -> BreachRule:
    """A rule of which only cooldown and budget count here."""
    return BreachRule(4, -0.05, None, cooldown_hours, budget)


@given(
    gaps=st.lists(st.integers(1, 40 * 24), max_size=8),
    since=st.integers(0, 50 * 24),
    cooldown_hours=st.integers(1, 30 * 24),
    budget=st.one_of(st.none(), st.integers(1, 4)),
)
def test_what_is_left_is_what_the_rule_will_allow(
    gaps: list[int], since: int, cooldown_hours: int, budget: int | None
) -> None:
    """Hour by hour from now on: the first at which cooldown and budget bear another breach is the later of the two that
    are told, and now where neither is."""
    breaches = [START + sum(gaps[: i + 1]) * HOUR_MS for i in range(len(gaps))]
    now = (breaches[-1] if breaches else START) + since * HOUR_MS
    left = allowance(rule(cooldown_hours, budget), now, breaches)
    told = [parse_time(left[key]) for key in ("cooldown_until", "budget_from") if left[key]]
    free = next(
        hour
        for hour in range(now, now + (BUDGET_DAYS + 40) * DAY_MS, HOUR_MS)
        if within_budget(budget, hour, breaches)
        and (not breaches or hour - breaches[-1] >= cooldown_hours * HOUR_MS)
    )
    assert max(told, default=now) == free
    assert left["cooldown_left_hours"] == (
        (parse_time(left["cooldown_until"]) - now) // HOUR_MS if left["cooldown_until"] else 0
    )
    if budget is not None:
        assert left["budget_left"] == max(0, budget - left["breaches"])
        assert (left["budget_left"] > 0) == within_budget(budget, now, breaches)
