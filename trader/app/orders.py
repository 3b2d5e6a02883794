"""The exactly-once protocol: a decision's order becomes attempts, and every attempt gets one outcome.

1. Before attempt n is created its bytes are fixed: id, timestamp and window. It is created if absent.
2. Its creator alone sends it, once. Everybody else, and the creator after a doubt, looks.
3. An attempt stays unknown until the order is found in a final state, or until it is absent: the exchange's clock is
   past the attempt's horizon by SETTLE_MS, then two looks find nothing, and open orders, own trades and balances
   agree (`absence.py`). If a look fails, the hour is parked and nothing else is sent.
4. Only an absent attempt may be followed by another, and only before the decision's deadline.

Every function is safe to repeat from any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from trader.app.absence import free_of, require_absent
from trader.app.journal import Journal, Json
from trader.app.objects import read_fill, write_fill
from trader.core.errors import Halt, Parked, Retry
from trader.core.ports import Clock, Exchange, OrderState, SignedOrder
from trader.core.types import Fill, Side, iso, plain

SETTLE_MS = 10_000
LOOK_EVERY_S = 1.0
PATIENCE_S = 60.0
MAX_ATTEMPTS = 9

FILLED, PARTIAL, EXPIRED, REFUSED, ABSENT, VOID = "filled", "partial", "expired", "refused", "absent", "void"


@dataclass(frozen=True, slots=True)
class Desk:
    """What carrying out an order needs."""

    journal: Journal
    exchange: Exchange
    clock: Clock
    bot: str


def client_order_id(bot: str, store: str, symbol: str, hour: int, kind: str, n: int) -> str:
    """`<bot>-<store>-<symbol>-<yymmddhh>-<kind><n>`: at most 36 characters, the same for everyone who computes it."""
    stamp = iso(hour)[2:13].replace("-", "").replace("T", "")
    return f"{bot[:6]}-{store}-{symbol[:12]}-{stamp}-{kind}{n}"


def carry_out(desk: Desk, hour: int, decision: Json, *, untried: bool = False) -> list[Fill]:
    """Bring a decision's order to its end and return what was executed, whoever sent it.

    `untried`: this process has just made the decision, so that looking for an earlier attempt can wait for the
    creation of its own, which finds out.
    Raises Parked while an attempt is unknown, Halt where another life of this bot is found.
    """
    fills: list[Fill] = []
    if decision["order"] is None:
        return fills
    for n in range(1, MAX_ATTEMPTS + 1):
        first = untried and n == 1
        outcome = None if first else desk.journal.outcome(hour, n)
        outcome = outcome or _work(desk, hour, n, decision, first)
        fills += [read_fill(row) for row in outcome["fills"]]
        if outcome["kind"] != ABSENT:
            break
    return fills


def _work(desk: Desk, hour: int, n: int, decision: Json, untried: bool) -> Json:
    attempt = None if untried else desk.journal.attempt(hour, n)
    if attempt is None:
        attempt, ours = _begin(desk, hour, n, decision)
        if ours:
            return _send(desk, hour, n, attempt, decision["deadline"])
    if attempt["void"]:
        return desk.journal.close_attempt(hour, n, _content(VOID, [], "not sent before the deadline"))
    return _look(desk, hour, n, attempt, decision["deadline"])


def _begin(desk: Desk, hour: int, n: int, decision: Json) -> tuple[Json, bool]:
    """Create attempt n; past the deadline, a void one, which fences whoever slept between decision and attempt."""
    symbol, order = desk.journal.symbol, decision["order"]
    now = desk.exchange.time_ms()
    void = now > decision["deadline"]
    side: Side = order["side"]
    qty = Decimal(order["qty"])
    kind = "h" if decision["reason"] == "halt" else "d"
    name = client_order_id(desk.bot, desk.journal.store_id(), symbol, hour, kind, n)
    if not void and n == 1:
        refuse_another_life(desk, hour, name)
    signed = desk.exchange.sign(symbol, side, qty, name, now)
    content = {
        "void": void,
        "side": side,
        "qty": plain(qty),
        "expected_price": order["expected_price"],
        "balances": None if void else free_of(desk.exchange, symbol),
        "client_order_id": signed.client_order_id,
        "timestamp_ms": signed.timestamp_ms,
        "recv_window_ms": signed.recv_window_ms,
        "horizon_ms": signed.horizon_ms,
    }
    attempt, ours = desk.journal.try_once(hour, n, content)
    return attempt, ours and not void


def refuse_another_life(desk: Desk, hour: int, name: str | None = None) -> None:
    """Raises Halt where the venue knows an hour's order that was not sent yet, or one of this bot from another store.

    An order that another process of this bot has just sent is no other life: its attempt stood before it was sent.
    """
    store = desk.journal.store_id()
    name = name or client_order_id(desk.bot, store, desk.journal.symbol, hour, "d", 1)
    if desk.exchange.find(desk.journal.symbol, name) is not None and desk.journal.attempt(hour, 1) is None:
        raise Halt(
            "foreign_order",
            f"the venue already knows order {name}, and this journal has not sent it: another life of this bot "
            f"trades here. Restore its journal, or give this bot another name",
        )
    bot, mine = f"{desk.bot[:6]}-", f"{desk.bot[:6]}-{store}-"
    for other in desk.exchange.client_order_ids(desk.journal.symbol, hour):
        if other.startswith(bot) and not other.startswith(mine):
            raise Halt(
                "two_stores",
                f"order {other} was sent by a bot of this name with another store: two bots trade one account. Stop "
                f"one of them, or give it another name",
            )


def _signed(symbol: str, attempt: Json) -> SignedOrder:
    return SignedOrder(
        symbol=symbol,
        side=attempt["side"],
        qty=Decimal(attempt["qty"]),
        client_order_id=attempt["client_order_id"],
        timestamp_ms=attempt["timestamp_ms"],
        recv_window_ms=attempt["recv_window_ms"],
    )


def _send(desk: Desk, hour: int, n: int, attempt: Json, deadline: int) -> Json:
    sent = desk.exchange.send(_signed(desk.journal.symbol, attempt))
    if sent.outcome == "refused":
        # The venue said no, or never heard: these bytes were not executed and will not be sent again. What a new attempt
        # may mend is absent, so that one may follow before the hour's deadline: at once, or with the next tick.
        kind = ABSENT if sent.again else REFUSED
        closed = desk.journal.close_attempt(hour, n, _content(kind, [], sent.message))
        if sent.again == "later":
            raise Retry(
                f"order {attempt['client_order_id']} was not taken ({sent.message}); the next tick tries again"
            )
        return closed
    if sent.outcome == "accepted" and sent.state is not None and sent.state.final:
        return desk.journal.close_attempt(hour, n, _executed(sent.state, sent.fills or []))
    return _look(desk, hour, n, attempt, deadline)


def _look(desk: Desk, hour: int, n: int, attempt: Json, deadline: int) -> Json:
    """Ask until the attempt is found in a final state or proved absent. Raises Parked if neither comes in time, Halt if
    balances alone speak against absence past the deadline."""
    symbol, name = desk.journal.symbol, attempt["client_order_id"]
    waited = 0.0
    try:
        while waited <= PATIENCE_S:
            state = desk.exchange.find(symbol, name)
            if state is not None and state.final:
                fills = desk.exchange.fills(symbol, state.order_id) if state.executed_qty else []
                if sum((fill.qty for fill in fills), Decimal(0)) == state.executed_qty:
                    return desk.journal.close_attempt(hour, n, _executed(state, fills))
            if state is None and desk.exchange.time_ms() > attempt["horizon_ms"] + SETTLE_MS:
                require_absent(desk.journal, desk.exchange, desk.clock, attempt, deadline)
                return desk.journal.close_attempt(hour, n, _content(ABSENT, [], "never reached the venue"))
            desk.clock.sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S
    except Parked:
        raise
    except Retry as error:
        raise Parked(f"order {name} is unknown and the venue cannot be asked: {error}") from None
    raise Parked(f"order {name} is still unknown after {waited:.0f} s of looking; looking again next time")


def _executed(state: OrderState, fills: Sequence[Fill]) -> Json:
    ordered = state.executed_qty
    kind = FILLED if state.status == "FILLED" else PARTIAL if ordered else EXPIRED
    return {
        **_content(kind, fills, state.status),
        "order_id": state.order_id,
        "transact_ms": state.transact_ms,
    }


def _content(kind: str, fills: Sequence[Fill], said: str) -> Json:
    return {"kind": kind, "fills": [write_fill(fill) for fill in fills], "said": said}
