"""How `trader retrain` trains: by a person's word, by the calendar or after a breach; after a search where one is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal
from trader.commands.check import certifier_of, told_if_refused
from trader.commands.common import answer, params_from
from trader.commands.search import search_of
from trader.core.errors import DataError, OtherSymbol
from trader.core.text import plural
from trader.core.types import iso, parse_hour
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.bot import Bot
    from trader.app.retrain_rules import Tuner
    from trader.commands.common import Traded
    from trader.config import Settings
    from trader.core.long_training import Epoch
    from trader.core.model import ModelCard
    from trader.core.params import Params


@dataclass(frozen=True, slots=True)
class Search:
    """A search of parameters before a training: of so many configurations, 0 for none."""

    trials: int
    seed: int
    workers: int

    @property
    def asked(self) -> Tuner | None:
        """The search that a person asked for, None without one."""

        def search(bot: Bot, base: Params, hour: int) -> Params:
            return search_of(bot, base, hour, self.trials, self.seed, self.workers)

        return search if self.trials else None

    def tuner(self, settings: Settings) -> Tuner | None:
        """The search that answers a breach, None where the settings want none."""
        from trader.app.retrain_rules import unanswered

        def search(bot: Bot, base: Params, hour: int) -> Params:
            # Another seed for each breach: a repeated search looks at other configurations, and at the serving ones.
            event = unanswered(bot)
            wanted, draw = self.trials or settings.retune_trials, self.seed + (event.number if event else 0)
            return search_of(bot, base, hour, wanted, draw, self.workers, warm=(base,))

        return search if settings.retune_trials else None


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What the command line asks of a training. params: a P.json. serve_from: the model's first hour, None for the next by the
    calendar. if_due: train only if the calendar or a breach asks for it. check: whether models must pass their certificates,
    None for what the settings say."""

    params: Path | None
    serve_from: str | None
    if_due: bool
    search: Search
    check: bool | None = None


def retrain_symbol(
    whole: Traded, request: TrainingRequest, share_fits: Callable[[Bot], Bot], as_json: bool
) -> None:
    """What `trader retrain` does for one symbol. share_fits: the bot with its models fitted where the command line says."""
    from trader import wiring

    settings = whole.settings
    with wiring.open_bot(settings, say=terminal.say) as bot:
        fitting = share_fits(bot)
        with told_if_refused(settings):
            card = _trained(bot, fitting, settings, whole.strategy, request)
        if card is not None:
            bot.collector.save()
    if card is None:
        answer({"retrained": False}, f"{bot.symbol}: no retrain is due", as_json)
        return
    fields = {
        "retrained": True,
        "model_id": card.model_id,
        "valid_from": iso(card.valid_from),
        "rows": card.rows,
    }
    model = f"model {card.model_id} ({card.family}) on {card.rows_in_words}"
    answer(fields, f"{bot.symbol}: {model} serves from {iso(card.valid_from)}", as_json)
    process.tell_observers(settings)


def _trained(
    bot: Bot, fitting: Bot, settings: Settings, strategy: Params | None, request: TrainingRequest
) -> ModelCard | None:
    """Train by the calendar or a breach, else now; None if nothing is due. Epochs of a long training are told. fitting: the bot
    with its models fitted where the command line says; a search fits its own here. strategy: what a book of one symbol gives."""
    from trader.app.retrain import next_serve_hour, retrain
    from trader.app.retrain_rules import retrain_if_due
    from trader.core.long_training import heard_by

    certifier, search = certifier_of(settings, bot, request.check), request.search
    with heard_by(_say_epochs()):
        now_ms = bot.exchange.time_ms()
        if request.if_due:
            tuner = search.tuner(settings)

            def here(_: Bot, base: Params, hour: int) -> Params:
                return base if tuner is None else tuner(bot, base, hour)

            return retrain_if_due(
                fitting, now_ms, settings.breach_rule, here if tuner else None, settings.drift_rule, certifier
            )
        chosen = strategy or params_from(request.params, _serving(bot, request.params))
        asked = request.serve_from
        hour = parse_hour(asked) if asked else next_serve_hour(now_ms, chosen.gap_hours)
        if search.asked:
            chosen = search.asked(bot, chosen, hour)
        return retrain(
            bot.journal, bot.collector, fitting.forecaster_of, chosen, hour, bot.version,
            certifier=certifier, now_ms=now_ms,
        )  # fmt: skip  # what is trained, then by whom it is examined and when


def _serving(bot: Bot, given: Path | None) -> Params | None:
    """The serving model's parameters; a card that is lost is no trouble where others are `given`."""
    from trader.app.retrain import newest_readable_params

    try:
        return newest_readable_params(bot.journal)
    except OtherSymbol:
        raise
    except DataError:
        if given is None:
            raise
        return None


def _say_epochs() -> Callable[[Epoch], None]:
    """Says each epoch: its loss, and the time that is left at most."""
    began, first = time.monotonic(), 0

    def say(epoch: Epoch) -> None:
        nonlocal first
        first = first or epoch.number
        each_s = (time.monotonic() - began) / (epoch.number - first + 1)
        left = plural(ceil((epoch.most - epoch.number) * each_s / 60), "minute")
        terminal.say(
            f"epoch {epoch.number} of at most {epoch.most}: loss {epoch.trained:.4f}, on held-back hours "
            f"{epoch.held_back:.4f}; {left} left at most"
        )

    return say
