"""The exactly-once protocol: a decision's order becomes attempts, and every attempt gets one outcome.

1. Before attempt n is created its bytes are fixed: id, timestamp and window. It is created if absent.
2. Its creator alone sends it, once. Everybody else, and the creator after a doubt, looks.
3. An attempt stays unknown until the order is found in a final state with trades that agree with it (`lookup.py`), or
   until it is absent: the exchange's clock is past what the attempt expires at by SETTLE_MS, then two looks find
   nothing, and open orders, own trades and balances agree (`absence.py`). If a look fails, the order is in doubt and
   nothing else is sent.
4. Only an absent attempt may be followed by another, and one, once an hour, that the venue's filters refused: its
   successor carries what they accept now (`requantise.py`). Both only before the decision's deadline.

Every function is safe to repeat from any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trader.app.absence import free_of, require_absent
from trader.app.fee_stock import valued_by_rate
from trader.app.journal import Journal
from trader.app.lookup import disagreement, unreconciled
from trader.app.requantise import Carried, asks_filters, carried_on, fitted, may_follow
from trader.core.errors import Halt, OrderInDoubt, Retry
from trader.core.executions import is_absurd
from trader.core.ports import Clock, Exchange, OrderState, SignedOrder
from trader.core.records import Attempt, Decision, Order, Outcome, OutcomeKind
from trader.core.types import Fill, Filters, iso

SETTLE_MS = 10_000
LOOK_EVERY_S = 1.0
PATIENCE_S = 60.0
MAX_ATTEMPTS = 9


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What carrying out an order needs. `bot` is the name that its client order ids begin with. `renew_filters` asks the
    venue's filters again at an hour, for whoever keeps them."""

    journal: Journal
    exchange: Exchange
    clock: Clock
    bot: str
    renew_filters: Callable[[int], Filters]


def client_order_id(bot: str, store: str, symbol: str, hour: int, kind: str, n: int) -> str:
    """`<bot>-<store>-<symbol>-<yymmddhh>-<kind><n>`: at most 36 characters, the same for everyone who computes it."""
    stamp = iso(hour)[2:13].replace("-", "").replace("T", "")
    return f"{bot[:6]}-{store}-{symbol[:12]}-{stamp}-{kind}{n}"


def carry_out(
    context: ExecutionContext, hour: int, decision: Decision, *, untried: bool = False
) -> list[Fill]:
    """Bring a decision's order to its end and return what was executed, whoever sent it.

    `untried`: this process has just made the decision, so that looking for an earlier attempt can wait for the
    creation of its own, which finds out.
    Raises OrderInDoubt while an attempt is unknown, Halt where another life of this bot is found.
    """
    fills: list[Fill] = []
    order, before = decision.order, None
    if order is None:
        return fills
    for n in range(1, MAX_ATTEMPTS + 1):
        first = untried and n == 1
        outcome = None if first else context.journal.outcome(hour, n)
        outcome = outcome or _work(context, hour, n, decision, order, first, before)
        fills += outcome.fills
        if not may_follow(outcome):
            break
        before = outcome
    return fills


def _work(
    context: ExecutionContext,
    hour: int,
    n: int,
    decision: Decision,
    order: Order,
    untried: bool,
    before: Outcome | None,
) -> Outcome:
    attempt = None if untried else context.journal.attempt(hour, n)
    if attempt is None:
        attempt, ours = _begin(context, hour, n, decision, order, before)
        if ours:
            return _send(context, hour, n, attempt, decision.deadline_ms)
    if attempt.void:
        in_time = attempt.timestamp_ms <= decision.deadline_ms
        why = (
            "the venue's filters accept no smaller part of it" if in_time else "not sent before the deadline"
        )
        return _close(context, hour, n, "void", why)
    return _look(context, hour, n, attempt, decision.deadline_ms)


def _begin(
    context: ExecutionContext, hour: int, n: int, decision: Decision, order: Order, before: Outcome | None
) -> tuple[Attempt, bool]:
    """Create attempt n, which follows `before`; past the deadline, or if the filters of now accept nothing less, a void one,
    which fences whoever slept between decision and attempt."""
    symbol, now = context.journal.symbol, context.exchange.time_ms()
    fit = None if now > decision.deadline_ms else _carried(context, hour, n, order, before)
    void, carried = fit is None, fit or Carried(order.qty)
    kind = "h" if decision.reason == "halt" else "d"
    name = client_order_id(context.bot, context.journal.store_id(), symbol, hour, kind, n)
    if not void and n == 1:
        refuse_another_life(context, hour, name)
    signed = context.exchange.sign(symbol, order.side, carried.qty, name, now)
    made = Attempt(
        symbol=symbol,
        void=void,
        side=order.side,
        qty=carried.qty,
        expected_price=order.expected_price,
        balances=None if void else free_of(context.exchange, symbol),
        client_order_id=signed.client_order_id,
        timestamp_ms=signed.timestamp_ms,
        recv_window_ms=signed.recv_window_ms,
        expires_at_ms=signed.expires_at_ms,
        filters=carried.filters,
    )
    attempt, ours = context.journal.try_once(hour, n, made)
    return attempt, ours and not void


def _carried(
    context: ExecutionContext, hour: int, n: int, order: Order, before: Outcome | None
) -> Carried | None:
    """What attempt n carries: as much as the one before it, or, where filters refused that, what they accept now; None where
    that is nothing new."""
    carried = carried_on(context.journal, hour, n, order)
    if before is None or not before.requantise:
        return carried
    return fitted(carried, order.expected_price, context.renew_filters(hour))


def refuse_another_life(context: ExecutionContext, hour: int, name: str | None = None) -> None:
    """Raises Halt where the venue knows an hour's order that was not sent yet, or one of this bot from another store.

    An order that another process of this bot has just sent is no other life: its attempt stood before it was sent.
    """
    store = context.journal.store_id()
    name = name or client_order_id(context.bot, store, context.journal.symbol, hour, "d", 1)
    if (
        context.exchange.find(context.journal.symbol, name) is not None
        and context.journal.attempt(hour, 1) is None
    ):
        raise Halt(
            "foreign_order",
            f"the venue already knows order {name}, and this journal has not sent it: another life of this bot "
            f"trades here. Restore its journal, or give this bot another name",
        )
    bot, mine = f"{context.bot[:6]}-", f"{context.bot[:6]}-{store}-"
    for other in context.exchange.client_order_ids(context.journal.symbol, hour):
        if other.startswith(bot) and not other.startswith(mine):
            raise Halt(
                "two_stores",
                f"order {other} was sent by a bot of this name with another store: two bots trade one account. Stop "
                f"one of them, or give it another name",
            )


def _signed(attempt: Attempt) -> SignedOrder:
    return SignedOrder(
        symbol=attempt.symbol,
        side=attempt.side,
        qty=attempt.qty,
        client_order_id=attempt.client_order_id,
        timestamp_ms=attempt.timestamp_ms,
        recv_window_ms=attempt.recv_window_ms,
    )


def _send(context: ExecutionContext, hour: int, n: int, attempt: Attempt, deadline_ms: int) -> Outcome:
    sent = context.exchange.send(_signed(attempt))
    if sent.outcome == "refused":
        # The venue said no, or never heard: these bytes were not executed and will not be sent again. What a new attempt
        # may mend is absent, so that one may follow before the hour's deadline: at once, or with the next tick.
        requantise = asks_filters(sent, attempt)
        kind: OutcomeKind = "absent" if sent.again in ("now", "later") else "refused"
        closed = _close(context, hour, n, kind, sent.message, requantise=requantise)
        if sent.again == "later":
            raise Retry(
                f"order {attempt.client_order_id} was not taken ({sent.message}); the next tick tries again"
            )
        return closed
    fills = sent.fills or []
    if sent.state is not None and sent.state.final and not is_absurd(fills, attempt.expected_price):
        return _executed(context, hour, n, sent.state, fills)
    return _look(context, hour, n, attempt, deadline_ms)


def _look(context: ExecutionContext, hour: int, n: int, attempt: Attempt, deadline_ms: int) -> Outcome:
    """Ask until the attempt is found in a final state or proved absent. Raises OrderInDoubt if neither comes in time, Halt if
    past the deadline balances alone speak against absence, or the venue's answers contradict each other."""
    symbol, name = context.journal.symbol, attempt.client_order_id
    waited, doubt = 0.0, ""
    try:
        while waited <= PATIENCE_S:
            state, doubt = context.exchange.find(symbol, name), ""
            if state is not None and state.final:
                fills = context.exchange.fills(symbol, state.order_id) if state.executed_qty else []
                doubt = disagreement(context.exchange, attempt, state, fills)
                if not doubt:
                    return _executed(context, hour, n, state, fills)
            if state is None and context.exchange.time_ms() > attempt.expires_at_ms + SETTLE_MS:
                require_absent(context.journal, context.exchange, context.clock, attempt, deadline_ms)
                return _close(context, hour, n, "absent", "never reached the venue")
            context.clock.sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S
        if doubt:
            raise unreconciled(context.exchange, attempt, doubt, deadline_ms)
    except OrderInDoubt:
        raise
    except Retry as error:
        raise OrderInDoubt(f"order {name} is unknown and the venue cannot be asked: {error}") from None
    raise OrderInDoubt(
        f"order {name} is still unknown after {waited:.0f} s of looking; looking again next time"
    )


def _executed(
    context: ExecutionContext, hour: int, n: int, state: OrderState, fills: Sequence[Fill]
) -> Outcome:
    kind: OutcomeKind = (
        "filled" if state.status == "FILLED" else "partial" if state.executed_qty else "expired"
    )
    told = "; ".join(filter(None, (state.status, valued_by_rate(fills))))
    outcome = Outcome(context.journal.symbol, kind, tuple(fills), told, state.order_id, state.transact_ms)
    return context.journal.close_attempt(hour, n, outcome)


def _close(
    context: ExecutionContext, hour: int, n: int, kind: OutcomeKind, message: str, *, requantise: bool = False
) -> Outcome:
    """The outcome of an attempt that left nothing at the venue."""
    outcome = Outcome(context.journal.symbol, kind, (), message, requantise=requantise)
    return context.journal.close_attempt(hour, n, outcome)
