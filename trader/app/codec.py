"""How each typed record of the journal is stored; its events stand in `codec_events`. A field of `trader.core.records` is a
key of the same name; totals lie flat. What a value may be stands in `fields`, what is around an object in `stored`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from trader.app.fields import (
    FLAG,
    HOUR_TEXT,
    INTEGER,
    MONEY,
    NUMBER,
    TEXT,
    Kind,
    by_name,
    list_of,
    maybe,
    shape,
    word_of,
)
from trader.app.stored import Format, Note
from trader.core.hours import HourLine, HourState
from trader.core.ledger import Ledger
from trader.core.records import (
    Attempt,
    Balances,
    Cursor,
    Decision,
    HourRecord,
    Order,
    Outcome,
    OutcomeKind,
    RecentHour,
    RecentHours,
    Totals,
)
from trader.core.risk import RiskState
from trader.core.sanity import UnconfirmedClose
from trader.core.types import Fill, Filters, PaidIn, Quote, Side, Target

SIDE, TARGET = word_of(Side), word_of(Target)
FEATURES = by_name(maybe(NUMBER))
QUOTE = maybe(shape(Quote, {"bid": MONEY, "ask": MONEY}))
FILLS = list_of(
    shape(
        Fill,
        {
            "side": SIDE,
            "price": MONEY,
            "qty": MONEY,
            "commission": MONEY,
            "commission_in": word_of(PaidIn),
            "trade_id": INTEGER,
        },
        optional={
            "other_asset": (TEXT, ""),
            "other_amount": (MONEY, Decimal(0)),
            "other_price": (MONEY, None),
        },
    )
)
LINE = shape(
    HourLine,
    {
        "close_time": HOUR_TEXT,
        "p_up": maybe(NUMBER),
        "target": TARGET,
        "order_side": maybe(SIDE),
        "order_qty": maybe(MONEY),
        "fill_price": maybe(MONEY),
        "fee": MONEY,
        "position": MONEY,
        "equity": MONEY,
        "reason": TEXT,
    },
)


def _totals(
    cash_usdt: Decimal,
    position: Decimal,
    fees_usdt: Decimal,
    orders: int,
    fills: int,
    base_equity_usdt: Decimal,
    peak_equity_usdt: Decimal,
    halted_at_ms: int | None,
    halt_reason: str | None,
    frozen: bool,
    entered_at_ms: int | None,
    hits: int,
    scored: int,
    halt_event: int,
    account_event: int,
    doubt: UnconfirmedClose | None,
    transfer_scale: Decimal,
) -> Totals:
    ledger = Ledger(cash_usdt, position, fees_usdt, orders, fills)
    risk = RiskState(base_equity_usdt, peak_equity_usdt, halted_at_ms, halt_reason, frozen)
    state = HourState(ledger, risk, entered_at_ms, doubt)
    return Totals(state, hits, scored, halt_event, account_event, transfer_scale)


TOTALS = shape(
    _totals,
    {
        "cash_usdt": MONEY,
        "position": MONEY,
        "fees_usdt": MONEY,
        "orders": INTEGER,
        "fills": INTEGER,
        "base_equity_usdt": MONEY,
        "peak_equity_usdt": MONEY,
        "halted_at_ms": maybe(INTEGER),
        "halt_reason": maybe(TEXT),
        "frozen": FLAG,
        "entered_at_ms": maybe(INTEGER),
        "hits": INTEGER,
        "scored": INTEGER,
        "halt_event": INTEGER,
    },
    optional={
        "account_event": (INTEGER, 0),
        # A close that the venue's book disagreed with; before there was a price band for marks, every close was one.
        "doubt": (maybe(shape(UnconfirmedClose, {"close": MONEY, "mark": maybe(MONEY)})), None),
        "transfer_scale": (MONEY, Decimal(1)),
    },
    cash_usdt="state.ledger.cash",
    position="state.ledger.position",
    fees_usdt="state.ledger.fees_usdt",
    orders="state.ledger.orders",
    fills="state.ledger.fills",
    base_equity_usdt="state.risk.base_equity",
    peak_equity_usdt="state.risk.peak_equity",
    halted_at_ms="state.risk.halted_at",
    halt_reason="state.risk.halt_reason",
    frozen="state.risk.frozen",
    entered_at_ms="state.entered_at",
    doubt="state.doubt",
)

FILTERS = shape(
    Filters,
    {
        "tick_size": MONEY,
        "step_size": MONEY,
        "min_notional": MONEY,
        "min_qty": MONEY,
        "max_qty": maybe(MONEY),
    },
)
MODEL_SAID: Mapping[str, Kind[Any]] = {
    "gap": FLAG,
    "features": FEATURES,
    "quantiles": list_of(NUMBER),
    "model_id": TEXT,
    "model_late": FLAG,
}
HEAD: Mapping[str, Kind[Any]] = {"symbol": TEXT, "close_time": INTEGER}
ORDERED: Mapping[str, Kind[Any]] = {"side": SIDE, "qty": MONEY, "expected_price": MONEY}
ORDER = shape(Order, ORDERED)


DECISION = Format(
    "decision",
    shape(
        Decision,
        {
            **HEAD,
            **MODEL_SAID,
            "p_up": maybe(NUMBER),
            "no_p_up": TEXT,
            "target": TARGET,
            "reason": TEXT,
            "order": maybe(ORDER),
            "close": MONEY,
            "quote": QUOTE,
            "equity_before_usdt": MONEY,
            "totals": TOTALS,
            "bars_hash": TEXT,
            "enter_edge": NUMBER,
            "exit_edge": NUMBER,
            "deadline_ms": INTEGER,
            "filters": FILTERS,
            "code_version": TEXT,
        },
        {
            "adopted": (FILLS, ()),
            "found_at_venue": (FLAG, False),
            "book": (TEXT, ""),
            "transfer_usdt": (MONEY, Decimal(0)),
        },
    ),
)
ATTEMPT = Format(
    "attempt",
    shape(
        Attempt,
        {
            **ORDERED,
            "symbol": TEXT,
            "void": FLAG,
            "balances": maybe(shape(Balances, {"base": MONEY, "quote": MONEY})),
            "client_order_id": TEXT,
            "timestamp_ms": INTEGER,
            "recv_window_ms": INTEGER,
            "expires_at_ms": INTEGER,
        },
        optional={"filters": (FILTERS, None)},
    ),
)
OUTCOME = Format(
    "outcome",
    shape(
        Outcome,
        {
            "symbol": TEXT,
            "kind": word_of(OutcomeKind),
            "fills": FILLS,
            "message": TEXT,
            "order_id": maybe(INTEGER),
            "transact_ms": maybe(INTEGER),
        },
        optional={"requantise": (FLAG, False)},
    ),
)
RECORD = Format(
    "record",
    shape(
        HourRecord,
        {
            **HEAD,
            **MODEL_SAID,
            "line": LINE,
            "fills": FILLS,
            "close": MONEY,
            "expected_price": maybe(MONEY),
            "totals": TOTALS,
        },
        {"adopted": (INTEGER, 0), "transfer_usdt": (MONEY, Decimal(0))},
    ),
)

RECENT = Note(
    "recent",
    shape(
        RecentHours,
        {
            "hours": list_of(
                shape(
                    RecentHour,
                    {
                        "close_time": INTEGER,
                        "close": MONEY,
                        "gap": FLAG,
                        "p_up": maybe(NUMBER),
                        "features": FEATURES,
                    },
                )
            )
        },
    ),
)
CURSOR = Note(
    "cursor",
    shape(
        Cursor,
        {
            "hour_ms": maybe(INTEGER),
            "events": by_name(INTEGER),
            "edition": INTEGER,
            "failures": INTEGER,
            "trouble": TEXT,
        },
    ),
)
