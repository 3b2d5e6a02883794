"""`trader doctor`: every thing a bot needs, looked at once, with what to do about what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trader.commands.common import AsJson, BarsDir, BookFile, StoreDir, Symbol, Symbols, traded
from trader.commands.doctor_parts import clock_finding, disk_finding, how_to_start, report
from trader.commands.schedule import CronJobFile, schedule_of
from trader.commands.stream_parts import stream_finding
from trader.config import load_settings
from trader.core.types import floor_hour

if TYPE_CHECKING:
    from trader.app.doctor import Check, Finding


def doctor(
    context: typer.Context,
    cron_job: CronJobFile = None,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    bars: BarsDir = None,
    as_json: AsJson = False,
) -> None:
    """Check keys and their rights, clock, filters, bars, store, model, disk and schedule; of a book for every symbol. Trades
    nothing.

    Exit 0 if nothing failed, else 2. Example: TRADER_VENUE=testnet trader doctor
    """
    from trader import wiring
    from trader.app.doctor import examine
    from trader.app.doctor_costs import costs_check
    from trader.observers.names import names_of

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store, bars=bars)
    if symbol is None:
        whole = traded(settings)
        settings = whole.settings
        if whole.book is not None:
            from trader.commands.book_doctor import doctor_book

            doctor_book(settings, whole.book, lambda: schedule_finding(cron_job, context), as_json)
            return
    with wiring.open_bot(settings) as bot:
        from trader.app import doctor as checks

        def hour() -> int:
            return floor_hour(bot.exchange.time_ms())

        asked: dict[str, Check] = {
            "exchange": lambda: checks.exchange_check(
                bot.exchange, settings.exchange_url, how_to_start(settings)
            ),
            "clock": lambda: clock_finding(bot),
            "filters": lambda: checks.filters_check(bot.exchange, bot.symbol),
            "bars": lambda: checks.data_check(bot),
            "store": lambda: checks.store_check(bot.journal.store),
            "disk": lambda: disk_finding(settings),
            "model": lambda: checks.model_check(bot.journal, hour(), bot.forecaster_of),
            "hours": lambda: checks.hours_check(bot.journal, hour()),
            "halt": lambda: checks.halt_check(bot.journal),
            "ticks": lambda: checks.trouble_check(bot.journal),
            "observers": lambda: checks.observers_check(bot.journal, names_of(settings)),
            "account": lambda: checks.account_check(bot),
            "costs": lambda: costs_check(bot),
            "rights": lambda: checks.rights_check(bot.exchange, bot.symbol),
            "schedule": lambda: schedule_finding(cron_job, context),
        }
        if settings.stream:
            asked["stream"] = lambda: stream_finding(settings, [bot.symbol])
        report(examine(asked), as_json)


def schedule_finding(cron_job: Path | None, context: typer.Context) -> Finding:
    """The schedule that `trader run` would follow."""
    from trader.app.doctor import schedule_check

    jobs, path = schedule_of(cron_job, context)
    return schedule_check(len(jobs), [job.when for job in jobs if job.is_tick], path)
