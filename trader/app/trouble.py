"""Ticks that fail are told once when it begins and once when it is over, whatever happens in between.

What only a person can mend is told at once. What heals by itself, a venue or a store that does not answer, is told when it
has cost an hour. A store that cannot be written tells nothing: then the heartbeat stops, which somebody watches.
"""

from __future__ import annotations

from contextlib import suppress

from trader.app.codec_events import TROUBLE
from trader.app.journal import Journal
from trader.app.retrain import deployment
from trader.core.errors import Halt, OtherSymbol, Retry, TraderError, WrongStore
from trader.core.events import TroubleEvent
from trader.core.ports import Clock, Exchange
from trader.core.types import HOUR_MS, floor_hour

# By then the schedule has tried an hour four times, and the next one has begun.
LASTS_MS = HOUR_MS + 5 * 60_000
MOST_WORDS = 400


def standing_trouble(journal: Journal) -> TroubleEvent | None:
    """The trouble that is not over, None while ticks go well."""
    events = journal.events(TROUBLE)
    return events[-1].content if events and not events[-1].content.over else None


def failed(journal: Journal, exchange: Exchange, clock: Clock, error: TraderError) -> bool:
    """Write that ticks fail, if it is news: True if it was written. A halt tells itself. Raises nothing: what could not be
    written is written by the next tick that fails."""
    if isinstance(error, Halt | WrongStore | OtherSymbol):
        return False
    now_ms = clock.now_ms()
    with suppress(TraderError):
        now_ms = exchange.time_ms()
    with suppress(TraderError):
        standing = standing_trouble(journal)
        kind = type(error).__name__
        if standing is not None and (standing.exit_code, standing.message.split(":")[0]) == (
            error.exit_code,
            kind,
        ):
            return False
        if isinstance(error, Retry) and not _costs_an_hour(journal, now_ms):
            return False
        said = f"{kind}: {error}"[:MOST_WORDS]
        journal.append(TroubleEvent(journal.symbol, now_ms, False, error.exit_code, said))
        return True
    return False


def over(journal: Journal, now_ms: int) -> bool:
    """Write that ticks go well again, if they did not: True if it was written."""
    if standing_trouble(journal) is None:
        return False
    journal.append(TroubleEvent(journal.symbol, now_ms, True, 0, "the tick went through"))
    return True


def _costs_an_hour(journal: Journal, now_ms: int) -> bool:
    """Whether the newest closed hour lies so far back that one was lost."""
    begun = deployment(journal)
    newest = journal.newest_record(floor_hour(now_ms), begun.start_ms) if begun else None
    return newest is not None and now_ms - newest.close_time >= LASTS_MS
