"""`trader health`: what a container platform asks every few minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.app.health import WITHIN_MINUTES, alive_hour
from trader.commands.common import AsJson, BookFile, StoreDir, Symbol, Symbols, answer, hour_clock, traded
from trader.config import Settings, load_settings
from trader.core.errors import Retry
from trader.core.text import plural
from trader.core.types import iso

if TYPE_CHECKING:
    from trader.adapters.book_file import BookFile as BookOfFile

MOST_NAMED = 8


def health(
    within_minutes: Annotated[
        int, typer.Option(min=1, max=1440, help="how old the newest closed hour may be")
    ] = WITHIN_MINUTES,
    symbol: Symbol = None,
    book: BookFile = None,
    symbols: Symbols = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Exit 0 if an hour was closed lately, 3 if not. A halted bot closes its hours, and is healthy. A book is healthy while it
    speaks and half of its symbols or more close their hours: one that cannot is no reason to start all anew.

    Minutes are those of the embedded exchange's clock where the bot trades there. Example: trader health --within-minutes 75
    """
    from trader import wiring

    settings = load_settings(symbol=symbol, book=book, symbols=symbols, store=store)
    if symbol is None:
        whole = traded(settings)
        settings = whole.settings
        if whole.book is not None:
            _health_book(settings, whole.book, within_minutes, as_json)
            return
    journal = wiring.make_journal(settings)
    clock = hour_clock(settings)
    instead = "" if clock.answered else f" ({clock.words}, so this is by this machine's clock)"
    record = alive_hour(journal, clock.now_ms, within_minutes)
    if record is None:
        raise Retry(
            f"{journal.symbol}: no hour was closed in the last {plural(within_minutes, 'minute')}{instead}; see: trader status"
        )
    hour = iso(record.close_time)
    answer({"healthy": True, "hour": hour}, f"{journal.symbol}: {hour} is closed{instead}", as_json)


def _health_book(settings: Settings, book: BookOfFile, within_minutes: int, as_json: bool) -> None:
    """Exit 0 while most symbols close their hours, else 3; those that do not are named."""
    from trader.observers.book_pages import journals_of

    _, journals = journals_of(settings, book)
    clock = hour_clock(settings)
    instead = "" if clock.answered else f" ({clock.words}, so this is by this machine's clock)"
    records = {it: alive_hour(journal, clock.now_ms, within_minutes) for it, journal in journals.items()}
    silent = [it for it, record in records.items() if record is None]
    closed = len(records) - len(silent)
    said = f"{closed} of {plural(len(records), 'symbol')} closed an hour in the last {plural(within_minutes, 'minute')}"
    said += f"; not {', '.join(silent[:MOST_NAMED])}" if silent else ""
    said += f" and {len(silent) - MOST_NAMED} more" if len(silent) > MOST_NAMED else ""
    if 2 * closed < len(records):
        raise Retry(f"{said}{instead}; see: trader status")
    hour = iso(max(record.close_time for record in records.values() if record is not None))
    answer({"healthy": True, "hour": hour, "silent": silent}, terminal.paragraph(f"{said}{instead}"), as_json)
