"""`trader health`: what a container platform asks every few minutes."""

from __future__ import annotations

from typing import Annotated

import typer

from trader.app.health import WITHIN_MINUTES, alive_hour
from trader.commands.common import AsJson, StoreDir, Symbol, answer
from trader.config import load_settings
from trader.core.errors import Retry
from trader.core.types import iso


def health(
    within_minutes: Annotated[
        int, typer.Option(min=1, max=1440, help="the newest closed hour may be this old")
    ] = WITHIN_MINUTES,
    symbol: Symbol = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Exit 0 if an hour was closed lately, 3 if not. A halted bot closes its hours, and is healthy.

    Example: trader health --within-minutes 75
    """
    from trader import wiring
    from trader.adapters.clocks import WallClock

    settings = load_settings(symbol=symbol, store=store)
    journal = wiring.make_journal(settings)
    record = alive_hour(journal, WallClock().now_ms(), within_minutes)
    if record is None:
        raise Retry(
            f"{journal.symbol}: no hour was closed in the last {within_minutes} minutes; see: trader status"
        )
    hour = iso(record.close_time)
    answer({"healthy": True, "hour": hour}, f"{journal.symbol}: {hour} is closed", as_json)
