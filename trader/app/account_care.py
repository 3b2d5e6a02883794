"""What a person does about the account, each an event with a reason: adopt or ignore an order, close an attempt, sell at once,
begin a new epoch. Safe to repeat."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from trader.app import flatten as at_once
from trader.app.adoption import booked_by_hour, with_account
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT
from trader.app.halts import announce, lift, require_settled, resume, standing_halt
from trader.app.journal import Series
from trader.app.order_ids import parse_order_id
from trader.app.orders import MAX_ATTEMPTS, SETTLE_MS, outcome_of
from trader.app.proposal import DEADLINE_MS
from trader.app.retrain import deployment, serving_params
from trader.app.tick import tick
from trader.core.costs import fill_price
from trader.core.errors import ConfigError, DataError, OrderInDoubt, TraderError
from trader.core.events import AdoptEvent, ClosedAttemptEvent, EpochEvent, FlattenEvent, IgnoreEvent
from trader.core.ledger import Ledger
from trader.core.params import Params
from trader.core.ports import OrderState
from trader.core.records import Attempt, Outcome
from trader.core.types import HOUR_MS, Fill, floor_hour, iso, plain

# So long before the next hour a sale at once lets that hour sell.
TURN_MS = 30_000
ANY_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
NOT_BEGUN = "this bot has not begun yet; train its first model with: trader retrain --params P.json"


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb did, in words; `lifted`: the halt that named its cause was lifted with it."""

    words: str
    lifted: bool = False


def adopt(bot: Bot, name: str, reason: str) -> Done:
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
    return Done(
        f"{bot.symbol}: {name} ({what}) is this bot's; the next hour books it{_again(lifted)}", lifted
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
                f"the venue lists {len(fills)} trades of order {one.order_id}, not all of it; ask again in a minute"
            )
        found += [fill for fill in fills if fill.trade_id not in there]
    if not found:
        raise ConfigError(
            f"the journal has all of order {order.client_order_id} already. See: trader journal"
        )
    return found


def ignore(bot: Bot, name: str, reason: str) -> Done:
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
    return Done(f"{bot.symbol}: {name} is ignored from now on{_again(lifted)}", lifted)


def series_of(at_once: bool) -> Series:
    """The attempts of a sale at once, or those of the hour's own decision."""
    return "flatten_" if at_once else ""


def close_attempt(bot: Bot, hour: int, n: int, reason: str, series: Series = "") -> Done:
    """Close attempt n of an hour (UTC ms) by what the venue says of it now, although it is not final or cannot be found.

    Raises ConfigError where there is no such attempt, and while the bot may still bring it to an end by itself.
    """
    attempt, outcome = bot.journal.attempt(hour, n, series), bot.journal.outcome(hour, n, series)
    if attempt is None:
        raise ConfigError(f"{iso(hour)} has no attempt {n}. See: trader explain {iso(hour)[:13]}")
    if outcome is not None:
        return Done(f"{bot.symbol} {iso(hour)}: attempt {n} is closed already ({outcome.kind})")
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
    return Done(f"{words}; the next tick goes on{_again(lifted)}", lifted)


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


def flatten(bot: Bot, reason: str) -> Done:
    """Halt, and sell at once what is held, by the attempt protocol. What the current hour still owes is done first.

    Raises OrderInDoubt while an order is unknown: nothing else may be sent then.
    """
    if deployment(bot.journal) is None:
        raise ConfigError(NOT_BEGUN)
    at_ms = bot.clock.now_ms()
    with suppress(TraderError):  # a venue that does not answer must not keep the halt from being written
        at_ms = bot.exchange.time_ms()
    announce(bot.journal, at_ms, "person", freeze=False, by="person", message=reason)
    if at_ms % HOUR_MS > HOUR_MS - TURN_MS:  # the next hour sells by itself, and two sales must not meet
        bot.clock.sleep((HOUR_MS - at_ms % HOUR_MS) / 1000 + 1)
    trouble = ""
    try:
        tick(bot)
    except OrderInDoubt:
        raise
    except TraderError as error:  # the hour waits for a person; what is held need not
        trouble = f" The hour itself is not closed: {error}"
    fills = at_once.settle_flatten(bot.context) or []
    said = len(bot.journal.events(ACCOUNT))
    sale = _sale(bot, reason)
    if sale is not None:
        bot.journal.append(sale, after=said)
        fills += at_once.settle_flatten(bot.context) or []
    left = plain(believed(bot).position)
    return Done(f"{bot.symbol}: {_sold(fills)}; {left} held, trading is halted.{trouble}")


def _sold(fills: list[Fill]) -> str:
    if not fills:
        return "nothing was sold at once beyond what the hour sold"
    qty = at_once.sold(fills)
    price = sum((fill.qty * fill.price for fill in fills), Decimal(0)) / qty
    return f"sold {plain(qty)} at {plain(round(price, 8))}"


def _sale(bot: Bot, reason: str) -> FlattenEvent | None:
    """The sale of min(free, believed), None where that is less than the venue takes."""
    filters, quote = bot.exchange.filters(bot.symbol), bot.exchange.quote(bot.symbol)
    params: Params | None = None
    with suppress(DataError):  # a bot whose model is lost sells all the same
        params = serving_params(bot.journal)
    base, _ = bot.exchange.assets(bot.symbol)
    free = bot.exchange.balances().get(base, Decimal(0))
    qty = max(Decimal(0), min(free, believed(bot).position))
    qty -= qty % filters.step_size
    price = fill_price("SELL", quote, params.costs, filters.tick_size) if params else quote.bid
    if qty < max(filters.min_qty, filters.step_size) or qty * price < filters.min_notional:
        return None
    now = bot.exchange.time_ms()
    hour = floor_hour(now)
    first = at_once.next_attempt(bot.journal, hour)
    if first > MAX_ATTEMPTS:
        raise ConfigError(
            f"{MAX_ATTEMPTS} sales at once were tried in this hour, and {plain(qty)} are held still; the next hour's tick sells"
        )
    until = now + at_once.FLATTEN_MS
    return FlattenEvent(bot.symbol, now, "person", reason, hour, qty, price, until, first)


def epoch(bot: Bot, reason: str, allocation_usdt: Decimal | None = None) -> Done:
    """Begin anew, flat with the allocation: after a wipe, or where what is missing will not come back. Halts are lifted.

    Raises ConfigError while the account holds what this bot believes to hold, and where it does not cover the allocation.
    """
    at_once.settle_flatten(bot.context)
    require_settled(bot.journal)
    _require_closed(bot)
    said, ledger = len(bot.journal.events(ACCOUNT)), believed(bot)
    allocation = _allocation(bot, allocation_usdt)
    base, quote = bot.exchange.assets(bot.symbol)
    free, filters = bot.exchange.balances(), bot.exchange.filters(bot.symbol)
    held = min(ledger.position, free.get(base, Decimal(0)))
    if bot.exchange.open_orders(bot.symbol):
        raise ConfigError(
            f"an order of {bot.symbol} is open and may hold what is believed to be missing: cancel it at the venue"
        )
    if held * bot.exchange.quote(bot.symbol).bid >= filters.min_notional:
        raise ConfigError(
            f"the account holds {plain(held)} {base} of this bot's, which a new epoch would lose sight of. Sell it first: trader "
            f"flatten --reason ..."
        )
    if free.get(quote, Decimal(0)) < allocation:
        raise ConfigError(
            f"the account has {plain(free.get(quote, Decimal(0)))} {quote} free, the epoch would begin with {plain(allocation)}. "
            f"Fund it, or begin with less: --allocation-usdt"
        )
    at_ms = bot.exchange.time_ms()
    begins = EpochEvent(bot.symbol, at_ms, "person", reason, allocation, ledger.position)
    bot.journal.append(begins, after=said)
    lifted = standing_halt(bot.journal) is not None
    if lifted:
        resume(bot.journal, at_ms, f"a new epoch: {reason}")
    return Done(
        f"{bot.symbol}: a new epoch begins with {plain(allocation)} {quote}, flat{_again(lifted)}", lifted
    )


def _allocation(bot: Bot, given: Decimal | None) -> Decimal:
    """What an epoch begins with. Raises ConfigError where neither a person nor a card that can be read says it."""
    if given is not None:
        return given
    try:
        params = serving_params(bot.journal)
    except DataError as error:
        raise ConfigError(f"{error}. Say what the epoch begins with: --allocation-usdt") from None
    if params is None:
        raise ConfigError(NOT_BEGUN)
    return params.allocation_usdt


def _require_closed(bot: Bot) -> None:
    """Raises ConfigError while an hour is decided and not closed: its order may be on its way."""
    begun = deployment(bot.journal)
    newest = bot.journal.newest_record(floor_hour(bot.exchange.time_ms()), begun.start_ms) if begun else None
    hour = newest.close_time + HOUR_MS if newest else begun.start_ms if begun else 0
    if bot.journal.decision(hour) is not None and bot.journal.record(hour) is None:
        raise ConfigError(
            f"{iso(hour)} is decided and not closed, so an order may be on its way: trader tick, then ask again"
        )


def believed(bot: Bot) -> Ledger:
    """What the journal says the bot has, account events included that no hour has taken in yet. Raises ConfigError."""
    begun = deployment(bot.journal)
    if begun is None:
        raise ConfigError(NOT_BEGUN)
    newest = bot.journal.newest_record(floor_hour(bot.exchange.time_ms()) + HOUR_MS, begun.start_ms)
    return with_account(bot.journal, bot.totals_before(newest))[0].state.ledger


def _said_already(bot: Bot, name: str) -> Done | None:
    """What an event says already about an order."""
    for event in bot.journal.events(ACCOUNT):
        said = event.content
        if isinstance(said, AdoptEvent | IgnoreEvent) and said.client_order_id == name:
            lifted = lift(bot.journal, bot.exchange.time_ms(), name, said.message)
            was = "adopted" if isinstance(said, AdoptEvent) else "ignored"
            return Done(
                f"{bot.symbol}: {name} was {was} at {iso(said.at_ms)} already{_again(lifted)}", lifted
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
            f"order {client_order_id} is an attempt of this bot, which looks for it: trader tick. If the venue never brings it to "
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


def _again(lifted: bool) -> str:
    return ". The halt is lifted; the next tick trades again" if lifted else ""
