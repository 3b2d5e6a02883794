"""Which rules of retraining are in force, and what they see at the newest closed hour: drift beside its limits, and what cooldown
and budget leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trader.app.drift import drift_of
from trader.app.journal import Journal
from trader.app.recent import recent_hours
from trader.app.retrain import deployment
from trader.core.drift import CALIBRATION_LIMIT, DRIFT_HOURS
from trader.core.lifecycle import BUDGET_DAYS, BreachRule, Drift, DriftRule, Measure, drifted
from trader.core.model import ModelCard
from trader.core.params import params_of
from trader.core.records import HourRecord
from trader.core.types import DAY_MS, HOUR_MS, Json, iso


@dataclass(frozen=True, slots=True)
class RetrainRules:
    """By which recent results and which drift a bot retrains, None for by none. own: they came with the deployment, and the
    settings do not count."""

    breach: BreachRule | None
    drift: DriftRule | None
    own: bool = False


def rules_in_force(journal: Journal, breach: BreachRule | None, drift: DriftRule | None) -> RetrainRules:
    """The rules that the deployment was begun with, if it was a rehearsal with rules of its own, else those given, which are the
    settings'. Whoever retrains and whoever shows why asks here, so that both speak of one rule."""
    begun = deployment(journal)
    if begun is None or begun.retrain_rule is None:
        return RetrainRules(breach, drift)
    return RetrainRules(begun.retrain_rule, None, own=True)


# `trader retrain --if-due` keeps the hours that drift is seen in; who only looks reads no more than a day of later ones.
MOST_READS = 24


def allowance(rule: BreachRule, hour: int, breaches: Sequence[int]) -> Json:
    """What is left at `hour` after the breaches so far, all UTC ms and oldest first: when the cooldown ends (None where
    none runs), breaches in the last BUDGET_DAYS, how many more the budget bears (None without one), and from when it
    bears the next if it is used up."""
    ends = breaches[-1] + rule.cooldown_hours * HOUR_MS if breaches else hour
    recent = [at for at in breaches if hour - at < BUDGET_DAYS * DAY_MS]
    left = None if rule.budget is None else max(0, rule.budget - len(recent))
    spent = rule.budget is not None and left == 0
    return {
        "cooldown_hours": rule.cooldown_hours,
        "cooldown_until": iso(ends) if ends > hour else None,
        "cooldown_left_hours": max(0, (ends - hour) // HOUR_MS),
        "budget": rule.budget,
        "budget_days": BUDGET_DAYS,
        "breaches": len(recent),
        "budget_left": left,
        "budget_from": iso(breaches[-(rule.budget or 0)] + BUDGET_DAYS * DAY_MS) if spent else None,
    }


def seen_drift(journal: Journal, rule: DriftRule, start: int, newest: HourRecord, card: ModelCard) -> Json:
    """Each measure of the rule at the record `newest`: its value, what chance explains, whether it is above (None where
    one of them is unknown). `why` says why nothing was looked at. Writes nothing; `start` is the deployment's, UTC ms.
    """
    params = params_of(card.params, f"models/{card.model_id}/card")
    wanted = DRIFT_HOURS + params.horizon_hours
    there = (newest.close_time - start) // HOUR_MS + 1
    if newest.halted:
        return _unseen("not looked at while trading is halted")
    if there < wanted:
        return _unseen(f"{there} of {wanted} hours so far")
    hours = recent_hours(journal, newest, wanted, MOST_READS)
    if hours is None:
        return _unseen(
            "not looked at lately: does the schedule run trader retrain --if-due with this setting?"
        )
    return {
        "hours": DRIFT_HOURS,
        "why": "",
        "measures": _verdicts(rule, drift_of(hours, card, params, journal.symbol)),
    }


def _unseen(why: str) -> Json:
    return {"hours": DRIFT_HOURS, "why": why, "measures": {}}


def _verdicts(rule: DriftRule, seen: Drift) -> Json:
    known: dict[Measure, tuple[float | None, float | None]] = {
        "psi": (seen.psi, seen.psi_limit),
        "ks": (seen.ks, seen.ks_limit),
        "calibration": (seen.calibration, CALIBRATION_LIMIT),
    }
    found: Json = {}
    for measure in rule.measures:
        value, limit = known[measure]
        above = drifted(replace(rule, measures=(measure,)), 0, seen, None) is not None
        found[measure] = {
            "value": value,
            "limit": limit,
            "above": None if value is None or limit is None else above,
        }
    return found
