"""Whether a retrain is due, by the calendar or by a breach of recent results, and carrying it out."""

from __future__ import annotations

from collections.abc import Callable

from trader.app.journal import Event, Json
from trader.app.objects import standing_of
from trader.app.retrain import CALENDAR, Cause, deployment, due, next_serve_hour, retrain, serving_params
from trader.app.tick import Bot
from trader.core.lifecycle import BreachRule, breach
from trader.core.model import ModelCard
from trader.core.params import Params
from trader.core.types import HOUR_MS, floor_hour

# (bot, the serving parameters, the hour that the new model serves from) -> the parameters that a search found
Tuner = Callable[[Bot, Params, int], Params]


def retrain_if_due(
    bot: Bot, now_ms: int, rule: BreachRule | None = None, tuner: Tuner | None = None
) -> ModelCard | None:
    """Train for the calendar's next refit, or answer a breach with a search and a refit; None if nothing is due.

    A breach is an event in the store before anything is searched, so a search that is killed is begun again by the
    next call. Without a tuner a breach refits the serving parameters.
    """
    params = serving_params(bot.journal)
    if params is None:
        return None
    serve_from = due(bot.journal, params, now_ms)
    if serve_from is not None:
        return _train(bot, params, serve_from, CALENDAR)
    if rule is None:
        return None
    open_breach = unanswered(bot) or notice(bot, rule, floor_hour(now_ms))
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


def notice(bot: Bot, rule: BreachRule, hour: int) -> Event | None:
    """Write a breach event if the newest record's window breaches the rule; None if it does not."""
    begun = deployment(bot.journal)
    newest = bot.journal.newest_record(hour, begun.start) if begun else None
    then = None if newest is None else bot.journal.record(newest["close_time"] - rule.hours * HOUR_MS)
    if newest is None or then is None:
        return None
    why = _breached(bot, rule, newest, then)
    return bot.journal.append("breach", {"at": newest["close_time"], "why": why}) if why else None


def _breached(bot: Bot, rule: BreachRule, newest: Json, then: Json) -> str | None:
    if newest["state"]["halted_at"] is not None:
        return None  # a halted bot needs a person, not another model
    earlier = bot.journal.events("breach")
    last = int(earlier[-1].content["at"]) if earlier else None
    return breach(rule, standing_of(newest), standing_of(then), last)
