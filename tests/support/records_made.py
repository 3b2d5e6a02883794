"""Typed objects of a journal for tests that need no bot: plausible, and changed where a test says so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from trader.core.hours import HourLine, HourState
from trader.core.ledger import Ledger
from trader.core.records import Decision, HourRecord, Order, Totals
from trader.core.risk import RiskState
from trader.core.types import HOUR_MS, Filters, Side

SYMBOL = "BTCUSDT"
TEN_MINUTES_MS = HOUR_MS // 6
FILTERS = Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5))


def totals_made(equity: str = "10000", **changes: Any) -> Totals:
    """Flat with this equity, of an epoch that began with 10,000."""
    state = HourState(Ledger(Decimal(equity)), RiskState.fresh(Decimal(10_000)))
    return replace(Totals(state), **changes)


def line_made(hour: int, **changes: Any) -> HourLine:
    """A flat hour without an order."""
    zero = Decimal(0)
    line = HourLine(hour, 0.5, "flat", None, None, None, zero, zero, Decimal(10_000), "hold")
    return replace(line, **changes)


def record_made(hour: int, *, line: dict[str, Any] | None = None, **changes: Any) -> HourRecord:
    """A closed hour; `line` changes its line."""
    record = HourRecord(
        symbol=SYMBOL,
        close_time=hour,
        line=line_made(hour, **(line or {})),
        fills=(),
        close=Decimal(50_000),
        gap=False,
        expected_price=None,
        features={},
        model_id="m1",
        model_late=False,
        totals=totals_made(),
    )
    return replace(record, **changes)


def decision_made(hour: int, side: Side | None = None, qty: str = "0.1", **changes: Any) -> Decision:
    """A decision to buy or sell, or to do nothing."""
    order = None if side is None else Order(side, Decimal(qty), Decimal(50_000))
    decision = Decision(
        symbol=SYMBOL,
        close_time=hour,
        p_up=0.5,
        no_p_up="",
        target="long" if side == "BUY" else "flat",
        reason="hold" if side is None else "enter" if side == "BUY" else "leave",
        order=order,
        close=Decimal(50_000),
        gap=False,
        quote=None,
        equity_before_usdt=Decimal(10_000),
        totals=totals_made(),
        model_id="m1",
        model_late=False,
        bars_hash="",
        features={},
        enter_edge=0.0,
        exit_edge=0.0,
        deadline_ms=hour + TEN_MINUTES_MS,
        filters=FILTERS,
        code_version="tests",
    )
    return replace(decision, **changes)
