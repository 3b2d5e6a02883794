"""What a person does about the account, each an event with a reason: sell at once, begin a new epoch. Safe to repeat."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from trader.app import flatten as at_once
from trader.app.adoption import with_account
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT
from trader.app.halts import announce, require_settled, resume, standing_halt
from trader.app.orders import MAX_ATTEMPTS
from trader.app.retrain import deployment, newest_readable_params
from trader.app.tick import tick
from trader.core.costs import fill_price
from trader.core.errors import ConfigError, DataError, OrderInDoubt, TraderError
from trader.core.events import EpochEvent, FlattenEvent
from trader.core.ledger import Ledger
from trader.core.params import Params
from trader.core.types import HOUR_MS, Fill, floor_hour, iso, plain

# So long before the next hour a sale at once lets that hour sell.
TURN_MS = 30_000
NOT_BEGUN = "this bot has not begun yet; train its first model with: trader retrain --params P.json"


@dataclass(frozen=True, slots=True)
class VerbResult:
    """What a verb did, in words; `lifted`: the halt that named its cause was lifted with it."""

    words: str
    lifted: bool = False


def flatten(bot: Bot, reason: str) -> VerbResult:
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
    return VerbResult(f"{bot.symbol}: {_sold(fills)}; {left} held, trading is halted.{trouble}")


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
        params = newest_readable_params(bot.journal)
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


def epoch(bot: Bot, reason: str, allocation_usdt: Decimal | None = None) -> VerbResult:
    """Begin anew, flat with the allocation: after a wipe, or where what is missing will not come back. Halts are lifted.

    Raises ConfigError while the account holds what this bot believes to hold, and where it does not cover the allocation.
    """
    if bot.journal.in_book:
        raise ConfigError(
            f"{bot.symbol} is a symbol of a book, which alone moves its cash. Where the symbol trades no more: trader release "
            f"{bot.symbol} --reason ...; after the venue wiped the account begin the book anew, with another --store"
        )
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
    return VerbResult(
        f"{bot.symbol}: a new epoch begins with {plain(allocation)} {quote}, flat{again(lifted)}", lifted
    )


def _allocation(bot: Bot, given: Decimal | None) -> Decimal:
    """What an epoch begins with. Raises ConfigError where neither a person nor a card that can be read says it."""
    if given is not None:
        return given
    try:
        params = newest_readable_params(bot.journal)
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


def again(lifted: bool) -> str:
    """What a verb adds where it lifted the halt."""
    return ". The halt is lifted; the next tick trades again" if lifted else ""
