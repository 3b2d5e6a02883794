"""One hour, exactly once: compare, decide, apply. Safe to run twice, at once, and after any crash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, get_args

from trader.app import trouble
from trader.app.adoption import made_after_the_fact
from trader.app.book_halts import follow_book
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT, CHAMPION, DEPLOYMENT, HALT, TROUBLE
from trader.app.comparison import UnknownOrders, require_known, unknown_orders
from trader.app.cover import broken_limit, covered
from trader.app.fee_stock import shortage
from trader.app.flatten import settle_flatten
from trader.app.halts import announce, standing_halt
from trader.app.journal import Journal
from trader.app.orders import PATIENCE_S, carry_out
from trader.app.proposal import propose
from trader.app.retrain import deployment, require_no_hours
from trader.app.tick_checks import require_events, require_our_time, require_sound
from trader.core.book import BOOK_HALT
from trader.core.errors import ConfigError, DataError, Halt
from trader.core.hours import HourLine
from trader.core.policy import HaltReason
from trader.core.ports import OrderState
from trader.core.records import Decision, HourRecord, record_of
from trader.core.types import HOUR_MS, Fill, floor_hour, iso, plain


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did. `lines` are the hours it closed, oldest first; `halted` says whether trading has stopped."""

    outcome: Literal["traded", "done", "not_begun"]
    hour: int
    lines: list[HourLine]
    message: str
    halted: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """An hour that waits for its decision; every hour before it is closed. hour, now_ms: UTC ms. newest: the record of the hour
    before, None for the first. lost: orders that the venue executed for the hour and the journal does not know. lines: of the
    hours that were closed on the way."""

    hour: int
    now_ms: int
    newest: HourRecord | None
    lost: tuple[OrderState, ...]
    lines: tuple[HourLine, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """An hour's decision as it stands in the store, and whether this process made it."""

    decision: Decision
    ours: bool


def tick(bot: Bot, before: int | None = None) -> Ticked:
    """Close every hour that is over and not closed, the current one included.

    Hours that passed without a decision are recorded as missed, or as shut where the venue was; they are never
    traded late. `before` (UTC ms) leaves the hours from it on alone. Raises Retry (nothing lost, try again), OrderInDoubt
    (an order is unknown), Halt (written to the store before it is raised), ConfigError.
    """
    with one_look(bot):
        begun = catch_up(bot, before)
        return begun if isinstance(begun, Ticked) else finish(bot, begun, decide(bot, begun))


def one_look(bot: Bot) -> AbstractContextManager[None]:
    """Within it the events of a tick are listed once."""
    return bot.journal.glance(DEPLOYMENT, CHAMPION, ACCOUNT, TROUBLE)


def catch_up(bot: Bot, before: int | None = None, now_ms: int | None = None) -> Ticked | Pending:
    """Close every hour before the one that is to be decided, the current one or the last before `before`. Ticked where there is
    nothing to decide. now_ms: the venue's time (UTC ms) where it was just asked. Raises as `tick`."""
    bot.journal.require_whole()
    now = bot.exchange.time_ms() if now_ms is None else now_ms
    require_our_time(bot, now)
    hour = floor_hour(now) if before is None else min(floor_hour(now), before - HOUR_MS)
    begun = deployment(bot.journal)
    if begun is None:
        require_no_hours(bot.journal)
        raise ConfigError(
            "this bot has not begun yet; train its first model with: trader retrain --params P.json"
        )
    if hour < begun.start_ms:
        return Ticked(
            "not_begun", hour, [], f"{bot.symbol}: the first hour is {iso(begun.start_ms)}; nothing to do"
        )
    newest = bot.journal.newest_record(hour, begun.start_ms)
    if newest is not None:
        require_events(bot.journal, newest)
    with _announced(bot, now):
        if newest is not None and newest.close_time == hour:
            settle_flatten(bot.context)
            trouble.over(bot.journal, now)
            halted = _stands_halted(bot.journal, newest)
            return Ticked("done", hour, [], f"{bot.symbol} {iso(hour)}: already done", halted)
        first = newest.close_time + HOUR_MS if newest else begun.start_ms
        found = _compared(bot, newest, first, floor_hour(now))
        lines: list[HourLine] = []
        for todo in range(first, hour, HOUR_MS):
            made = _decided(bot, todo, floor_hour(now), newest, found.lost.get(todo, ()))
            newest = _closed(bot, made)
            lines.append(newest.line)
    return Pending(hour, now, newest, tuple(found.lost.get(hour, ())), tuple(lines))


def decide(bot: Bot, pending: Pending) -> Decided:
    """Decide the hour if nobody has; nothing leaves. Raises as `tick`."""
    with _announced(bot, pending.now_ms):
        return _decided(bot, pending.hour, floor_hour(pending.now_ms), pending.newest, pending.lost)


def finish(bot: Bot, pending: Pending, made: Decided, patience_s: float = PATIENCE_S) -> Ticked:
    """Carry the decision out and close the hour. patience_s: how long an order whose outcome is unknown is looked for. Raises as
    `tick`."""
    with _announced(bot, pending.now_ms):
        record = _closed(bot, made, patience_s)
    trouble.over(bot.journal, pending.now_ms)
    said = f"{bot.symbol} {iso(pending.hour)}: {_sentence(record.line)}"
    if short := shortage(bot.exchange, record.fills):
        said = f"{said}. {short}"
    return Ticked("traded", pending.hour, [*pending.lines, record.line], said, record.halted)


@contextmanager
def _announced(bot: Bot, now: int) -> Iterator[None]:
    """A halt is in the store before anybody else hears of it."""
    try:
        yield
    except Halt as halt:
        announce(bot.journal, floor_hour(now), halt.reason, freeze=True, message=str(halt))
        raise


def _stands_halted(journal: Journal, newest: HourRecord) -> bool:
    """Whether trading is halted now: as the newest hour was, unless a halt or a resume came after it."""
    if journal.listed(HALT) <= newest.totals.halt_event:
        return newest.halted
    return standing_halt(journal) is not None


def _compared(bot: Bot, newest: HourRecord | None, first: int, current: int) -> UnknownOrders:
    """What the venue executed and the journal does not know, once a sale that a person ordered is settled. Raises Halt where
    only a person can say whose an order is."""
    settle_flatten(bot.context)
    found = unknown_orders(bot.context, newest, first, current, bot.journal.events(ACCOUNT))
    if found.strangers or found.closed:
        require_known(found, standing_halt(bot.journal))
    return found


def _decided(
    bot: Bot, hour: int, current: int, newest: HourRecord | None, lost: Sequence[OrderState]
) -> Decided:
    """The hour's decision, created if absent. `lost`: orders that the venue executed for it and the journal does not know."""
    decision, ours = bot.journal.decision(hour), False
    if decision is None:
        follow_book(bot, hour, current, newest)
        proposal = (
            _adopting(bot, hour, current, newest, lost) if lost else _covered(bot, hour, current, newest)
        )
        reason = proposal.totals.state.risk.halt_reason
        if proposal.halts and reason in (*get_args(HaltReason), BOOK_HALT):
            announce(bot.journal, hour, reason or "", freeze=_freezes(bot, proposal))
        decision, ours = bot.journal.decide(proposal)
    if not ours:
        require_sound(bot, decision, newest)
    return Decided(decision, ours)


def _freezes(bot: Bot, proposal: Decision) -> bool:
    """Whether the halt of a decision keeps what is held: as its book said, or as this bot's own limits do."""
    risk = proposal.totals.state.risk
    return risk.frozen if risk.halt_reason == BOOK_HALT else bot.freeze_on_halt


def _closed(bot: Bot, made: Decided, patience_s: float = PATIENCE_S) -> HourRecord:
    """Carry a decision out and close its hour. Each step is created if absent."""
    fills = _carried_out(bot, made.decision, made.ours, patience_s)
    return bot.journal.close_hour(record_of(made.decision, fills))


def _adopting(
    bot: Bot, hour: int, current: int, newest: HourRecord | None, lost: Sequence[OrderState]
) -> Decision:
    """The decision of an hour whose own was lost. Raises Halt where the bars to close the hour are not there."""
    name = lost[-1].client_order_id
    try:
        made = made_after_the_fact(bot.journal, propose(bot, hour, current, newest), lost)
    except DataError as error:
        raise Halt(
            "foreign_order",
            f"order {name} was executed for {iso(hour)}, the journal does not know it, and the hour cannot be closed: {error}. "
            f"Collect the bars (trader collect), then trader resume; or book it as it is: trader adopt {name} --reason ...",
        ) from None
    if made.reason == "halt" and made.totals.state.risk.halted_at is None:
        said = f"order {name} was the sale of a halt that this store has lost"
        announce(bot.journal, hour, "halt_lost", freeze=False, message=said)
    return made


def _covered(bot: Bot, hour: int, current: int, newest: HourRecord | None) -> Decision:
    """What the hour should decide, with an order that the account covers."""
    return covered(
        bot.context, propose(bot, hour, current, newest), lambda: propose(bot, hour, current, newest)
    )


def _carried_out(bot: Bot, decision: Decision, ours: bool, patience_s: float) -> list[Fill]:
    """What was executed of the decision. An order that exceeds a limit and was not sent yet never is, and trading halts."""
    hour, untried = decision.close_time, ours and not decision.found_at_venue
    allocation = _allocation(bot, decision) if decision.order else Decimal(0)
    book_record = None if bot.book is None else bot.book.book_record(hour, hour + HOUR_MS)
    most = None if book_record is None else book_record.hour.most_usdt(bot.symbol)
    why = broken_limit(bot.context, decision, bot.limits, allocation, most)
    if not why or (not ours and bot.journal.attempt(hour, 1) is not None):
        context = replace(bot.context, patience_s=patience_s)
        return carry_out(context, hour, decision, untried=untried)
    announce(
        bot.journal,
        hour,
        "limit",
        freeze=True,
        message=f"the order of {iso(hour)} was not sent: {why}",
    )
    return carry_out(bot.context, hour, decision, forbidden=why)


def _allocation(bot: Bot, decision: Decision) -> Decimal:
    """What limits on exposure are counted in: the parameters' own; for a symbol of a book what its risk epoch began with."""
    if bot.book is not None:
        return decision.totals.state.risk.base_equity
    return bot.params(decision.model_id).allocation_usdt


def _sentence(line: HourLine) -> str:
    held = f"position {plain(line.position)}, equity {plain(line.equity)} USDT"
    if line.order_side is None or line.order_qty is None:
        return f"no order ({line.reason}), {held}"
    filled = "not filled" if line.fill_price is None else f"filled at {plain(line.fill_price)}"
    return f"{line.order_side} {plain(line.order_qty)} ({line.reason}) {filled}, {held}"
