"""`trader health`: what a container platform asks every few minutes."""

from __future__ import annotations

from typing import Annotated

import typer

from trader.app.health import WITHIN_MINUTES, alive_hour
from trader.commands.common import AsJson, StoreDir, Symbol, answer, hour_clock
from trader.config import load_settings
from trader.core.errors import Retry
from trader.core.text import plural
from trader.core.types import iso


def health(
    within_minutes: Annotated[
        int, typer.Option(min=1, max=1440, help="how old the newest closed hour may be")
    ] = WITHIN_MINUTES,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Exit 0 if an hour was closed lately, 3 if not. A halted bot closes its hours, and is healthy.

    Minutes are those of the embedded exchange's clock where the bot trades there. Example: trader health --within-minutes 75
    """
    from trader import wiring

    settings = load_settings(symbol=symbol, store=store)
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
