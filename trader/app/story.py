"""The journal as a story: every closed hour, and between them what happened to the bot: models, breaches, halts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

from trader.app.codec_events import ACCOUNT, BREACH, CHAMPION, HALT, REFUSAL, TROUBLE
from trader.app.journal import Journal
from trader.core.events import (
    AccountEvent,
    ChampionEvent,
    HaltEvent,
    RefusalEvent,
    ResumeEvent,
    TroubleEvent,
    account_words,
)
from trader.core.records import HourRecord
from trader.core.types import iso, plain

# Within one time: a model that begins to serve and a halt stand before the hour that they change, a breach after the
# hour that made it.
BEFORE, HOUR, AFTER = range(3)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A closed hour's record, or an event in words. `at` is UTC ms; `kind` is hour, champion, breach, halt, resume, account,
    refusal or trouble."""

    at: int
    rank: int
    kind: str
    words: str
    record: HourRecord | None = None


def tell(journal: Journal, since: int | None = None, until: int | None = None) -> Iterator[TimelineEntry]:
    """Hours and events with since <= time < until, oldest first."""
    within = [
        event
        for event in happened(journal)
        if (since is None or event.at >= since) and (until is None or event.at < until)
    ]
    hours = (
        TimelineEntry(record.close_time, HOUR, "hour", "", record) for record in journal.records(since, until)
    )
    return merge(within, hours, key=_order)


def happened(journal: Journal) -> list[TimelineEntry]:
    """The events alone, oldest first."""
    events = [
        *(_champion(event.content) for event in journal.events(CHAMPION)),
        *(TimelineEntry(e.content.at_ms, AFTER, "breach", e.content.reason) for e in journal.events(BREACH)),
        *(_halt(event.content) for event in journal.events(HALT)),
        *(_account(event.content) for event in journal.events(ACCOUNT)),
        *(_trouble(event.content) for event in journal.events(TROUBLE)),
        *(_refusal(event.content) for event in journal.events(REFUSAL)),
    ]
    return sorted(events, key=_order)


def _order(told: TimelineEntry) -> tuple[int, int]:
    return told.at, told.rank


def _champion(event: ChampionEvent) -> TimelineEntry:
    words = f"model {event.model_id} serves: {event.message or event.cause}"
    return TimelineEntry(event.valid_from_ms, BEFORE, "champion", words)


def _halt(event: HaltEvent | ResumeEvent) -> TimelineEntry:
    by = f"by {event.by}" + (f": {event.message}" if event.message else "")
    if isinstance(event, ResumeEvent):
        return TimelineEntry(event.at_ms, BEFORE, "resume", f"{by}; a new risk epoch begins")
    position = "what is held is kept" if event.freeze else "what is held is sold"
    return TimelineEntry(event.at_ms, BEFORE, "halt", f"{event.reason}, {by}; {position}")


def _account(event: AccountEvent) -> TimelineEntry:
    return TimelineEntry(
        event.at_ms, BEFORE, "account", f"{account_words(event)}, by {event.by}: {event.message}"
    )


def _trouble(event: TroubleEvent) -> TimelineEntry:
    words = "over" if event.over else f"ticks fail (exit {event.exit_code}): {event.message}"
    return TimelineEntry(event.at_ms, BEFORE, "trouble", words)


def _refusal(event: RefusalEvent) -> TimelineEntry:
    words = f"model {event.model_id} was not named champion: certificate {event.certificate} {event.message}"
    return TimelineEntry(event.at_ms, BEFORE, "refusal", words)


def hour_row(record: HourRecord, family: str) -> tuple[str, ...]:
    """An hour in a person's columns: HOUR_HEAD. family: of its model. Amounts in USDT are rounded to cents, prices as they
    were."""
    line = record.line
    return (
        iso(record.close_time)[:16] + "Z",
        record.model_id,
        family,
        "-" if line.p_up is None else f"{line.p_up:.4f}",
        line.target,
        line.reason,
        "-" if line.order_qty is None else f"{line.order_side} {plain(line.order_qty)}",
        "-" if line.fill_price is None else plain(line.fill_price),
        _worse(record),
        f"{float(line.fee):.2f}",
        f"{float(line.equity):,.2f}" + (" unconfirmed" if record.unconfirmed else ""),
    )


HOUR_HEAD = (
    "hour",
    "model",
    "family",
    "P(up)",
    "target",
    "reason",
    "order",
    "fill",
    "bps worse",
    "fee",
    "equity",
)
# What a narrow screen leaves out, the least asked for first. Events between the hours say which model serves.
NARROW_WITHOUT = ("family", "model", "bps worse", "fee", "target", "fill", "order")


def _worse(record: HourRecord) -> str:
    """How much worse the fill was than the cost model's price; nothing without one."""
    worse = record.slippage_bps()
    return "-" if worse is None else f"{worse:+.2f}"
