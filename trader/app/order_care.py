"""What a person says about an order that the journal does not hold, or that the venue does not bring to an end: adopt, ignore,
close-attempt. Each is an event with a reason, and safe to repeat."""

from __future__ import annotations

import re
from decimal import Decimal

from trader.app import flatten as at_once
from trader.app.account_care import VerbResult, again, believed
from trader.app.adoption import booked_by_hour
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT
from trader.app.halts import lift, standing_halt
from trader.app.journal import Series
from trader.app.order_ids import parse_order_id
from trader.app.orders import SETTLE_MS, outcome_of
from trader.app.proposal import DEADLINE_MS
from trader.app.retrain import deployment
from trader.core.errors import ConfigError, OrderInDoubt
from trader.core.events import AdoptEvent, ClosedAttemptEvent, FlattenEvent, IgnoreEvent
from trader.core.ports import OrderState
from trader.core.records import Attempt, Outcome
from trader.core.text import plural
from trader.core.types import HOUR_MS, Fill, floor_hour, iso, plain

ANY_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")


def adopt(bot: Bot, name: str, reason: str) -> VerbResult:
    """What an order executed is this bot's: its fills are booked with the next decision. A halt that names the order is lifted.

    Raises ConfigError where there is no such order, where it is not final, where the journal has it already, and where it sells
    more than this bot holds.
    """
    if said := _said_already(bot, name):
        return said
    _require_id(name)
    order = _executed(bot, name)
    _require_not_ours(bot, name, order)
    fills = _unbooked(bot, order)
    held = believed(bot).position
    qty = at_once.sold(fills)
    if order.side == "SELL" and qty > held:
        raise ConfigError(
            f"order {name} sold {plain(qty)}, this bot holds {plain(held)}: it cannot all be this bot's. If it is "
            f"none of its business: trader ignore {name} --reason ..."
        )
    at_ms = bot.exchange.time_ms()
    bot.journal.append(AdoptEvent(bot.symbol, at_ms, "person", reason, name, order.transact_ms, tuple(fills)))
    what = f"{order.side} {plain(qty)} at {plain(order.quote_qty / order.executed_qty)}"
    lifted = lift(bot.journal, at_ms, name, f"adopted {name}: {reason}")
    return VerbResult(
        f"{bot.symbol}: {name} ({what}) is this bot's; the next hour books it{again(lifted)}", lifted
    )


def _unbooked(bot: Bot, order: OrderState) -> list[Fill]:
    """What was executed under the id of an order and no hour has booked; an id may have been sent twice. Raises OrderInDoubt."""
    name = parse_order_id(order.client_order_id)
    since = order.transact_ms if name is None else min(order.transact_ms, name.hour)
    same = [o for o in bot.exchange.orders(bot.symbol, since) if o.client_order_id == order.client_order_id]
    there = booked_by_hour(bot.journal, order.client_order_id)
    found: list[Fill] = []
    for one in {o.order_id: o for o in (*same, order)}.values():
        fills = bot.exchange.fills(bot.symbol, one.order_id) if one.executed_qty else []
        if at_once.sold(fills) != one.executed_qty:
            raise OrderInDoubt(
                f"the venue lists {plural(len(fills), 'trade')} of order {one.order_id}, not all of it; ask again in a minute"
            )
        found += [fill for fill in fills if fill.trade_id not in there]
    if not found:
        raise ConfigError(
            f"the journal has all of order {order.client_order_id} already. See: trader journal"
        )
    return found


def ignore(bot: Bot, name: str, reason: str) -> VerbResult:
    """An order is none of this bot's business; of another store, neither are that store's earlier ones. A halt that names it is
    lifted."""
    if said := _said_already(bot, name):
        return said
    _require_id(name)
    at_ms, order = bot.exchange.time_ms(), bot.exchange.find(bot.symbol, name)
    _require_not_ours(bot, name, order)
    halt = standing_halt(bot.journal)
    if order is None and (halt is None or name not in halt.message):
        raise ConfigError(f"the venue knows no order {name} of {bot.symbol}, and no halt names it")
    seen_ms = order.transact_ms if order else at_ms
    bot.journal.append(IgnoreEvent(bot.symbol, at_ms, "person", reason, name, seen_ms))
    lifted = lift(bot.journal, at_ms, name, f"ignored {name}: {reason}")
    return VerbResult(f"{bot.symbol}: {name} is ignored from now on{again(lifted)}", lifted)


def series_of(at_once: bool) -> Series:
    """The attempts of a sale at once, or those of the hour's own decision."""
    return "flatten_" if at_once else ""


def close_attempt(bot: Bot, hour: int, n: int, reason: str, series: Series = "") -> VerbResult:
    """Close attempt n of an hour (UTC ms) by what the venue says of it now, although it is not final or cannot be found.

    Raises ConfigError where there is no such attempt, and while the bot may still bring it to an end by itself.
    """
    attempt, outcome = bot.journal.attempt(hour, n, series), bot.journal.outcome(hour, n, series)
    if attempt is None:
        raise ConfigError(f"{iso(hour)} has no attempt {n}. See: trader explain {iso(hour)[:13]}")
    if outcome is not None:
        return VerbResult(f"{bot.symbol} {iso(hour)}: attempt {n} is closed already ({outcome.kind})")
    now = bot.exchange.time_ms()
    until = max(attempt.expires_at_ms + SETTLE_MS, _deadline(bot, hour, n, series))
    if now <= until:
        raise ConfigError(
            f"until {iso(until)} the bot may still bring {attempt.client_order_id} to an end by itself: trader tick"
        )
    closed = _as_it_is(bot, attempt, reason)
    bot.journal.append(ClosedAttemptEvent(bot.symbol, now, "person", reason, hour, n))
    done = bot.journal.close_attempt(hour, n, closed, series)
    executed = plain(sum((fill.qty for fill in done.fills), Decimal(0)))
    lifted = lift(bot.journal, now, attempt.client_order_id, f"closed {attempt.client_order_id}: {reason}")
    words = f"{bot.symbol} {iso(hour)}: attempt {n} is closed as {done.kind}, {executed} executed"
    return VerbResult(f"{words}; the next tick goes on{again(lifted)}", lifted)


def _deadline(bot: Bot, hour: int, n: int, series: Series) -> int:
    """Until when attempt n may be followed by another, UTC ms."""
    sales = [
        event.content for event in bot.journal.events(ACCOUNT) if isinstance(event.content, FlattenEvent)
    ]
    ends = [sale.deadline_ms for sale in sales if series and sale.hour_ms == hour and sale.first_attempt <= n]
    return max([hour + DEADLINE_MS, *ends])


def _as_it_is(bot: Bot, attempt: Attempt, reason: str) -> Outcome:
    """What became of an attempt, by what the venue says now."""
    said = f"closed by a person: {reason}"
    state = bot.exchange.find(bot.symbol, attempt.client_order_id)
    if state is None:
        return Outcome(bot.symbol, "absent", (), said)
    fills = bot.exchange.fills(bot.symbol, state.order_id) if state.executed_qty else []
    return outcome_of(bot.symbol, state, fills, said)


def _said_already(bot: Bot, name: str) -> VerbResult | None:
    """What an event says already about an order."""
    for event in bot.journal.events(ACCOUNT):
        said = event.content
        if isinstance(said, AdoptEvent | IgnoreEvent) and said.client_order_id == name:
            lifted = lift(bot.journal, bot.exchange.time_ms(), name, said.message)
            was = "adopted" if isinstance(said, AdoptEvent) else "ignored"
            return VerbResult(
                f"{bot.symbol}: {name} was {was} at {iso(said.at_ms)} already{again(lifted)}", lifted
            )
    return None


def _executed(bot: Bot, name: str) -> OrderState:
    order = bot.exchange.find(bot.symbol, name)
    if order is None:
        raise ConfigError(
            f"the venue knows no order {name} of {bot.symbol}; it lists them on its page of orders"
        )
    if not order.final:
        raise ConfigError(f"order {name} is {order.status}: cancel it at the venue, or wait for its end")
    if not order.executed_qty:
        raise ConfigError(
            f"order {name} executed nothing ({order.status}). See: trader ignore {name} --reason ..."
        )
    return order


def _require_not_ours(bot: Bot, client_order_id: str, order: OrderState | None) -> None:
    """Raises ConfigError for an order that the journal has, for an attempt that is not closed, and for one that the next tick
    adopts by itself."""
    name = parse_order_id(client_order_id)
    if name is None or name.store != bot.journal.store_id():
        return
    series = series_of(name.kind == "f")
    outcome = bot.journal.outcome(name.hour, name.attempt, series)
    if outcome is None and bot.journal.attempt(name.hour, name.attempt, series) is not None:
        raise ConfigError(
            f"order {client_order_id} is an attempt of this bot, which looks for it: trader tick. If the venue "
            "never brings it to "
            f"an end: trader close-attempt {iso(name.hour)[:13]} {name.attempt} --reason ..."
        )
    if order is None or outcome is not None:
        return
    begun, now = deployment(bot.journal), bot.exchange.time_ms()
    newest = bot.journal.newest_record(floor_hour(now), begun.start_ms) if begun else None
    first = newest.close_time + HOUR_MS if newest else begun.start_ms if begun else now
    halt = standing_halt(bot.journal)
    named = halt is not None and client_order_id in halt.message
    if name.kind != "f" and first <= name.hour <= now and not named:
        raise ConfigError(
            f"order {client_order_id} is this store's own: the next tick adopts it by itself. Run: trader tick"
        )


def _require_id(name: str) -> None:
    """Raises ConfigError for what can be no client order id."""
    if not ANY_ID.fullmatch(name):
        raise ConfigError(f"{name!r} is no client order id: 1 to 36 letters, digits, - and _")
