"""What a tick makes sure of before it writes or sends anything: the time, the events that were taken in, and that a decision of
the store follows from the hour before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from trader.app.adoption import booked_by_hour, taken_in
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT, HALT
from trader.app.journal import Journal, hour_folder
from trader.app.proposal import DEADLINE_MS
from trader.app.stored import EventFormat
from trader.core.errors import ConfigError, DataError
from trader.core.ledger import Ledger
from trader.core.records import Decision, HourRecord
from trader.core.text import plural
from trader.core.types import HOUR_MS, iso, plain

# Half an hour: within it both agree about the hour that a schedule calls for.
MOST_APART_MS = 30 * 60_000


def require_our_time(bot: Bot, now: int) -> None:
    """Raises ConfigError where the venue lives in another hour than this machine: hours are written for ever, so one of the two
    must not be believed."""
    apart_ms = 0 if bot.wall is None else now - bot.wall.now_ms()
    if abs(apart_ms) > MOST_APART_MS:
        raise ConfigError(
            f"the venue's clock says {iso(now)}, this machine's {iso(now - apart_ms)}: one of them is wrong, and nothing is "
            f"written. Synchronise this machine's clock (NTP); if it is right, the venue is not to be trusted"
        )


def require_events(journal: Journal, newest: HourRecord) -> None:
    """Raises DataError where events are lost that the newest record has taken in: what a person says now would be numbered below
    them, and not be heard."""
    _require_counted(journal, HALT, newest.totals.halt_event)
    _require_counted(journal, ACCOUNT, newest.totals.account_event)


def _require_counted(journal: Journal, form: EventFormat[Any], counted: int) -> None:
    # Another process may have closed the hour, and appended what its record counts, since the glance: then it is there now.
    if journal.listed(form) < counted and (there := len(journal.events_to(form, counted))) < counted:
        raise DataError(
            f"state/{journal.symbol}/{form.name}/: the newest record has taken in {plural(counted, 'event')}, the store has "
            f"{there:,}. Restore them from a copy, or: trader store repair"
        )


def require_sound(bot: Bot, decision: Decision, newest: HourRecord | None) -> None:
    """Raises DataError for a decision of the store that does not follow from the hour before it: whoever wrote it, nothing is
    sent for it."""
    before = newest.totals if newest else None
    if before is None:
        before = bot.fresh(bot.params(decision.model_id))
    events = bot.journal.events_to(ACCOUNT, decision.totals.account_event)
    follows = taken_in(before, events, lambda name: booked_by_hour(bot.journal, name))[0].state.ledger
    book_record = (
        None if bot.book is None else bot.book.book_record(decision.close_time, decision.close_time + HOUR_MS)
    )
    given = Decimal(0) if book_record is None else book_record.hour.transfer(bot.symbol)
    follows = replace(follows, cash=follows.cash + given)
    wrong = []
    if (decision.book, decision.transfer_usdt) != ("" if book_record is None else book_record.digest, given):
        wrong.append("it was made by another book record than the one that is stored")
    if decision.totals.state.ledger != follows:
        wrong.append(f"it begins with {_held(decision.totals.state.ledger)}, and {_held(follows)} follows")
    if decision.deadline_ms != decision.close_time + DEADLINE_MS:
        wrong.append(f"its deadline is {iso(decision.deadline_ms)}")
    if wrong:
        raise DataError(
            f"{hour_folder(bot.symbol, decision.close_time)}/decision does not follow from the hour before: {'; '.join(wrong)}. "
            f"Somebody else wrote it; nothing is sent for it. See: trader store repair"
        )


def _held(ledger: Ledger) -> str:
    return f"{plain(ledger.cash)} USDT and {plain(ledger.position)} held"
