"""The verbs of production: tick, retrain, run, halt, resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.commands.common import (
    AsJson,
    BarsDir,
    BookFile,
    ParamsFile,
    StoreDir,
    Symbol,
    answer,
    params_from,
    say_ticked,
    traded,
)
from trader.commands.schedule import CronJobFile, schedule_of
from trader.commands.search import CORES, search_of
from trader.commands.shared_fits import RayAddress, RayOpenPorts, TrainWorkers, sharing
from trader.config import load_settings
from trader.core.errors import ConfigError, DataError, Halt, OtherSymbol, TraderError
from trader.core.text import plural
from trader.core.types import iso, parse_hour
from trader.observers import process

if TYPE_CHECKING:
    from trader.app.bot import Bot
    from trader.app.retrain_rules import Tuner
    from trader.config import Settings
    from trader.core.long_training import Epoch
    from trader.core.model import ModelCard
    from trader.core.params import Params


def tick(
    dry: Annotated[
        bool, typer.Option("--dry", help="decide, ask the venue with /order/test, write under dry/ only")
    ] = False,
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Close the current hour, exactly once: safe to repeat, to run concurrently, and after a crash. Exit 4 while halted.

    Example: TRADER_VENUE=testnet trader tick
    """
    from trader import wiring
    from trader.app.dry import dry_tick
    from trader.app.tick import tick as do_tick
    from trader.app.trouble import failed
    from trader.core.hours import line_json

    whole = traded(load_settings(symbol=symbol, book=book, store=store, bars=bars), symbol)
    settings = whole.settings
    if whole.book is not None:
        from trader.commands import book as books

        books.tick(settings, whole.book, dry, as_json)
        return
    with wiring.open_bot(settings, say=terminal.say) as bot:
        if dry:
            seen = dry_tick(bot)
            answer(seen.as_json(), seen.message, as_json)
            return
        try:
            ticked = do_tick(bot)
        except TraderError as error:
            # A halt is in the store, and news; so is trouble that begins.
            if failed(bot.journal, bot.exchange, bot.clock, error) or isinstance(error, Halt):
                process.tell_observers(settings)
            raise
    said = {
        "outcome": ticked.outcome,
        "hour": iso(ticked.hour),
        "lines": [line_json(line) for line in ticked.lines],
        "halted": ticked.halted,
    }
    answer(said, ticked.message, as_json)
    if terminal.logs_json():
        say_ticked(bot.journal, ticked)
    if ticked.outcome != "not_begun":
        process.tell_after_tick(settings, bot.journal, ticked.hour, closed=bool(ticked.lines))
    if ticked.halted:
        terminal.say("trading is halted; see: trader status")
        raise SystemExit(Halt.exit_code)


def retrain(
    params: ParamsFile = None,
    trials: Annotated[
        int,
        typer.Option(
            min=0,
            help="search this many configurations first, of the family that --params or the serving model names",
        ),
    ] = 0,
    serve_from: Annotated[
        str | None, typer.Option(help="the model's first hour; default: the next by the calendar")
    ] = None,
    if_due: Annotated[
        bool,
        typer.Option(
            "--if-due", help="train only if the calendar or a breach asks for it; default: train now"
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="random seed of the search")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes that fit models at the same time")] = CORES,
    train_workers: TrainWorkers = 1,
    ray_address: RayAddress = None,
    ray_open_ports: RayOpenPorts = False,
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on what is known, publish it and name it champion from its hour on. The first one begins the bot.

    Example: trader retrain --params P.json
    """
    from trader import wiring

    whole = traded(load_settings(symbol=symbol, book=book, store=store, bars=bars), symbol)
    settings, search = whole.settings, Search(trials, seed, workers)
    if params is not None and book is not None:
        raise ConfigError(
            f"--params {params} is of one symbol; name it in {book}: params, or params_by_symbol"
        )
    if whole.book is not None:
        from trader.commands import book as books

        if train_workers > 1:
            raise ConfigError(
                f"--train-workers shares the fit of one symbol's model; leave it out with {book or 'a book'}"
            )
        books.train(settings, whole.book, serve_from, if_due, search.asked, search.tuner(settings), as_json)
        return
    with wiring.open_bot(settings, say=terminal.say) as bot:
        fitting = sharing(bot, train_workers, ray_address, ray_open_ports)
        card = _retrain(bot, fitting, settings, params, whole.strategy, search, serve_from, if_due)
        if card is not None:
            bot.collector.save()
    if card is None:
        answer({"retrained": False}, f"{bot.symbol}: no retrain is due", as_json)
        return
    said = {
        "retrained": True,
        "model_id": card.model_id,
        "valid_from": iso(card.valid_from),
        "rows": card.rows,
    }
    answer(
        said,
        f"{bot.symbol}: model {card.model_id} ({card.family}) on {plural(card.rows, 'hour')} serves from {iso(card.valid_from)}",
        as_json,
    )
    process.tell_observers(settings)


def run(
    context: typer.Context,
    cron_job: CronJobFile = None,
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="log lines as JSON, as TRADER_LOG_FORMAT=json does")
    ] = False,
) -> None:
    """Tick once now, then by the schedule until SIGTERM. Ticks run inside this process, other jobs of the schedule as child
    processes.

    Example: trader run --cron-job cron-job
    """
    from trader.commands import service

    if as_json:
        terminal.log_as_json()
    settings = load_settings(symbol=symbol, book=book, store=store, bars=bars)
    service.run(*schedule_of(cron_job, context), settings)


def halt(
    reason: Annotated[str, typer.Option(help="why, for whoever reads it later")],
    freeze: Annotated[
        bool, typer.Option("--freeze", help="keep what is held; default: the next tick sells it")
    ] = False,
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Stop trading until a person resumes it: of a symbol, or of a whole book.

    Example: trader halt --reason "exchange announced maintenance"
    """
    from trader import wiring
    from trader.app.halts import announce, standing_halt

    settings = load_settings(symbol=symbol, book=book, store=store)
    if symbol is None and (whole := traded(settings)).book is not None:
        from trader.commands import book as books

        books.halt(settings, whole.book, reason, freeze, as_json)
        return
    journal = wiring.make_journal(settings)
    was = standing_halt(journal)
    now_ms = wiring.make_clock(settings).now_ms()
    event = announce(journal, now_ms, "person", freeze=freeze, by="person", message=reason)
    before = f" (it was halted already: {was.reason})" if was else ""
    words = f"{journal.symbol}: halted{before}; the next tick {'keeps' if freeze else 'sells'} what is held"
    answer({"halted": True, "event": event.number, "freeze": freeze}, words, as_json)
    process.tell_observers(settings)


def resume(
    reason: Annotated[str, typer.Option(help="what was found and mended")],
    symbol: Symbol = None,
    book: BookFile = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Lift a halt, of a symbol or of a whole book: the next hour begins a new risk epoch at its equity.

    Example: trader resume --reason "model checked, limit meant for another allocation"
    """
    from trader import wiring
    from trader.app.halts import newest_event, resume
    from trader.core.events import ResumeEvent

    settings = load_settings(symbol=symbol, book=book, store=store)
    if symbol is None and (whole := traded(settings)).book is not None:
        from trader.commands import book as books

        books.resume(settings, whole.book, reason, as_json)
        return
    journal = wiring.make_journal(settings)
    newest = newest_event(journal)
    if newest is not None and isinstance(newest.content, ResumeEvent):
        event, words = (
            newest,
            f"{journal.symbol}: nothing is halted, it was resumed at {iso(newest.content.at_ms)}",
        )
    else:
        event = resume(journal, wiring.make_clock(settings).now_ms(), reason)
        words = f"{journal.symbol}: resumed; limits count anew from the next hour's equity"
    answer({"halted": False, "event": event.number}, words, as_json)
    process.tell_observers(settings)


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


def _retrain(
    bot: Bot,
    fitting: Bot,
    settings: Settings,
    params: Path | None,
    strategy: Params | None,
    search: Search,
    serve_from: str | None,
    if_due: bool,
) -> ModelCard | None:
    """Train by the calendar or a breach (`if_due`), else now; None if nothing is due. Epochs of a long training are told.
    fitting: the bot with its models fitted where the command line says; a search fits its own here."""
    from trader.app.retrain import next_serve_hour, retrain
    from trader.app.retrain_rules import retrain_if_due
    from trader.core.long_training import heard_by

    with heard_by(_say_epochs()):
        now_ms = bot.exchange.time_ms()
        if if_due:
            tuner = search.tuner(settings)

            def here(_: Bot, base: Params, hour: int) -> Params:
                return base if tuner is None else tuner(bot, base, hour)

            return retrain_if_due(
                fitting, now_ms, settings.breach_rule, here if tuner else None, settings.drift_rule
            )
        chosen = strategy or params_from(params, _serving(bot, params))
        hour = parse_hour(serve_from) if serve_from else next_serve_hour(now_ms, chosen.gap_hours)
        if search.asked:
            chosen = search.asked(bot, chosen, hour)
        return retrain(bot.journal, bot.collector, fitting.forecaster_of, chosen, hour, bot.version)


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
