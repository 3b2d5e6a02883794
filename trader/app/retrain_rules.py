"""Whether a retrain is due, by the calendar or by a breach of recent results, and carrying it out."""

from __future__ import annotations

from collections.abc import Callable

from trader.app.adoption import epoch_between
from trader.app.bot import Bot
from trader.app.certificates import Certifier, newest_certificate
from trader.app.codec_events import BREACH, CHAMPION, DEPLOYMENT, REFUSAL
from trader.app.drift import drift_of
from trader.app.recent import recent_hours
from trader.app.retrain import (
    AFTER_REFUSAL,
    CALENDAR,
    TrainingCause,
    champions,
    deployment,
    due,
    load_card,
    next_serve_hour,
    refused_words,
    retrain,
)
from trader.app.watch import rules_in_force
from trader.core.drift import DRIFT_HOURS
from trader.core.errors import Uncertified
from trader.core.events import BreachEvent, Event
from trader.core.lifecycle import BreachRule, DriftRule, breach, drifted, within_budget
from trader.core.model import ModelCard
from trader.core.params import Params
from trader.core.records import HourRecord, standing_of
from trader.core.types import DAY_MS, HOUR_MS, floor_hour

# (bot, the serving parameters, the hour that the new model serves from) -> the parameters that a search found
Tuner = Callable[[Bot, Params, int], Params]


def retrain_if_due(
    bot: Bot,
    now_ms: int,
    rule: BreachRule | None = None,
    tuner: Tuner | None = None,
    drift: DriftRule | None = None,
    certifier: Certifier | None = None,
) -> ModelCard | None:
    """Train for the calendar's next refit, or answer a breach with a search and a refit; None if nothing is due.

    A breach, of recent results or by drift, is an event in the store before anything is searched, so a search that is
    killed is begun again by the next call. Without a tuner a breach refits the serving parameters. A rehearsal's own rule
    goes before those given. With a `certifier` a model must pass its certificate; one that failed is trained and examined again a
    day later, or as soon as a newer certificate of it passed. Raises Uncertified until then.
    """
    with bot.journal.glance(DEPLOYMENT, CHAMPION, BREACH):
        found = wanted(bot, now_ms, rule, drift)
    if found is None:
        return None
    params, serve_from, answered = found
    if certifier is not None:
        require_not_refused(bot, now_ms, serve_from, answered)
    if answered is None:
        return _train(bot, now_ms, params, serve_from, CALENDAR, certifier)
    chosen = tuner(bot, params, serve_from) if tuner else params
    message = f"breach {answered.number}: {answered.content.reason}"
    cause = TrainingCause("breach", message, answered.number)
    return _train(bot, now_ms, chosen, serve_from, cause, certifier)


def require_not_refused(bot: Bot, now_ms: int, serve_from: int, answered: Event[BreachEvent] | None) -> None:
    """Raises Uncertified where a model for this very occasion failed its certificate within a day: the schedule asks every hour,
    and a search and a fit are not repeated as often."""
    refusals = bot.journal.events(REFUSAL)
    if not refusals:
        return
    last = refusals[-1].content
    breach_number = 0 if answered is None else answered.number
    same = last.breach_number == breach_number and (answered is not None or last.valid_from_ms == serve_from)
    if not same or now_ms - last.at_ms >= DAY_MS:
        return
    known = newest_certificate(bot.journal, load_card(bot.journal, last.model_id))
    if known is None or not known.certificate.passed:
        raise Uncertified(
            f"{refused_words(last)}; it is trained and examined again after a day. {AFTER_REFUSAL}"
        )


def wanted(
    bot: Bot, now_ms: int, rule: BreachRule | None, drift: DriftRule | None
) -> tuple[Params, int, Event[BreachEvent] | None] | None:
    """The serving parameters, the hour that a new model should serve from, and the breach that it answers, None for the
    calendar's refit; None if nothing is due."""
    published = champions(bot.journal)
    if not published:
        return None
    params = bot.params(published[-1].model_id)
    serve_from = due(bot.journal, params, now_ms)
    if serve_from is not None:
        return params, serve_from, None
    rules = rules_in_force(bot.journal, rule, drift)
    if rules.breach is None and rules.drift is None:
        return None
    open_breach = unanswered(bot) or notice(bot, rules.breach, floor_hour(now_ms), rules.drift)
    return None if open_breach is None else (params, next_serve_hour(now_ms, params.gap_hours), open_breach)


def _train(
    bot: Bot,
    now_ms: int,
    params: Params,
    serve_from: int,
    occasion: TrainingCause,
    certifier: Certifier | None,
) -> ModelCard:
    return retrain(
        bot.journal,
        bot.collector,
        bot.forecaster_of,
        params,
        serve_from,
        bot.version,
        occasion,
        certifier=certifier,
        now_ms=now_ms,
    )


def unanswered(bot: Bot) -> Event[BreachEvent] | None:
    """The newest breach if no champion has answered it, else None."""
    breaches = bot.journal.events(BREACH)
    if not breaches:
        return None
    answered = {event.content.breach_number for event in bot.journal.events(CHAMPION)}
    return None if breaches[-1].number in answered else breaches[-1]


def notice(
    bot: Bot, rule: BreachRule | None, hour: int, drift: DriftRule | None = None
) -> Event[BreachEvent] | None:
    """Write a breach event if the hours up to the newest record breach a rule; None if they do not."""
    begun = deployment(bot.journal)
    newest = bot.journal.newest_record(hour, begun.start_ms) if begun else None
    if newest is None or newest.halted:
        return None  # a halted bot needs a person, not another model
    why = _bad(bot, rule, newest) if rule else None
    if why is None and drift is not None:
        why = _drifted(bot, drift, newest)
    return bot.journal.append(BreachEvent(bot.symbol, newest.close_time, why)) if why else None


def _earlier(bot: Bot) -> list[int]:
    """The hours of all breaches so far."""
    return [event.content.at_ms for event in bot.journal.events(BREACH)]


def _bad(bot: Bot, rule: BreachRule, newest: HourRecord) -> str | None:
    hour = newest.close_time
    then = bot.journal.record(hour - rule.hours * HOUR_MS)
    if then is None or epoch_between(bot.journal, then, newest):
        return None
    earlier = _earlier(bot)
    if not within_budget(rule.budget, hour, earlier):
        return None
    return breach(rule, standing_of(newest), standing_of(then), earlier[-1] if earlier else None)


def _drifted(bot: Bot, rule: DriftRule, newest: HourRecord) -> str | None:
    """Looked at in DRIFT_HOURS of hours and as many before as a prediction takes to be scored."""
    model = bot.model(newest.model_id)
    card, params = model.card, model.params
    hours = recent_hours(bot.journal, newest, DRIFT_HOURS + params.horizon_hours)
    if hours is None:
        return None
    earlier = _earlier(bot)
    if not within_budget(rule.budget, newest.close_time, earlier):
        return None
    return drifted(
        rule, newest.close_time, drift_of(hours, card, params, bot.symbol), earlier[-1] if earlier else None
    )
