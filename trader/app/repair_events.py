"""Events that are made again: from what later ones carry, from the newest record, from the oldest hour."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress

from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT, FORMATS, HALT
from trader.app.event_log import event_key
from trader.app.journal import hour_of_key
from trader.app.layout import keys_of
from trader.app.repaired import put, raw
from trader.app.retrain import deployment
from trader.core.errors import DataError, OtherSymbol
from trader.core.events import AnyEvent, DeploymentEvent, HaltEvent, IgnoreEvent, ResumeEvent
from trader.core.records import HourRecord
from trader.core.types import floor_hour


def lost_deployment(bot: Bot) -> Iterator[str]:
    """The deployment from the oldest hour, where it is lost."""
    oldest = next(iter(bot.journal.store.list(f"journal/{bot.symbol}/", limit=1)), None)
    if oldest is not None and deployment(bot.journal) is None:
        event = bot.journal.append(DeploymentEvent(bot.symbol, hour_of_key(oldest)))
        yield f"{event_key(bot.symbol, event.name, event.number)}: made again from the oldest hour"


def lost_events(bot: Bot, name: str) -> Iterator[str]:
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
        data = raw(bot, key)
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
        put(bot, key, form.encode_after(known[number], secrets.token_hex(8), before))
        yield f"{key}: made again from a later event"


def _lost(bot: Bot, name: str, there: int) -> Iterator[HaltEvent | ResumeEvent | IgnoreEvent]:
    """Events in the place of those that the newest record has taken in and that no object holds any more: what they came to is
    what the record says."""
    if name not in (HALT.name, ACCOUNT.name) or not (begun := deployment(bot.journal)):
        return
    newest: HourRecord | None = None
    # A torn record is made again after this; then a repeated repair sees what it says.
    with suppress(DataError):
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
