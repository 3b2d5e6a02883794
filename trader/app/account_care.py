"""What a person does about the account, each an event with a reason: adopt or ignore an order, close an attempt, sell at once,
begin a new epoch. Safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.app import flatten as at_once
from trader.app.adoption import booked_by_hour, executed_of, with_account
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT
from trader.app.halts import announce, lift, resume, standing_halt
from trader.app.journal import Series
from trader.app.order_ids import parse_order_id
from trader.app.orders import SETTLE_MS, outcome_of
from trader.app.retrain import deployment, serving_params
from trader.app.tick import tick
from trader.core.costs import fill_price
from trader.core.errors import ConfigError, OrderInDoubt, TraderError
from trader.core.events import AdoptEvent, ClosedAttemptEvent, EpochEvent, FlattenEvent, IgnoreEvent
from trader.core.ledger import Ledger
from trader.core.ports import OrderState
from trader.core.records import Attempt, Outcome
from trader.core.types import HOUR_MS, Fill, floor_hour, iso, plain

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
    order = _executed(bot, name)
    _require_not_ours(bot, order)
    fills = bot.exchange.fills(bot.symbol, order.order_id)
    if sum((fill.qty for fill in fills), Decimal(0)) != order.executed_qty:
        raise OrderInDoubt(
            f"the venue lists {len(fills)} trades of order {name}, not all of it; ask again in a minute"
        )
    fills = [fill for fill in fills if fill.trade_id not in booked_by_hour(bot.journal, name)]
    held = believed(bot).position
    if order.side == "SELL" and order.executed_qty > held:
        raise ConfigError(
            f"order {name} sold {plain(order.executed_qty)}, this bot holds {plain(held)}: it cannot all be this bot's. If it is "
            f"none of its business: trader ignore {name} --reason ..."
        )
    at_ms = bot.exchange.time_ms()
    bot.journal.append(AdoptEvent(bot.symbol, at_ms, "person", reason, name, order.transact_ms, tuple(fills)))
    what = f"{order.side} {plain(order.executed_qty)} at {plain(order.quote_qty / order.executed_qty)}"
    lifted = lift(bot.journal, at_ms, name, f"adopted {name}: {reason}")
    return Done(
        f"{bot.symbol}: {name} ({what}) is this bot's; the next hour books it{_again(lifted)}", lifted
    )


def ignore(bot: Bot, name: str, reason: str) -> Done:
    """An order is none of this bot's business; of another store, neither are that store's earlier ones. A halt that names it is
    lifted."""
    if said := _said_already(bot, name):
        return said
    at_ms, order = bot.exchange.time_ms(), bot.exchange.find(bot.symbol, name)
    if order is not None:
        _require_not_ours(bot, order)
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
    until = max(attempt.expires_at_ms + SETTLE_MS, hour + 10 * 60_000)
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
    begun = deployment(bot.journal)
    if begun is None:
        raise ConfigError(NOT_BEGUN)
    announce(bot.journal, bot.exchange.time_ms(), "person", freeze=False, by="person", message=reason)
    trouble = ""
    try:
        tick(bot)
    except OrderInDoubt:
        raise
    except TraderError as error:  # the hour waits for a person; what is held need not
        trouble = f" The hour itself is not closed: {error}"
    fills = at_once.settle_flatten(bot.context) or []
    sale = _sale(bot, reason)
    if sale is not None:
        bot.journal.append(sale)
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
    until = now + at_once.FLATTEN_MS
    return FlattenEvent(bot.symbol, now, "person", reason, hour, qty, price, until, first)


def epoch(bot: Bot, reason: str, allocation_usdt: Decimal | None = None) -> Done:
    """Begin anew, flat with the allocation: after a wipe, or where what is missing will not come back. Halts are lifted.

    Raises ConfigError while the account holds what this bot believes to hold, and where it does not cover the allocation.
    """
    params = serving_params(bot.journal)
    if params is None:
        raise ConfigError(NOT_BEGUN)
    allocation = params.allocation_usdt if allocation_usdt is None else allocation_usdt
    base, quote = bot.exchange.assets(bot.symbol)
    free, filters = bot.exchange.balances(), bot.exchange.filters(bot.symbol)
    held = min(believed(bot).position, free.get(base, Decimal(0)))
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
    bot.journal.append(EpochEvent(bot.symbol, at_ms, "person", reason, allocation))
    lifted = standing_halt(bot.journal) is not None
    if lifted:
        resume(bot.journal, at_ms, f"a new epoch: {reason}")
    return Done(
        f"{bot.symbol}: a new epoch begins with {plain(allocation)} {quote}, flat{_again(lifted)}", lifted
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


def _require_not_ours(bot: Bot, order: OrderState) -> None:
    """Raises ConfigError for an order that the journal has, and for one that the next tick adopts by itself."""
    name = parse_order_id(order.client_order_id)
    if name is None or name.store != bot.journal.store_id():
        return
    series = series_of(name.kind == "f")
    outcome = bot.journal.outcome(name.hour, name.attempt, series)
    if outcome is not None and executed_of(outcome) == order.executed_qty:
        raise ConfigError(
            f"the journal has order {order.client_order_id} already. See: trader explain {iso(name.hour)[:13]}"
        )
    begun, now = deployment(bot.journal), bot.exchange.time_ms()
    newest = bot.journal.newest_record(floor_hour(now), begun.start_ms) if begun else None
    first = newest.close_time + HOUR_MS if newest else begun.start_ms if begun else now
    halt = standing_halt(bot.journal)
    named = halt is not None and order.client_order_id in halt.message
    if first <= name.hour <= now and not named:
        raise ConfigError(
            f"order {order.client_order_id} is this store's own: the next tick adopts it by itself. Run: trader tick"
        )


def _again(lifted: bool) -> str:
    return ". The halt is lifted; the next tick trades again" if lifted else ""
