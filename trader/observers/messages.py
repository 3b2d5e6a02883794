"""What a person should hear of: news as short messages with a level. Which of them are sent is a setting."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from trader.core.costs import worse_bps
from trader.core.news import News, Occurrence
from trader.core.types import HOUR_MS, iso

Json = dict[str, Any]
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
    hours = [
        (record["close_time"], message)
        for record in news.records
        if (message := _of_hour(news.symbol, record))
    ]
    events = [(_time(event), message) for event in news.events if (message := _of_event(news.symbol, event))]
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


def _of_hour(symbol: str, record: Json) -> Message | None:
    line, state = record["line"], record["state"]
    when = line["close_time"][:16].replace("T", " ")
    held = f"position {line['position']}, equity {line['equity']} USDT"
    if line["order_side"] is None:
        if line["reason"] == "missed":
            body = f"{when} UTC passed without a tick; it is recorded and will not be traded late. {held}"
            return Message("warning", "missed", f"{symbol}: an hour was missed", body)
        return None
    order = f"{line['order_side']} {line['order_qty']} ({line['reason']})"
    if line["fill_price"] is None:
        body = f"{when} UTC: {order} was not filled. {held}. See: trader explain {line['close_time'][:13]}"
        return Message("warning", "refused", f"{symbol}: an order was not filled", body)
    worse = worse_bps(line["order_side"], Decimal(line["fill_price"]), Decimal(record["expected_price"]))
    cost = f"fee {line['fee']} USDT, {worse:+.2f} bps against the model's price"
    executed = sum((Decimal(fill["qty"]) for fill in record["fills"]), Decimal(0))
    part = "" if executed == Decimal(line["order_qty"]) else f" of which {executed} was filled"
    body = (
        f"{when} UTC: {order}{part} at {line['fill_price']}, {cost}. {held}, {state['orders']} orders so far"
    )
    return Message("info", "fill", f"{symbol}: {line['order_side']} at {line['fill_price']}", body)


def _time(event: Occurrence) -> int:
    said = event.content
    moment = next((said[key] for key in ("at", "valid_from", "start") if key in said), 0)
    return int(moment)


def _of_event(symbol: str, event: Occurrence) -> Message | None:
    said, when = event.content, iso(_time(event))[:16].replace("T", " ")
    if event.name == "halt" and said["kind"] == "halt":
        words = f": {said['words']}" if said["words"] else ""
        held = "what is held is kept" if said["freeze"] else "what is held is sold"
        body = f"{when} UTC, {said['reason']}, by {said['by']}{words}; {held}. See docs/runbook.md, then: trader resume"
        return Message("critical", "halt", f"{symbol}: trading is HALTED ({said['reason']})", body)
    if event.name == "halt":
        return Message(
            "info", "resume", f"{symbol}: trading resumed", f"{when} UTC by {said['by']}: {said['words']}"
        )
    if event.name == "breach":
        body = f"{when} UTC: {said['why']}; parameters are searched again"
        return Message("warning", "breach", f"{symbol}: recent results breach their threshold", body)
    if event.name == "champion":
        why = said.get("words") or said["why"]
        body = (
            f"{said['model_id']} serves from {iso(int(said['valid_from']))[:16].replace('T', ' ')} UTC: {why}"
        )
        return Message("info", "retrain", f"{symbol}: a new model", body)
    return None


def is_good(record: Json) -> bool:
    """True for an hour that was decided in time, traded or not; a missed one is none."""
    return bool(record["line"]["reason"] != "missed")


def fresh_enough(record: Json, now_ms: int, allowed_ms: int = HOUR_MS) -> bool:
    """True where the record's hour closed at most `allowed_ms` before now."""
    return now_ms - int(record["close_time"]) <= allowed_ms
