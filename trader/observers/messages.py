"""What a person should hear of: news as short messages with a level. Which of them are sent is a setting."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from trader.app.layout import BOOK
from trader.core.book import BOOK_HALT
from trader.core.errors import ConfigError
from trader.core.events import (
    AdoptEvent,
    AnyEvent,
    BreachEvent,
    ChampionEvent,
    ClosedAttemptEvent,
    DeploymentEvent,
    EpochEvent,
    FlattenEvent,
    HaltEvent,
    IgnoreEvent,
    RefusalEvent,
    ResumeEvent,
    StudyEvent,
    TroubleEvent,
    account_words,
)
from trader.core.news import News
from trader.core.records import HourRecord
from trader.core.text import plural
from trader.core.types import HOUR_MS, iso, plain

Level = Literal["info", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("info", "warning", "critical")
MOST = 20


@dataclass(frozen=True, slots=True)
class Message:
    """level: info for what goes as it should, warning for what is worth a look, critical for what needs a person now.
    `topic` is the runbook's word for it."""

    level: Level
    topic: str
    title: str
    body: str


def messages(news: News) -> list[Message]:
    """Everything in the news that is worth telling, oldest first: fills, orders without one, missed hours, events."""
    hours = [(record.close_time, message) for record in news.records if (message := _of_hour(record))]
    told = [event.content for event in news.events]
    events = [(_time_ms(event), message) for event in told if (message := _of_event(event))]
    return [message for _, message in sorted(hours + events, key=lambda pair: pair[0])]


def chosen(found: list[Message], least: Level) -> list[Message]:
    """Those at or above a level; many become the last few and a word on how many there were."""
    kept = [message for message in found if LEVELS.index(message.level) >= LEVELS.index(least)]
    if len(kept) <= MOST:
        return kept
    left, rest = kept[: -MOST + 1], kept[-MOST + 1 :]
    worst = max((message.level for message in left), key=LEVELS.index)
    topics = sorted({message.topic for message in left})
    said = f"{len(left)} earlier messages are left out ({', '.join(topics)}). See: trader journal"
    return [Message(worst, "backlog", "many messages at once", said), *rest]


def _of_hour(record: HourRecord) -> Message | None:
    symbol, line = record.symbol, record.line
    when = _minute(line.close_time)
    doubt = " (unconfirmed)" if record.unconfirmed else ""
    held = f"position {plain(line.position)}, equity {plain(line.equity)} USDT{doubt}"
    if line.order_side is None or line.order_qty is None:
        if line.reason == "missed":
            body = f"{when} UTC passed without a tick; it is recorded and will not be traded late. {held}"
            return Message("warning", "missed", f"{symbol}: an hour was missed", body)
        return None
    order = f"{line.order_side} {plain(line.order_qty)} ({line.reason})"
    if line.fill_price is None:
        body = f"{when} UTC: {order} was not filled. {held}. See: trader explain {iso(line.close_time)[:13]}"
        return Message("warning", "refused", f"{symbol}: an order was not filled", body)
    cost = f"{_fee(record)}, {record.slippage_bps() or 0.0:+.2f} bps against the model's price"
    executed = sum((fill.qty for fill in record.fills), Decimal(0))
    part = "" if executed == line.order_qty else f" of which {plain(executed)} was filled"
    price = plain(line.fill_price)
    body = f"{when} UTC: {order}{part} at {price}, {cost}. {held}, {plural(record.ledger.orders, 'order')} so far"
    used_up = len({fill.commission_in == "other" for fill in record.fills}) > 1
    level: Level = "warning" if used_up else "info"
    return Message(level, "fill", f"{symbol}: {line.order_side} at {price}", body)


def _fee(record: HourRecord) -> str:
    """The fee in quote, what was taken of a third asset, and whether that stock was used up within the order."""
    fee, fills = f"fee {plain(record.line.fee)} USDT", record.fills
    others = [fill for fill in fills if fill.commission_in == "other"]
    if not others:
        return fee
    taken = plain(sum((fill.other_amount for fill in others), Decimal(0)))
    rest = (
        ""
        if len(others) == len(fills)
        else "; its stock is used up, the rest was taken from what was received"
    )
    return f"{fee} ({taken} {others[0].other_asset}{rest})"


def _time_ms(event: AnyEvent) -> int:
    match event:
        case ChampionEvent():
            return event.valid_from_ms
        case DeploymentEvent():
            return event.start_ms
        case StudyEvent():
            return event.serve_from_ms
        case _:
            return event.at_ms


def _minute(time_ms: int) -> str:
    return iso(time_ms)[:16].replace("T", " ")


def _of_event(event: AnyEvent) -> Message | None:
    symbol, when = event.symbol, _minute(_time_ms(event))
    symbol = "the book" if symbol == BOOK else symbol
    match event:
        case HaltEvent(reason=reason) if reason == BOOK_HALT:
            return None  # the book's own halt is told, once for all symbols
        case HaltEvent():
            words = f": {event.message}" if event.message else ""
            held = "what is held is kept" if event.freeze else "what is held is sold"
            body = f"{when} UTC, {event.reason}, by {event.by}{words}; {held}. See docs/runbook.md, then: trader resume"
            return Message("critical", "halt", f"{symbol}: trading is HALTED ({event.reason})", body)
        case ResumeEvent():
            body = f"{when} UTC by {event.by}: {event.message}"
            return Message("info", "resume", f"{symbol}: trading resumed", body)
        case BreachEvent():
            body = f"{when} UTC: {event.reason}; parameters are searched again"
            return Message("warning", "breach", f"{symbol}: recent results breach their threshold", body)
        case ChampionEvent():
            body = f"{event.model_id} serves from {when} UTC: {event.message or event.cause}"
            return Message("info", "retrain", f"{symbol}: a new model", body)
        case RefusalEvent():
            body = (
                f"{event.model_id} should have served from {_minute(event.valid_from_ms)} UTC. Certificate {event.certificate} "
                f"{event.message}. The old model goes on. See docs/certificate.md"
            )
            return Message("critical", "certificate", f"{symbol}: a new model FAILED its certificate", body)
        case TroubleEvent(over=True):
            return Message(
                "info", "trouble", f"{symbol}: ticks go well again", f"{when} UTC: {event.message}"
            )
        case TroubleEvent():
            level: Level = "critical" if event.exit_code == ConfigError.exit_code else "warning"
            who = "a person must act" if level == "critical" else "the schedule goes on trying"
            body = f"{when} UTC, exit {event.exit_code}, {who}: {event.message}. See docs/runbook.md"
            return Message(level, "trouble", f"{symbol}: ticks FAIL", body)
        case AdoptEvent() | IgnoreEvent() | ClosedAttemptEvent() | FlattenEvent() | EpochEvent():
            body = f"{when} UTC by {event.by}: {account_words(event)}: {event.message}"
            return Message("warning", "account", f"{symbol}: {account_words(event)}", body)
        case _:
            return None


def is_good(record: HourRecord) -> bool:
    """True for an hour that was decided in time, traded or not; a missed one is none."""
    return record.line.reason != "missed"


def fresh_enough(record: HourRecord, now_ms: int, allowed_ms: int = HOUR_MS) -> bool:
    """True where the record's hour closed at most `allowed_ms` before now."""
    return now_ms - record.close_time <= allowed_ms
