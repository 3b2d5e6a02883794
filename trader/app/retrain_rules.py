"""Whether a retrain is due, by the calendar or by a breach of recent results, and carrying it out."""

from __future__ import annotations

from collections.abc import Callable

from trader.app.drift import drift_of
from trader.app.journal import Event, Json
from trader.app.objects import standing_of
from trader.app.retrain import CALENDAR, Cause, deployment, due, next_serve_hour, retrain, serving_params
from trader.app.tick import Bot
from trader.core.drift import DRIFT_HOURS
from trader.core.lifecycle import BreachRule, DriftRule, breach, drifted, within_budget
from trader.core.model import ModelCard
from trader.core.params import Params
from trader.core.types import HOUR_MS, floor_hour

# (bot, the serving parameters, the hour that the new model serves from) -> the parameters that a search found
Tuner = Callable[[Bot, Params, int], Params]


def retrain_if_due(
    bot: Bot,
    now_ms: int,
    rule: BreachRule | None = None,
    tuner: Tuner | None = None,
    drift: DriftRule | None = None,
) -> ModelCard | None:
    """Train for the calendar's next refit, or answer a breach with a search and a refit; None if nothing is due.

    A breach, of recent results or by drift, is an event in the store before anything is searched, so a search that is
    killed is begun again by the next call. Without a tuner a breach refits the serving parameters.
    """
    params = serving_params(bot.journal)
    if params is None:
        return None
    serve_from = due(bot.journal, params, now_ms)
    if serve_from is not None:
        return _train(bot, params, serve_from, CALENDAR)
    if rule is None and drift is None:
        return None
    open_breach = unanswered(bot) or notice(bot, rule, floor_hour(now_ms), drift)
    if open_breach is None:
        return None
    serve_from = next_serve_hour(now_ms, params.gap_hours)
    chosen = tuner(bot, params, serve_from) if tuner else params
    words = f"breach {open_breach.number}: {open_breach.content['why']}"
    return _train(bot, chosen, serve_from, Cause("breach", words, open_breach.number))


def _train(bot: Bot, params: Params, serve_from: int, cause: Cause) -> ModelCard:
    return retrain(bot.journal, bot.collector, bot.forecaster, params, serve_from, bot.version, cause)


def unanswered(bot: Bot) -> Event | None:
    """The newest breach if no champion has answered it, else None."""
    breaches = bot.journal.events("breach")
    if not breaches:
        return None
    answered = {event.content["breach"] for event in bot.journal.events("champion")}
    return None if breaches[-1].number in answered else breaches[-1]


def notice(bot: Bot, rule: BreachRule | None, hour: int, drift: DriftRule | None = None) -> Event | None:
    """Write a breach event if the hours up to the newest record breach a rule; None if they do not."""
    begun = deployment(bot.journal)
    newest = bot.journal.newest_record(hour, begun.start) if begun else None
    if newest is None or newest["state"]["halted_at"] is not None:
        return None  # a halted bot needs a person, not another model
    why = _bad(bot, rule, newest) if rule else None
    if why is None and drift is not None:
        why = _drifted(bot, drift, newest)
    return bot.journal.append("breach", {"at": newest["close_time"], "why": why}) if why else None


def _earlier(bot: Bot) -> list[int]:
    """The hours of all breaches so far."""
    return [int(event.content["at"]) for event in bot.journal.events("breach")]


def _bad(bot: Bot, rule: BreachRule, newest: Json) -> str | None:
    hour = newest["close_time"]
    then = bot.journal.record(hour - rule.hours * HOUR_MS)
    if then is None:
        return None
    earlier = _earlier(bot)
    if not within_budget(rule.budget, hour, earlier):
        return None
    return breach(rule, standing_of(newest), standing_of(then), earlier[-1] if earlier else None)


def _drifted(bot: Bot, rule: DriftRule, newest: Json) -> str | None:
    """Looked at in DRIFT_HOURS of records and as many before as a call takes to be scored."""
    card, params, _ = bot.model(newest["model_id"])
    hour = newest["close_time"]
    since = hour - (DRIFT_HOURS - 1 + params.horizon_hours) * HOUR_MS
    if bot.journal.record(since) is None:
        return None
    earlier = _earlier(bot)
    if not within_budget(rule.budget, hour, earlier):
        return None
    seen = drift_of(list(bot.journal.records(since, hour + HOUR_MS)), card, params)
    return drifted(rule, hour, seen, earlier[-1] if earlier else None)
