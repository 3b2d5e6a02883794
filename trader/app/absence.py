"""Whether an order that a query does not find was never executed: everything that must agree before it is `absent`.

Lists speak by name and are believed: an order or a trade under this id means that it lives. Balances speak by effect
only, and the account may move for reasons of its own. So they count against absence only where both legs moved the
way this order would have moved them and no listed trade explains it; a deposit or a withdrawal moves one leg.
Their doubt parks the hour while another attempt could follow, and then asks a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from trader.app.codec_events import HALT
from trader.app.journal import Journal
from trader.core.errors import Halt, OrderInDoubt
from trader.core.events import HaltEvent
from trader.core.ports import Clock, Exchange, OwnTrade
from trader.core.records import Attempt, Balances

RECHECK_DELAY_S = 2.0
# The share of the order, on both legs, from which a movement counts as its effect: a thin book fills parts.
LEAST_SHARE = Decimal("0.01")


def free_of(exchange: Exchange, symbol: str) -> Balances:
    """What the account can spend of the symbol's two assets, as an attempt keeps it."""
    base, quote = exchange.assets(symbol)
    free = exchange.balances()
    return Balances(free.get(base, Decimal(0)), free.get(quote, Decimal(0)))


def require_absent(
    journal: Journal, exchange: Exchange, clock: Clock, attempt: Attempt, deadline_ms: int
) -> bool:
    """The second look and what must agree with it: open orders, orders and own trades since the timestamp, balances. True where
    it was only a person's word that counted against the balances.

    Raises OrderInDoubt where anything disagrees. Past `deadline_ms` (UTC ms on the exchange's clock) no other attempt can
    follow, and balances that still disagree alone raise Halt, until a person has looked and resumed.
    """
    symbol, name, since = journal.symbol, attempt.client_order_id, attempt.timestamp_ms
    clock.sleep(RECHECK_DELAY_S)
    if exchange.find(symbol, name) is not None:
        raise OrderInDoubt(f"order {name} has just appeared; looking again next time")
    if any(order.client_order_id == name for order in exchange.open_orders(symbol)):
        raise OrderInDoubt(f"order {name} is open although a query does not find it")
    # The account may trade beside this bot: only an order of this very id speaks against its absence.
    if any(order.client_order_id == name for order in exchange.orders(symbol, since)):
        raise OrderInDoubt(f"order {name} is listed although a query does not find it")
    trades = exchange.trades(symbol, since)
    if any(trade.client_order_id == name for trade in trades):
        raise OrderInDoubt(f"a trade of order {name} is listed although a query does not find the order")
    if not shows_effect(attempt, free_of(exchange, symbol), trades):
        return False
    if _person_has_looked(journal, name):
        return True
    moved = f"the balances moved as order {name} would have moved them, and neither it nor a trade of it is listed"
    if exchange.time_ms() <= deadline_ms:
        raise OrderInDoubt(f"{moved}; looking again next time")
    raise Halt(
        "reconcile",
        f"{moved}. Look at the venue's own page of orders: while it is not there, trader resume closes it as never "
        f"executed",
    )


def shows_effect(attempt: Attempt, now: Balances, trades: Sequence[OwnTrade]) -> bool:
    """Whether both legs moved the way of the order by more than LEAST_SHARE of it, the listed trades taken out."""
    bought = sum((t.qty if t.side == "BUY" else -t.qty for t in trades), Decimal(0))
    paid = sum((t.quote_qty if t.side == "BUY" else -t.quote_qty for t in trades), Decimal(0))
    before = attempt.balances
    if before is None:  # a void attempt has none, and was never sent
        return False
    gained = now.base - before.base - bought
    spent = before.quote - now.quote - paid
    sign = 1 if attempt.side == "BUY" else -1
    least = attempt.qty * LEAST_SHARE
    return sign * gained >= least and sign * spent >= least * attempt.expected_price


def _person_has_looked(journal: Journal, name: str) -> bool:
    """Whether a halt that names this order was resumed."""
    named = False
    for event in journal.events(HALT):
        if named and not isinstance(event.content, HaltEvent):
            return True
        named = named or name in event.content.message
    return False
