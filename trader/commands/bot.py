"""The verbs of production: tick, retrain, run, halt, resume."""

from __future__ import annotations

from typing import Annotated

import typer

from trader import terminal
from trader.commands.check import Check
from trader.commands.common import (
    AsJson,
    BarsDir,
    BookFile,
    ParamsFile,
    StoreDir,
    Symbol,
    Symbols,
    answer,
    say_ticked,
    traded,
)
from trader.commands.schedule import CronJobFile, schedule_of
from trader.commands.search import CORES
from trader.commands.shared_fits import RayAddress, RayOpenPorts, TrainWorkers, sharing
from trader.commands.training import Search, TrainingRequest, retrain_symbol
from trader.config import load_settings
from trader.core.errors import ConfigError, Halt, TraderError
from trader.core.types import iso
from trader.observers import process


def tick(
    dry: Annotated[
        bool, typer.Option("--dry", help="decide, ask the venue with /order/test, write under dry/ only")
    ] = False,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
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

    whole = traded(load_settings(symbol=symbol, book=book, symbols=symbols, store=store, bars=bars), symbol)
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
    reason: Annotated[
        str | None,
        typer.Option(
            help="why the symbols of a running book change to those that are named now; trains the added ones alone"
        ),
    ] = None,
    write_off: Annotated[
        bool, typer.Option("--write-off", help="with --reason: give up what a removed symbol still holds")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="random seed of the search")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes that fit models at the same time")] = CORES,
    check: Check = None,
    train_workers: TrainWorkers = 1,
    ray_address: RayAddress = None,
    ray_open_ports: RayOpenPorts = False,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on what is known, publish it and name it champion from its hour on. The first one begins the bot.

    Example: trader retrain --params P.json
    """
    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store, bars=bars)
    whole = traded(settings, symbol, None if settings.book is not None else params)
    request = TrainingRequest(params, serve_from, if_due, Search(trials, seed, workers), check)
    if whole.book is None:
        if reason is not None or write_off:
            raise ConfigError(
                "--reason and --write-off are of a book whose list of symbols changes; name it: --book or --symbols"
            )
        retrain_symbol(
            whole, request, lambda bot: sharing(bot, train_workers, ray_address, ray_open_ports), as_json
        )
        return
    if train_workers > 1:
        raise ConfigError(
            f"--train-workers shares the fit of one symbol's model; leave it out with {book or 'a book'}"
        )
    from trader.commands.book_training import retrain_book

    retrain_book(whole.settings, whole.book, request, reason, write_off, as_json)


def run(
    context: typer.Context,
    cron_job: CronJobFile = None,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="also tick as soon as a stream of klines says that a bar has closed; default: the setting stream, off",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="log lines as JSON, as TRADER_LOG_FORMAT=json does")
    ] = False,
) -> None:
    """Tick once now, then by the schedule until SIGTERM. Ticks run inside this process, other jobs of the schedule as child
    processes.

    With --stream the schedule runs unchanged; the stream only lets a tick begin earlier: docs/streams.md.

    Example: trader run --cron-job cron-job --stream
    """
    from trader.commands import service

    if as_json:
        terminal.log_as_json()
    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store, bars=bars, stream=stream)
    service.run(*schedule_of(cron_job, context), settings)


def halt(
    reason: Annotated[str, typer.Option(help="why, for whoever reads it later")],
    freeze: Annotated[
        bool, typer.Option("--freeze", help="keep what is held; default: the next tick sells it")
    ] = False,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Stop trading until a person resumes it: of a symbol, or of a whole book.

    Example: trader halt --reason "exchange announced maintenance"
    """
    from trader import wiring
    from trader.app.halts import announce, standing_halt

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
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
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Lift a halt, of a symbol or of a whole book: the next hour begins a new risk epoch at its equity.

    Example: trader resume --reason "model checked, limit meant for another allocation"
    """
    from trader import wiring
    from trader.app.halts import newest_event, resume
    from trader.core.events import ResumeEvent

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
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
