"""Which model serves an hour and whether a retrain is due: one rule for the backtest and for the live bot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from trader.core.drift import CALIBRATION_LIMIT, DRIFT_HOURS
from trader.core.types import DAY_MS, HOUR_MS


@dataclass(frozen=True, slots=True)
class Champion:
    """A published model: it may serve hours T >= valid_from (UTC ms)."""

    model_id: str
    valid_from: int


def calendar_refit(start: int, step_days: int, hour: int) -> int | None:
    """S_k, the newest refit hour at or before `hour`; None before the deployment's `start` (UTC ms)."""
    if hour < start:
        return None
    return hour - (hour - start) % (step_days * DAY_MS)


def due_refit(start: int, step_days: int, gap: int, now: int, champions: Sequence[Champion]) -> int | None:
    """The S_k that should be trained for at time `now`, or None.

    A refit is due from `gap` hours before it serves until a champion of that hour or a later one exists, the oldest first: with a
    gap longer than a step several are due at once, and after a pause the one that serves now beside the one to come. After a long
    pause those are not due of which no hour after `now` is left to serve.
    """
    newest = calendar_refit(start, step_days, now + gap * HOUR_MS)
    oldest = calendar_refit(start, step_days, max(start, now + HOUR_MS))
    if newest is None or oldest is None:
        return None
    trained = max((champion.valid_from for champion in champions), default=oldest - 1)
    return next((it for it in range(oldest, newest + 1, step_days * DAY_MS) if it > trained), None)


def serving(champions: Sequence[Champion], hour: int) -> Champion | None:
    """The champion that serves `hour`: the newest event among those with the latest valid_from <= hour.

    `champions` is in the order of their events, so that a later event for the same hour (a rollback, a repeated
    training) wins. None before the first.
    """
    serves = [champion for champion in champions if champion.valid_from <= hour]
    return max(reversed(serves), key=lambda champion: champion.valid_from) if serves else None


def is_late(start: int, step_days: int, champion: Champion, hour: int) -> bool:
    """True where the calendar has a newer refit for `hour` than the champion that serves it."""
    wanted = calendar_refit(start, step_days, hour)
    return wanted is not None and champion.valid_from < wanted


@dataclass(frozen=True, slots=True)
class BreachRule:
    """When recent hours are bad enough to search parameters anew.

    hours: length of the window. net_return_below: compounded return over it, such as -0.05; hit_rate_below: share of
    right predictions over it; None switches a measure off. cooldown_hours: least span between two breaches. budget: most
    breaches in any BUDGET_DAYS, None for no limit.
    """

    hours: int
    net_return_below: float | None
    hit_rate_below: float | None
    cooldown_hours: int
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class RunningTotals:
    """Running totals at an hour: equity in quote, and how many predictions were scored and right so far."""

    hour: int
    equity: float
    hits: int
    scored: int


# The reference retrained when fewer than 60 % of the last 24 predictions were right. A coin is below that in 85 % of all looks
# (chance_of_low_hit_rate), so a bot that looks every hour and cools down for a day breaches every 25 hours, and one
# that is right in 57 % of its hours every 29 (tests/core/test_lifecycle.py walks both). It is kept to be compared with.
SEED_BREACH = BreachRule(hours=24, net_return_below=None, hit_rate_below=0.6, cooldown_hours=24)


def chance_of_low_hit_rate(true_hit_rate: float, hours: int, below: float) -> float:
    """How often a model that is right with `true_hit_rate` in every hour, independently, has a hit rate under `below`
    over `hours` predictions: the binomial distribution's lower tail. All three rates are shares."""
    miss = 1 - true_hit_rate
    return sum(
        math.comb(hours, hits) * true_hit_rate**hits * miss ** (hours - hits)
        for hits in range(hours + 1)
        if hits / hours < below
    )


def breach(rule: BreachRule, now: RunningTotals, then: RunningTotals, last_breach: int | None) -> str | None:
    """Why the window from `then` to `now` breaches the rule, None if it does not.

    `then` must be rule.hours before `now`; within the cooldown of `last_breach` (UTC ms) nothing is a breach. A window
    without a scored call has no hit rate.
    """
    if last_breach is not None and now.hour - last_breach < rule.cooldown_hours * HOUR_MS:
        return None
    gained = now.equity / then.equity - 1 if then.equity else 0.0
    if rule.net_return_below is not None and gained < rule.net_return_below:
        return f"net return of {rule.hours} h is {gained:+.4f}, below {rule.net_return_below:+.4f}"
    scored = now.scored - then.scored
    if rule.hit_rate_below is not None and scored and (now.hits - then.hits) / scored < rule.hit_rate_below:
        return f"hit rate of {rule.hours} h is {(now.hits - then.hits) / scored:.3f}, below {rule.hit_rate_below:.3f}"
    return None


BUDGET_DAYS = 30


def within_budget(budget: int | None, hour: int, breaches: Sequence[int]) -> bool:
    """True where one more breach at `hour` leaves no more than `budget` in the BUDGET_DAYS up to it. All UTC ms."""
    return budget is None or sum(hour - at < BUDGET_DAYS * DAY_MS for at in breaches) < budget


Measure = Literal["psi", "ks", "calibration"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True, slots=True)
class DriftRule:
    """Which drift of the last DRIFT_HOURS is answered like a breach; cooldown and budget as in BreachRule, and shared
    with it."""

    measures: tuple[Measure, ...]
    cooldown_hours: int
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """What the last DRIFT_HOURS show, None where unknown: PSI and KS, the largest over all features, and the decay of
    the calibration (`trader.core.drift`). psi_limit, ks_limit: what chance alone explains, by the serving model's card."""

    psi: float | None
    ks: float | None
    calibration: float | None
    psi_limit: float | None
    ks_limit: float | None


def drifted(rule: DriftRule, hour: int, seen: Drift, last_breach: int | None) -> str | None:
    """Why the hours up to `hour` (UTC ms) have drifted, None if they have not or the cooldown of `last_breach` lasts."""
    if last_breach is not None and hour - last_breach < rule.cooldown_hours * HOUR_MS:
        return None
    looked: dict[Measure, tuple[str, float | None, float | None]] = {
        "psi": ("PSI", seen.psi, seen.psi_limit),
        "ks": ("KS", seen.ks, seen.ks_limit),
        "calibration": ("calibration decay", seen.calibration, CALIBRATION_LIMIT),
    }
    for measure in rule.measures:
        name, value, limit = looked[measure]
        if value is not None and limit is not None and value > limit:
            return f"drift: {name} of {DRIFT_HOURS} h is {value:.3f}, above {limit:.3f}"
    return None
