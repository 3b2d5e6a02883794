"""The exactly-once protocol: an order becomes attempts, and every attempt gets one outcome.

1. Before attempt n is created its bytes are fixed: id, timestamp and window. It is created if absent.
2. Its creator alone sends it, once. Everybody else, and the creator after a doubt, looks.
3. An attempt stays unknown until the order is found in a final state with trades that agree with it (`lookup.py`), or
   until it is absent: the exchange's clock is past what the attempt expires at by SETTLE_MS, then two looks find
   nothing, and open orders, own trades and balances agree (`absence.py`). If a look fails, the order is in doubt and
   nothing else is sent.
4. Only an absent attempt may be followed by another, and one, once an order, that the venue's filters refused: its
   successor carries what they accept now (`requantise.py`). Both only before the order's deadline.

Every function is safe to repeat from any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trader.app.absence import free_of, require_absent
from trader.app.fee_stock import valued_by_rate
from trader.app.journal import Journal
from trader.app.lookup import disagreement, unreconciled
from trader.app.order_ids import client_order_id
from trader.app.parent_order import ParentOrder, parent_of
from trader.app.requantise import AttemptedOrder, asks_filters, carried_on, fitted, may_follow
from trader.core.errors import Halt, OrderInDoubt, Retry
from trader.core.events import ClosedAttemptEvent
from trader.core.executions import is_absurd
from trader.core.ports import Clock, Exchange, OrderState, SignedOrder
from trader.core.records import Attempt, Decision, Outcome, OutcomeKind
from trader.core.types import Fill, Filters

SETTLE_MS = 10_000
LOOK_EVERY_S = 1.0
PATIENCE_S = 60.0
MAX_ATTEMPTS = 9


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What carrying out an order needs. `bot` is the name that its client order ids begin with. `renew_filters` asks the
    venue's filters again at an hour, for whoever keeps them. patience_s: how long an order whose outcome is unknown is looked
    for; 0 looks once."""

    journal: Journal
    exchange: Exchange
    clock: Clock
    bot: str
    renew_filters: Callable[[int], Filters]
    patience_s: float = PATIENCE_S


def carry_out(
    context: ExecutionContext, hour: int, decision: Decision, *, untried: bool = False, forbidden: str = ""
) -> list[Fill]:
    """Bring a decision's order to its end and return what was executed, whoever sent it.

    `untried`: this process has just made the decision, so that looking for an earlier attempt can wait for the
    creation of its own, which finds out. `forbidden`: why it must not be sent.
    Raises OrderInDoubt while an attempt is unknown, Halt where the venue knows another order of its id.
    """
    parent = parent_of(decision, forbidden)
    return [] if parent is None else execute(context, parent, untried=untried)


def execute(context: ExecutionContext, parent: ParentOrder, *, untried: bool = False) -> list[Fill]:
    """Bring an order to its end and return what was executed, whoever sent it. Raises as `carry_out`."""
    fills: list[Fill] = []
    before: Outcome | None = None
    for n in range(parent.first_attempt, MAX_ATTEMPTS + 1):
        first = untried and n == parent.first_attempt
        outcome = None if first else context.journal.outcome(parent.hour, n, parent.series)
        outcome = outcome or _work(context, parent, n, first, before)
        fills += outcome.fills
        if not may_follow(outcome):
            break
        before = outcome
    return fills


def order_name(context: ExecutionContext, parent: ParentOrder, n: int) -> str:
    """The client order id of attempt n."""
    journal = context.journal
    return client_order_id(context.bot, journal.store_id(), journal.symbol, parent.hour, parent.kind, n)


def _work(
    context: ExecutionContext, parent: ParentOrder, n: int, untried: bool, before: Outcome | None
) -> Outcome:
    attempt = None if untried else context.journal.attempt(parent.hour, n, parent.series)
    if attempt is None:
        attempt, ours = _begin(context, parent, n, before)
        if ours:
            return _send(context, parent, n, attempt)
    if attempt.void and not parent.sent_before:
        return _close(context, parent, n, "void", _why_void(parent, attempt))
    if attempt.void:
        return _close(context, parent, n, "absent", "its record was lost, and the venue does not know it")
    return _look(context, parent, n, attempt)


def _why_void(parent: ParentOrder, attempt: Attempt) -> str:
    if parent.forbidden:
        return parent.forbidden
    in_time = attempt.timestamp_ms <= parent.deadline_ms
    return "the venue's filters accept no smaller part of it" if in_time else "not sent before the deadline"


def _begin(
    context: ExecutionContext, parent: ParentOrder, n: int, before: Outcome | None
) -> tuple[Attempt, bool]:
    """Create attempt n, which follows `before`. It is a void one past the deadline, which fences whoever slept between decision
    and attempt, or if the filters of now accept nothing less. Where the venue knows the order already, it is that order's,
    and nobody sends it."""
    symbol, now = context.journal.symbol, context.exchange.time_ms()
    name = order_name(context, parent, n)
    late = now > parent.deadline_ms or parent.sent_before or bool(parent.forbidden)
    # Whatever the journal says, no attempt begins without asking whether the venue has its order already.
    known = context.exchange.find(symbol, name)
    if known is not None and context.journal.attempt(parent.hour, n, parent.series) is None:
        _require_same(parent, known)
    if known is None and parent.sent_before:
        _require_later(context, parent, n)
    fit = AttemptedOrder(parent.order.qty) if known or late else _carried(context, parent, n, before)
    void, carried = (late and known is None) or fit is None, fit or AttemptedOrder(parent.order.qty)
    order = parent.order
    signed = context.exchange.sign(symbol, order.side, carried.qty, name, known.transact_ms if known else now)
    made = Attempt(
        symbol=symbol,
        void=void,
        side=order.side,
        qty=carried.qty,
        expected_price=order.expected_price,
        balances=None if void or known else free_of(context.exchange, symbol),
        client_order_id=signed.client_order_id,
        timestamp_ms=signed.timestamp_ms,
        recv_window_ms=signed.recv_window_ms,
        expires_at_ms=signed.expires_at_ms,
        filters=carried.filters,
    )
    attempt, ours = context.journal.try_once(parent.hour, n, made, parent.series)
    return attempt, ours and not void and known is None


def _carried(
    context: ExecutionContext, parent: ParentOrder, n: int, before: Outcome | None
) -> AttemptedOrder | None:
    """What attempt n carries: as much as the one before it, or, where filters refused that, what they accept now; None where
    that is nothing new."""
    earlier = None if before is None else context.journal.attempt(parent.hour, n - 1, parent.series)
    carried = carried_on(earlier, parent.order)
    if before is None or not before.requantise:
        return carried
    return fitted(carried, parent.order.expected_price, context.renew_filters(parent.hour))


def _require_same(parent: ParentOrder, known: OrderState) -> None:
    """Raises Halt where the venue's order of this id cannot be what was decided."""
    if known.side == parent.order.side and known.executed_qty <= parent.order.qty:
        return
    raise Halt(
        "foreign_order",
        f"the venue knows order {known.client_order_id} as {known.side} of {known.executed_qty}, and this journal decided "
        f"{parent.order.side} {parent.order.qty} under that id: another bot with this store's id trades on this "
        "account. Stop it, then say "
        f"whose the order is: trader adopt {known.client_order_id}, or trader ignore {known.client_order_id}",
    )


def _require_later(context: ExecutionContext, parent: ParentOrder, n: int) -> None:
    """Raises OrderInDoubt unless the venue knows a later attempt of an order that it is known to have executed."""
    names = [order_name(context, parent, later) for later in range(n + 1, MAX_ATTEMPTS + 1)]
    if not any(context.exchange.find(context.journal.symbol, name) for name in names):
        raise OrderInDoubt(
            f"order {order_name(context, parent, n)} is listed although a query finds neither it nor a later attempt"
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


def _send(context: ExecutionContext, parent: ParentOrder, n: int, attempt: Attempt) -> Outcome:
    sent = context.exchange.send(_signed(attempt))
    if sent.outcome == "refused":
        # The venue said no, or never heard: these bytes were not executed and will not be sent again. What a new attempt
        # may mend is absent, so that one may follow before the deadline: at once, or with the next tick.
        kind: OutcomeKind = "absent" if sent.again in ("now", "later") else "refused"
        closed = _close(context, parent, n, kind, sent.message, requantise=asks_filters(sent, attempt))
        if sent.again == "later":
            raise Retry(
                f"order {attempt.client_order_id} was not taken ({sent.message}); the next tick tries again"
            )
        return closed
    fills = sent.fills or []
    if sent.state is not None and sent.state.final and not is_absurd(fills, attempt.expected_price):
        return _executed(context, parent, n, sent.state, fills)
    return _look(context, parent, n, attempt)


def _look(context: ExecutionContext, parent: ParentOrder, n: int, attempt: Attempt) -> Outcome:
    """Ask until the attempt is found in a final state or proved absent. Raises OrderInDoubt if neither comes in time, Halt if
    past the deadline balances alone speak against absence, or the venue's answers contradict each other."""
    symbol, name = context.journal.symbol, attempt.client_order_id
    waited, doubt = 0.0, ""
    try:
        while waited <= context.patience_s:
            state, doubt = context.exchange.find(symbol, name), ""
            if state is not None and state.final:
                fills = context.exchange.fills(symbol, state.order_id) if state.executed_qty else []
                doubt = disagreement(context.exchange, attempt, state, fills)
                if not doubt:
                    return _executed(context, parent, n, state, fills)
            if state is None and context.exchange.time_ms() > attempt.expires_at_ms + SETTLE_MS:
                by_word = require_absent(
                    context.journal, context.exchange, context.clock, attempt, parent.deadline_ms
                )
                if by_word:  # a person's, against the balances: should it turn up later, it is looked for
                    _note_closed(context, parent, n)
                return _close(context, parent, n, "absent", "never reached the venue")
            if not context.patience_s:
                break
            context.clock.sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S
        if doubt:
            raise unreconciled(context.exchange, attempt, doubt, parent.deadline_ms)
    except OrderInDoubt:
        raise
    except Retry as error:
        raise OrderInDoubt(f"order {name} is unknown and the venue cannot be asked: {error}") from None
    raise OrderInDoubt(
        f"order {name} is still unknown after {waited:.0f} s of looking; looking again next time. If the venue never "
        f"brings it to an end, close it by hand: see trader close-attempt --help"
    )


def _note_closed(context: ExecutionContext, parent: ParentOrder, n: int) -> None:
    journal, said = context.journal, "a halt that named the order was resumed"
    journal.append(
        ClosedAttemptEvent(journal.symbol, context.exchange.time_ms(), "person", said, parent.hour, n)
    )


def _executed(
    context: ExecutionContext, parent: ParentOrder, n: int, state: OrderState, fills: Sequence[Fill]
) -> Outcome:
    return context.journal.close_attempt(
        parent.hour, n, outcome_of(context.journal.symbol, state, fills), parent.series
    )


def outcome_of(symbol: str, state: OrderState, fills: Sequence[Fill], message: str = "") -> Outcome:
    """What became of an attempt whose order the venue knows."""
    kind: OutcomeKind = (
        "filled" if state.status == "FILLED" else "partial" if state.executed_qty else "expired"
    )
    told = "; ".join(filter(None, (message or state.status, valued_by_rate(fills))))
    return Outcome(symbol, kind, tuple(fills), told, state.order_id, state.transact_ms)


def _close(
    context: ExecutionContext,
    parent: ParentOrder,
    n: int,
    kind: OutcomeKind,
    message: str,
    *,
    requantise: bool = False,
) -> Outcome:
    """The outcome of an attempt that left nothing at the venue."""
    nothing = Outcome(context.journal.symbol, kind, (), message, requantise=requantise)
    return context.journal.close_attempt(parent.hour, n, nothing, parent.series)
