"""What the journal keeps of an hour, typed: decision, attempts, outcomes, record. How they become JSON stands in
`trader.app.codec`; the events of a bot stand in `events.py`.

A field without a unit in its name: close_time is UTC ms; prices are in quote per base; quantities and positions are in
base; p_up is a share. A model's id names the object that it was published as.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from trader.core.costs import slippage_bps
from trader.core.hours import HourDecision, HourLine, HourState, line_of, settle
from trader.core.ledger import Ledger
from trader.core.lifecycle import RunningTotals
from trader.core.risk import RiskState
from trader.core.sizing import SizedOrder
from trader.core.types import Fill, Filters, Quote, Side, Target

OutcomeKind = Literal["filled", "partial", "expired", "refused", "absent", "void"]


@dataclass(frozen=True, slots=True)
class Order:
    """A market order that an hour decided. expected_price is the fill that the cost model predicts."""

    side: Side
    qty: Decimal
    expected_price: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """What an hour hands to the next: the trading state, and the running totals beside it.

    hits, scored: predictions that came true, and those whose outcome is known. halt_event: the number of the newest halt
    or resume that `state` holds already. account_event: the same of account events. transfer_scale: by how much transfers of a
    book have multiplied the equity since the first one, so that equity / transfer_scale moves by gains and losses alone.
    """

    state: HourState
    hits: int = 0
    scored: int = 0
    halt_event: int = 0
    account_event: int = 0
    transfer_scale: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Decision:
    """What an hour decided, and what it saw; created before anything leaves, never changed.

    p_up is None without a prediction, and then no_p_up says why. quantiles: of the return over the horizon, at the levels
    of `trader.core.forecast`, empty where the model's family gives P(up) alone. features: None where undefined.
    gap: the hour has no bar of its own. totals: as this hour marked them, before its order. Nothing may be sent after
    deadline_ms, UTC on the exchange's clock. adopted: fills of account events that `totals` took in at this hour.
    found_at_venue: the order is one that the venue had executed and the journal did not know, so nothing is sent for it.
    book: the hash of what the book of many symbols said of this hour, "" without one; transfer_usdt: what it added to the cash,
    which `totals` hold already.
    """

    symbol: str
    close_time: int
    p_up: float | None
    no_p_up: str
    target: Target
    reason: str
    order: Order | None
    close: Decimal
    gap: bool
    quote: Quote | None
    equity_before_usdt: Decimal
    totals: Totals
    model_id: str
    model_late: bool
    bars_hash: str
    features: Mapping[str, float | None]
    enter_edge: float
    exit_edge: float
    deadline_ms: int
    filters: Filters
    code_version: str
    quantiles: tuple[float, ...] = ()
    adopted: tuple[Fill, ...] = ()
    found_at_venue: bool = False
    book: str = ""
    transfer_usdt: Decimal = Decimal(0)

    @property
    def halts(self) -> bool:
        """True in the one hour whose loss reached a limit."""
        return self.totals.state.risk.halted_at == self.close_time

    def computed(self) -> HourDecision:
        """The decision as `decide_hour` gave it."""
        order, sized = self.order, None
        if order is not None:
            sized = SizedOrder(order.side, order.qty, order.expected_price, self.reason)
        return HourDecision(
            close_time=self.close_time,
            p_up=self.p_up,
            target=self.target,
            order=sized,
            reason=self.reason,
            risk=self.totals.state.risk,
            equity_before=self.equity_before_usdt,
            doubt=self.totals.state.doubt,
        )


@dataclass(frozen=True, slots=True)
class Balances:
    """What an account can spend of a symbol's two assets."""

    base: Decimal
    quote: Decimal


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to carry out a decision's order: fixed, then stored, then sent once. A void one is never sent.

    The exchange refuses it after expires_at_ms = timestamp_ms + recv_window_ms, UTC on its own clock. balances: right
    before it was sent, None for a void one. filters: those that a smaller quantity than the decided one was made to fit,
    None where it is the decided one.
    """

    symbol: str
    void: bool
    side: Side
    qty: Decimal
    expected_price: Decimal
    balances: Balances | None
    client_order_id: str
    timestamp_ms: int
    recv_window_ms: int
    expires_at_ms: int
    filters: Filters | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. message: the venue's word for it, or why nothing was sent. order_id, transact_ms: the
    venue's own, None where the order never lived. requantise: it was refused by the venue's filters, and one more attempt
    may carry what they accept now."""

    symbol: str
    kind: OutcomeKind
    fills: tuple[Fill, ...]
    message: str
    order_id: int | None = None
    transact_ms: int | None = None
    requantise: bool = False


@dataclass(frozen=True, slots=True)
class HourRecord:
    """A closed hour. It follows from the decision and the venue's answers alone, so that two writers write the same.

    line: the hour's line as the backtest writes it. fills: those that the hour adopted first, so many, then its own.
    expected_price: the order's, None without one. totals: after the fills. transfer_usdt: what a book of many symbols added to
    the cash before the hour was decided.
    """

    symbol: str
    close_time: int
    line: HourLine
    fills: tuple[Fill, ...]
    close: Decimal
    gap: bool
    expected_price: Decimal | None
    features: Mapping[str, float | None]
    model_id: str
    model_late: bool
    totals: Totals
    quantiles: tuple[float, ...] = ()
    adopted: int = 0
    transfer_usdt: Decimal = Decimal(0)

    @property
    def own_fills(self) -> tuple[Fill, ...]:
        """What the hour's own order executed."""
        return self.fills[self.adopted :]

    @property
    def ledger(self) -> Ledger:
        """Cash, position, fees and counts after the hour."""
        return self.totals.state.ledger

    @property
    def risk(self) -> RiskState:
        """The limits' state after the hour."""
        return self.totals.state.risk

    @property
    def mark(self) -> Decimal:
        """What marks the equity: the close, or the last confirmed one while the close is doubted."""
        return self.totals.state.mark(self.close)

    @property
    def unconfirmed(self) -> bool:
        """True where neither the venue's book nor a second bar has confirmed the close, so that the equity is not of it."""
        return self.totals.state.unconfirmed

    @property
    def equity_usdt(self) -> Decimal:
        """Cash and position, marked at `mark`."""
        return self.ledger.equity(self.mark)

    def slippage_bps(self) -> float | None:
        """How much worse the fill was than the cost model's price, in 1/10,000 of it; None without a fill."""
        line = self.line
        if line.order_side is None or line.fill_price is None or self.expected_price is None:
            return None
        return slippage_bps(line.order_side, line.fill_price, self.expected_price)

    @property
    def halted(self) -> bool:
        """Whether trading was halted at this hour."""
        return self.risk.halted_at is not None


@dataclass(frozen=True, slots=True)
class RecentHour:
    """What drift looks at in a closed hour."""

    close_time: int
    close: Decimal
    gap: bool
    p_up: float | None
    features: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class RecentHours:
    """Consecutive closed hours, oldest first."""

    hours: tuple[RecentHour, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far an observer has heard. hour_ms: the newest hour's close time, UTC ms. events: the newest number by name.
    failures: tries in a row that failed or were stopped since, trouble: why the last one was."""

    hour_ms: int | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    edition: int = 1
    failures: int = 0
    trouble: str = ""


def record_of(decision: Decision, fills: Sequence[Fill]) -> HourRecord:
    """The closed hour of a decision and what was executed of its order."""
    computed, before = decision.computed(), decision.totals
    after = settle(before.state, computed, fills)
    return HourRecord(
        symbol=decision.symbol,
        close_time=decision.close_time,
        line=line_of(computed, fills, after, decision.close, decision.adopted),
        fills=(*decision.adopted, *fills),
        close=decision.close,
        gap=decision.gap,
        expected_price=decision.order.expected_price if decision.order else None,
        features=decision.features,
        model_id=decision.model_id,
        model_late=decision.model_late,
        totals=replace(before, state=after),
        quantiles=decision.quantiles,
        adopted=len(decision.adopted),
        transfer_usdt=decision.transfer_usdt,
    )


def standing_of(record: HourRecord) -> RunningTotals:
    """Equity and scored predictions at a record's hour."""
    totals = record.totals
    equity = float(record.equity_usdt / totals.transfer_scale)
    return RunningTotals(record.close_time, equity, totals.hits, totals.scored)
