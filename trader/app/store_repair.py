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
from contextlib import suppress
from dataclasses import replace
from typing import Any

from trader.app.adoption import made_after_the_fact
from trader.app.bot import Bot
from trader.app.codec import ATTEMPT, DECISION, OUTCOME, RECORD
from trader.app.codec_events import ACCOUNT, FORMATS, HALT
from trader.app.journal import event_key, hour_folder, hour_of_key
from trader.app.layout import keys_of
from trader.app.orders import MAX_ATTEMPTS, order_name, outcome_of, parent_of
from trader.app.proposal import propose
from trader.app.retrain import (
    ASKED,
    Occasion,
    champions,
    deployment,
    load_model,
    next_serve_hour,
    params_near,
    retrain,
)
from trader.app.stored import Format
from trader.app.tick import require_sound
from trader.core.errors import DataError, OtherSymbol
from trader.core.events import AnyEvent, DeploymentEvent, HaltEvent, IgnoreEvent, ResumeEvent
from trader.core.hours import MISSED
from trader.core.lifecycle import serving
from trader.core.ports import OrderState
from trader.core.records import Attempt, Decision, HourRecord, Order, Outcome, record_of
from trader.core.types import FAR_FUTURE_MS, HOUR_MS, Fill, Target, floor_hour, iso

# An order that was signed at the deadline cannot arrive later than this after it.
LATEST_MS = 70_000


def repair(bot: Bot) -> Iterator[str]:
    """Make again what follows from other objects; each thing that was done, in words, as soon as it is done.

    Raises DataError for what cannot be made again, with its key; what was done before stays done.
    """
    for name in FORMATS:
        yield from _events(bot, name)
    yield from _deployment(bot)
    begun = deployment(bot.journal)
    if begun is None:
        return
    newest: HourRecord | None = None
    current = floor_hour(bot.exchange.time_ms())
    for hour in range(begun.start_ms, current + HOUR_MS, HOUR_MS):
        key = f"{hour_folder(bot.symbol, hour)}/decision"
        data = bot.journal.store.get(key)
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
    yield from _model(bot)


def _deployment(bot: Bot) -> Iterator[str]:
    """The deployment from the oldest hour, where it is lost."""
    oldest = next(iter(bot.journal.store.list(f"journal/{bot.symbol}/", limit=1)), None)
    if oldest is not None and deployment(bot.journal) is None:
        event = bot.journal.append(DeploymentEvent(bot.symbol, hour_of_key(oldest)))
        yield f"{event_key(bot.symbol, event.name, event.number)}: made again from the oldest hour"


def _put(bot: Bot, key: str, data: bytes) -> None:
    """Put an object in the place of a damaged one, which is kept."""
    there = bot.journal.store.get(key)
    if there is not None:
        bot.journal.store.put(f"damaged/{key}", there)
    bot.journal.store.put(key, data)


def _read(bot: Bot, form: Format[Any], key: str) -> tuple[Any, bool]:
    """The object, and whether something is there that is none. Raises OtherSymbol."""
    data = bot.journal.store.get(key)
    if data is None:
        return None, False
    try:
        return form.decode(key, data, bot.symbol), False
    except OtherSymbol:
        raise
    except DataError:
        return None, True


def _events(bot: Bot, name: str) -> Iterator[str]:
    """Events from what later ones say of them."""
    form, folder = FORMATS[name], f"state/{bot.symbol}/{name}/"
    known: dict[int, AnyEvent] = {}
    damaged: list[int] = []
    numbers = [int(key.rsplit("/", 1)[1]) for key in keys_of(bot.journal.store, folder)]
    for event in _lost(bot, name, max(numbers, default=0)):
        made = bot.journal.append(event)
        numbers.append(made.number)
        yield f"{event_key(bot.symbol, name, made.number)}: lost, and made again as far as the newest record says it"
    for number in range(1, max(numbers, default=0) + 1):
        key = event_key(bot.symbol, name, number)
        data = bot.journal.store.get(key)
        try:
            event, earlier = form.decode_all(key, data or b"", bot.symbol)
        except OtherSymbol:
            raise
        except DataError:
            damaged.append(number)
            continue
        known.update(enumerate([*(earlier or ()), event], number - len(earlier or ())))
    for number in damaged:
        key = event_key(bot.symbol, name, number)
        before = [known[n] for n in range(1, number) if n in known]
        if number not in known or len(before) != number - 1:
            raise DataError(f"{key} is damaged, and no later event says what it was; restore it from a copy")
        _put(bot, key, form.encode_after(known[number], secrets.token_hex(8), before))
        yield f"{key}: made again from a later event"


def _lost(bot: Bot, name: str, there: int) -> Iterator[HaltEvent | ResumeEvent | IgnoreEvent]:
    """Events in the place of those that the newest record has taken in and that no object holds any more: what they came to is
    what the record says."""
    if name not in (HALT.name, ACCOUNT.name) or not (begun := deployment(bot.journal)):
        return
    newest: HourRecord | None = None
    with suppress(
        DataError
    ):  # a torn record is made again after this; then a repeated repair sees what it says
        newest = bot.journal.newest_record(floor_hour(bot.exchange.time_ms()), begun.start_ms)
    totals = newest.totals if newest else None
    said, at_ms = "made again by trader store repair; what it was is lost", newest.close_time if newest else 0
    if totals is not None and newest is not None and name == HALT.name:
        for _ in range(there, totals.halt_event):
            if newest.halted:
                yield HaltEvent(
                    bot.symbol, at_ms, newest.risk.halt_reason or "", newest.risk.frozen, "bot", said
                )
            else:
                yield ResumeEvent(bot.symbol, at_ms, "bot", said)
    elif totals is not None:
        for number in range(there, totals.account_event):
            yield IgnoreEvent(bot.symbol, at_ms, "bot", said, f"lost-{number + 1}", at_ms)


def _flattened(bot: Bot, first: int, current: int) -> Iterator[str]:
    """Outcomes of sales at once, in the hours since the newest record but one."""
    for hour in range(max(first, current - 24 * HOUR_MS), current + HOUR_MS, HOUR_MS):
        for n in range(1, MAX_ATTEMPTS + 1):
            key = f"{hour_folder(bot.symbol, hour)}/flatten_outcome-{n}"
            _, damaged = _read(bot, OUTCOME, key)
            attempt = bot.journal.attempt(hour, n, "flatten_") if damaged else None
            if attempt is not None:
                outcome = _outcome(bot, attempt, key)
                _put(bot, key, OUTCOME.encode(outcome, secrets.token_hex(8)))
                yield f"{key}: made again from the venue's answer ({outcome.kind})"


def _decision(
    bot: Bot, hour: int, current: int, newest: HourRecord | None, key: str, data: bytes
) -> tuple[Decision, list[str]]:
    closed = bot.journal.store.get(f"{hour_folder(bot.symbol, hour)}/record") is not None
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
        _sent(bot, hour),
        bot.journal.attempt(hour, 1),
    )
    made = proposal
    if orders:
        made = made_after_the_fact(bot.journal, proposal, orders)
    elif attempt is not None:  # it never arrived, which the next tick proves
        order = Order(attempt.side, attempt.qty, attempt.expected_price)
        side: Target = "long" if attempt.side == "BUY" else "flat"
        made = replace(proposal, order=order, target=side, reason="enter" if side == "long" else "leave")
    _put(bot, key, DECISION.encode(made, secrets.token_hex(8)))
    what = "missed" if made.reason == MISSED else made.reason
    return made, [f"{key}: decided anew ({what})"]


def _sent(bot: Bot, hour: int) -> list[OrderState]:
    """What the venue executed under the attempts of an hour."""
    attempts = [a for n in range(1, MAX_ATTEMPTS + 1) if (a := bot.journal.attempt(hour, n)) and not a.void]
    found = (bot.exchange.find(bot.symbol, attempt.client_order_id) for attempt in attempts)
    return [order for order in found if order is not None and order.executed_qty]


def _fills(bot: Bot, hour: int, decision: Decision) -> tuple[list[Fill], list[str]]:
    """What was executed of an hour's order, by its outcomes; damaged and lost ones are asked for at the venue."""
    fills: list[Fill] = []
    said: list[str] = []
    for n in range(1, MAX_ATTEMPTS + 1):
        folder = hour_folder(bot.symbol, hour)
        attempt, damaged = _read(bot, ATTEMPT, f"{folder}/attempt-{n}")
        if damaged:
            attempt = _attempt(bot, decision, n)
            _put(bot, f"{folder}/attempt-{n}", ATTEMPT.encode(attempt, secrets.token_hex(8)))
            said.append(f"{folder}/attempt-{n}: made again from the decision and the venue's answer")
        if attempt is None:
            break
        key = f"{folder}/outcome-{n}"
        outcome, damaged = _read(bot, OUTCOME, key)
        closed = bot.journal.store.get(f"{folder}/record") is not None
        if damaged or (outcome is None and closed):
            outcome = _outcome(bot, attempt, key)
            _put(bot, key, OUTCOME.encode(outcome, secrets.token_hex(8)))
            said.append(f"{key}: made again from the venue's answer ({outcome.kind})")
        fills += outcome.fills if outcome else ()
    return fills, said


def _attempt(bot: Bot, decision: Decision, n: int) -> Attempt:
    """Attempt n of a decision, as the venue knows it; void where the venue does not, once it cannot come any more. Raises
    DataError before that."""
    parent = parent_of(decision)
    if parent is None:
        raise DataError(
            f"{hour_folder(bot.symbol, decision.close_time)}/attempt-{n}: there is no order to carry out"
        )
    name = order_name(bot.context, parent, n)
    known, now = bot.exchange.find(bot.symbol, name), bot.exchange.time_ms()
    if known is None and now <= parent.deadline_ms + LATEST_MS:
        raise DataError(
            f"order {name} may still arrive; ask again after {iso(parent.deadline_ms + LATEST_MS)}"
        )
    at_ms = known.transact_ms if known else now
    order = bot.exchange.sign(bot.symbol, parent.order.side, parent.order.qty, name, at_ms)
    return Attempt(
        symbol=bot.symbol,
        void=known is None,
        side=order.side,
        qty=order.qty,
        expected_price=parent.order.expected_price,
        balances=None,
        client_order_id=name,
        timestamp_ms=order.timestamp_ms,
        recv_window_ms=order.recv_window_ms,
        expires_at_ms=order.expires_at_ms,
    )


def _outcome(bot: Bot, attempt: Attempt, key: str) -> Outcome:
    if attempt.void:
        return Outcome(bot.symbol, "void", (), "not sent")
    state = bot.exchange.find(bot.symbol, attempt.client_order_id)
    if state is None:
        return Outcome(bot.symbol, "absent", (), "the venue does not know it")
    if not state.final:
        raise DataError(
            f"{key}: damaged, and order {attempt.client_order_id} is {state.status}; ask again later"
        )
    return outcome_of(
        bot.symbol, state, bot.exchange.fills(bot.symbol, state.order_id) if state.executed_qty else []
    )


def _record(
    bot: Bot, hour: int, decision: Decision, fills: list[Fill]
) -> tuple[HourRecord | None, list[str]]:
    """The record of an hour: None while it is open, which the next tick closes."""
    key = f"{hour_folder(bot.symbol, hour)}/record"
    record, damaged = _read(bot, RECORD, key)
    later = f"{hour_folder(bot.symbol, hour + HOUR_MS)}/decision"
    lost = record is None and not damaged and bot.journal.store.get(later) is not None
    if not damaged and not lost:
        return record, []
    made = record_of(decision, fills)
    _put(bot, key, RECORD.encode(made, secrets.token_hex(8)))
    return made, [f"{key}: made again from the decision and its outcomes"]


def _model(bot: Bot) -> Iterator[str]:
    """Another model where the one that serves from the newest hour on is not whole."""
    champion = serving(champions(bot.journal), FAR_FUTURE_MS)
    if champion is None:
        return
    try:
        load_model(bot.journal, champion.model_id)
    except OtherSymbol:
        raise
    except DataError as error:
        params = params_near(bot.journal, champion.model_id)
        hour = next_serve_hour(bot.exchange.time_ms(), params.gap_hours)
        occasion = Occasion(ASKED.cause, f"repair: {error}"[:200])
        card = retrain(bot.journal, bot.collector, bot.forecaster_of, params, hour, bot.version, occasion)
        yield f"models/{champion.model_id}: not whole; {card.model_id} was trained and serves from its hour on"
