"""What follows from other objects of a store is made again; what was there is kept under `damaged/`.

- an event that a later one carries;
- the record of an hour, from its decision and outcomes;
- the outcome of an attempt, from the venue;
- the decision of the hour that is open, where it is damaged or does not follow from the hour before: from what the venue
  executed under its attempts, else it is decided anew, or missed;
- a model that serves and is lost: another is trained, with the parameters of the newest card that can be read.

Safe to repeat. Nothing is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

from trader.app.adoption import made_after_the_fact
from trader.app.bot import Bot
from trader.app.certificates import Certifier
from trader.app.codec import ATTEMPT, DECISION, OUTCOME, RECORD
from trader.app.codec_events import FORMATS
from trader.app.journal import hour_folder
from trader.app.orders import MAX_ATTEMPTS
from trader.app.proposal import propose
from trader.app.repair_events import lost_deployment, lost_events
from trader.app.repair_orders import attempt_of, outcome_now, sent
from trader.app.repaired import put, raw, read
from trader.app.retrain import (
    ASKED,
    TrainingCause,
    champions,
    deployment,
    load_model,
    next_serve_hour,
    params_or_newest_readable,
    retrain,
)
from trader.app.tick_checks import require_sound
from trader.core.errors import DataError, OtherSymbol
from trader.core.hours import MISSED
from trader.core.lifecycle import serving
from trader.core.records import Decision, HourRecord, Order, record_of
from trader.core.types import FAR_FUTURE_MS, HOUR_MS, Fill, Target, floor_hour


def repair(bot: Bot, certifier: Certifier | None = None) -> Iterator[str]:
    """Make again what follows from other objects; each thing that was done, in words, as soon as it is done.

    Raises DataError for what cannot be made again, with its key; what was done before stays done.
    """
    for name in FORMATS:
        yield from lost_events(bot, name)
    yield from lost_deployment(bot)
    begun = deployment(bot.journal)
    if begun is None:
        return
    newest: HourRecord | None = None
    current = floor_hour(bot.exchange.time_ms())
    for hour in range(begun.start_ms, current + HOUR_MS, HOUR_MS):
        key = f"{hour_folder(bot.symbol, hour)}/decision"
        data = raw(bot, key)
        if data is None:
            break
        decision, said = _decision(bot, hour, current, newest, key, data)
        yield from said
        fills, said = _fills(bot, hour, decision)
        yield from said
        newest, said = _record(bot, hour, decision, fills)
        yield from said
        if newest is None:
            break
    yield from _flattened(bot, begun.start_ms, current)
    yield from _model(bot, certifier)


def _flattened(bot: Bot, first: int, current: int) -> Iterator[str]:
    """Outcomes of sales at once, in the hours since the newest record but one."""
    for hour in range(max(first, current - 24 * HOUR_MS), current + HOUR_MS, HOUR_MS):
        for n in range(1, MAX_ATTEMPTS + 1):
            key = f"{hour_folder(bot.symbol, hour)}/flatten_outcome-{n}"
            _, damaged = read(bot, OUTCOME, key)
            attempt = bot.journal.attempt(hour, n, "flatten_") if damaged else None
            if attempt is not None:
                outcome = outcome_now(bot, attempt, key)
                put(bot, key, OUTCOME.encode(outcome, secrets.token_hex(8)))
                yield f"{key}: made again from the venue's answer ({outcome.kind})"


def _decision(
    bot: Bot, hour: int, current: int, newest: HourRecord | None, key: str, data: bytes
) -> tuple[Decision, list[str]]:
    closed = raw(bot, f"{hour_folder(bot.symbol, hour)}/record") is not None
    try:
        decision = DECISION.decode(key, data, bot.symbol)
        if not closed:
            require_sound(bot, decision, newest)
    except OtherSymbol:
        raise
    except DataError:
        if closed:
            raise
    else:
        return decision, []
    proposal, orders, attempt = (
        propose(bot, hour, current, newest),
        sent(bot, hour),
        bot.journal.attempt(hour, 1),
    )
    made = proposal
    if orders:
        made = made_after_the_fact(bot.journal, proposal, orders)
    elif attempt is not None:  # it never arrived, which the next tick proves
        order = Order(attempt.side, attempt.qty, attempt.expected_price)
        side: Target = "long" if attempt.side == "BUY" else "flat"
        made = replace(proposal, order=order, target=side, reason="enter" if side == "long" else "leave")
    put(bot, key, DECISION.encode(made, secrets.token_hex(8)))
    what = "missed" if made.reason == MISSED else made.reason
    return made, [f"{key}: decided anew ({what})"]


def _fills(bot: Bot, hour: int, decision: Decision) -> tuple[list[Fill], list[str]]:
    """What was executed of an hour's order, by its outcomes; damaged and lost ones are asked for at the venue."""
    fills: list[Fill] = []
    said: list[str] = []
    for n in range(1, MAX_ATTEMPTS + 1):
        folder = hour_folder(bot.symbol, hour)
        attempt, damaged = read(bot, ATTEMPT, f"{folder}/attempt-{n}")
        if damaged:
            attempt = attempt_of(bot, decision, n)
            put(bot, f"{folder}/attempt-{n}", ATTEMPT.encode(attempt, secrets.token_hex(8)))
            said.append(f"{folder}/attempt-{n}: made again from the decision and the venue's answer")
        if attempt is None:
            break
        key = f"{folder}/outcome-{n}"
        outcome, damaged = read(bot, OUTCOME, key)
        closed = raw(bot, f"{folder}/record") is not None
        if damaged or (outcome is None and closed):
            outcome = outcome_now(bot, attempt, key)
            put(bot, key, OUTCOME.encode(outcome, secrets.token_hex(8)))
            said.append(f"{key}: made again from the venue's answer ({outcome.kind})")
        fills += outcome.fills if outcome else ()
    return fills, said


def _record(
    bot: Bot, hour: int, decision: Decision, fills: list[Fill]
) -> tuple[HourRecord | None, list[str]]:
    """The record of an hour: None while it is open, which the next tick closes."""
    key = f"{hour_folder(bot.symbol, hour)}/record"
    record, damaged = read(bot, RECORD, key)
    later = f"{hour_folder(bot.symbol, hour + HOUR_MS)}/decision"
    lost = record is None and not damaged and raw(bot, later) is not None
    if not damaged and not lost:
        return record, []
    made = record_of(decision, fills)
    put(bot, key, RECORD.encode(made, secrets.token_hex(8)))
    return made, [f"{key}: made again from the decision and its outcomes"]


def _model(bot: Bot, certifier: Certifier | None) -> Iterator[str]:
    """Another model where the one that serves from the newest hour on is not whole."""
    champion = serving(champions(bot.journal), FAR_FUTURE_MS)
    if champion is None:
        return
    try:
        load_model(bot.journal, champion.model_id)
    except OtherSymbol:
        raise
    except DataError as error:
        params = params_or_newest_readable(bot.journal, champion.model_id)
        now_ms = bot.exchange.time_ms()
        hour = next_serve_hour(now_ms, params.gap_hours)
        occasion = TrainingCause(ASKED.cause, f"repair: {error}"[:200])
        card = retrain(
            bot.journal,
            bot.collector,
            bot.forecaster_of,
            params,
            hour,
            bot.version,
            occasion,
            certifier=certifier,
            now_ms=now_ms,
        )
        yield f"models/{champion.model_id}: not whole; {card.model_id} was trained and serves from its hour on"
