"""Attempts and outcomes that are made again, by what the venue says of their orders."""

from __future__ import annotations

from trader.app.bot import Bot
from trader.app.journal import hour_folder
from trader.app.orders import MAX_ATTEMPTS, order_name, outcome_of
from trader.app.parent_order import parent_of
from trader.core.errors import DataError
from trader.core.ports import OrderState
from trader.core.records import Attempt, Decision, Outcome
from trader.core.types import iso

# An order that was signed at the deadline cannot arrive later than this after it.
LATEST_MS = 70_000


def sent(bot: Bot, hour: int) -> list[OrderState]:
    """What the venue executed under the attempts of an hour."""
    attempts = [a for n in range(1, MAX_ATTEMPTS + 1) if (a := bot.journal.attempt(hour, n)) and not a.void]
    found = (bot.exchange.find(bot.symbol, attempt.client_order_id) for attempt in attempts)
    return [order for order in found if order is not None and order.executed_qty]


def attempt_of(bot: Bot, decision: Decision, n: int) -> Attempt:
    """Attempt n of a decision, as the venue knows it; void where the venue does not, once it cannot come any more. Raises
    DataError before that."""
    parent = parent_of(decision)
    if parent is None:
        raise DataError(
            f"{hour_folder(bot.symbol, decision.close_time)}/attempt-{n}: there is no order to carry out"
        )
    name = order_name(bot.context, parent, n)
    known, now = bot.exchange.find(bot.symbol, name), bot.exchange.time_ms()
    if known is None and now <= parent.deadline_ms + LATEST_MS:
        raise DataError(
            f"order {name} may still arrive; ask again after {iso(parent.deadline_ms + LATEST_MS)}"
        )
    at_ms = known.transact_ms if known else now
    order = bot.exchange.sign(bot.symbol, parent.order.side, parent.order.qty, name, at_ms)
    return Attempt(
        symbol=bot.symbol,
        void=known is None,
        side=order.side,
        qty=order.qty,
        expected_price=parent.order.expected_price,
        balances=None,
        client_order_id=name,
        timestamp_ms=order.timestamp_ms,
        recv_window_ms=order.recv_window_ms,
        expires_at_ms=order.expires_at_ms,
    )


def outcome_now(bot: Bot, attempt: Attempt, key: str) -> Outcome:
    """What became of an attempt, by what the venue says now. Raises DataError, which names `key`, while its order is open."""
    if attempt.void:
        return Outcome(bot.symbol, "void", (), "not sent")
    state = bot.exchange.find(bot.symbol, attempt.client_order_id)
    if state is None:
        return Outcome(bot.symbol, "absent", (), "the venue does not know it")
    if not state.final:
        raise DataError(
            f"{key}: damaged, and order {attempt.client_order_id} is {state.status}; ask again later"
        )
    return outcome_of(
        bot.symbol, state, bot.exchange.fills(bot.symbol, state.order_id) if state.executed_qty else []
    )
