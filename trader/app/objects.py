"""Core values as the journal's JSON, and back. Money as decimal strings, times as UTC ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from trader.app.journal import Json
from trader.core.hours import HourDecision, Seen, State, line_of, settle
from trader.core.ledger import Ledger
from trader.core.lifecycle import Standing
from trader.core.risk import RiskState
from trader.core.sizing import SizedOrder
from trader.core.types import Fill, Target, plain


@dataclass(frozen=True, slots=True)
class Totals:
    """What an hour hands to the next: the trading state, and the running totals beside it."""

    state: State
    hits: int = 0
    scored: int = 0
    halt_event: int = 0  # the newest halt or resume that is in `state` already


def write_fill(fill: Fill) -> Json:
    """A fill, money as decimal strings."""
    return {
        "side": fill.side,
        "price": plain(fill.price),
        "qty": plain(fill.qty),
        "commission": plain(fill.commission),
        "commission_in": fill.commission_in,
        "trade_id": fill.trade_id,
    }


def read_fill(row: Json) -> Fill:
    """The fill that `write_fill` wrote."""
    return Fill(
        row["side"],
        Decimal(row["price"]),
        Decimal(row["qty"]),
        Decimal(row["commission"]),
        row["commission_in"],
        row["trade_id"],
    )


def write_totals(totals: Totals) -> Json:
    """Totals of an hour."""
    ledger, risk = totals.state.ledger, totals.state.risk
    return {
        "cash": plain(ledger.cash),
        "position": plain(ledger.position),
        "fees_usdt": plain(ledger.fees_usdt),
        "orders": ledger.orders,
        "fills": ledger.fills,
        "base_equity": plain(risk.base_equity),
        "peak_equity": plain(risk.peak_equity),
        "halted_at": risk.halted_at,
        "halt_reason": risk.halt_reason,
        "frozen": risk.frozen,
        "hits": totals.hits,
        "scored": totals.scored,
        "halt_event": totals.halt_event,
        "entered_at": totals.state.entered_at,
    }


def read_totals(content: Json) -> Totals:
    """The totals that `write_totals` wrote."""
    ledger = Ledger(
        Decimal(content["cash"]),
        Decimal(content["position"]),
        Decimal(content["fees_usdt"]),
        content["orders"],
        content["fills"],
    )
    risk = RiskState(
        Decimal(content["base_equity"]),
        Decimal(content["peak_equity"]),
        content["halted_at"],
        content["halt_reason"],
        content["frozen"],
    )
    return Totals(
        State(ledger, risk, content.get("entered_at")),
        content["hits"],
        content["scored"],
        content["halt_event"],
    )


def standing_of(record: Json) -> Standing:
    """Equity and scored calls at a record's hour."""
    state = record["state"]
    equity = Decimal(state["cash"]) + Decimal(state["position"]) * Decimal(record["close"])
    return Standing(record["close_time"], float(equity), state["hits"], state["scored"])


def write_decision(decision: HourDecision, seen: Seen, before: Totals) -> Json:
    """A decision, with what it saw and the totals that its record starts from."""
    order = decision.order
    quote = seen.quote
    marked = replace(before, state=replace(before.state, risk=decision.risk))
    return {
        "close_time": decision.close_time,
        "p_up": decision.p_up,
        "no_p_up": seen.no_p_up,
        "target": decision.target,
        "reason": decision.reason,
        "order": None
        if order is None
        else {"side": order.side, "qty": plain(order.qty), "expected_price": plain(order.expected_price)},
        "halts": decision.halts,
        "close": plain(seen.close),
        "quote": None if quote is None else {"bid": plain(quote.bid), "ask": plain(quote.ask)},
        "equity_before": plain(decision.equity_before),
        "state": write_totals(marked),
    }


def read_decision(content: Json) -> HourDecision:
    """The decision that `write_decision` wrote."""
    order = content["order"]
    target: Target = content["target"]
    sized = None
    if order is not None:
        sized = SizedOrder(
            order["side"], Decimal(order["qty"]), Decimal(order["expected_price"]), content["reason"]
        )
    return HourDecision(
        close_time=content["close_time"],
        p_up=content["p_up"],
        target=target,
        order=sized,
        reason=content["reason"],
        risk=read_totals(content["state"]).state.risk,
        equity_before=Decimal(content["equity_before"]),
    )


def write_record(decision: Json, fills: Sequence[Fill]) -> Json:
    """The closed hour. Follows from the decision and the venue's answers alone, so that two writers write the same."""
    made, close, before = read_decision(decision), Decimal(decision["close"]), read_totals(decision["state"])
    after = settle(before.state, made, fills)
    return {
        "close_time": made.close_time,
        "line": line_of(made, fills, after, close),
        "fills": [write_fill(fill) for fill in fills],
        "close": decision["close"],
        "gap": decision["gap"],
        "expected_price": None if made.order is None else plain(made.order.expected_price),
        "features": decision["features"],
        "model_id": decision["model_id"],
        "model_late": decision["model_late"],
        "state": write_totals(Totals(after, before.hits, before.scored, before.halt_event)),
    }
