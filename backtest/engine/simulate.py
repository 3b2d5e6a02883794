"""Bars and probabilities -> the hours of a backtest. Pure; its run time grows with the number of orders, not of hours.

An hour in which anything may happen is an event, decided by `decide_hour` exactly as at the venue. Between two events
the ledger does not change: `signal_columns.py` finds how long by comparing floats with a margin, so that whatever is
near a boundary is decided exactly too. The slow twin, one `decide_hour` an hour, stands in the tests and gives the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

import numpy as np

from backtest.engine.signal_columns import SignalColumns
from backtest.engine.unchanged_ledger import MARGIN
from trader.core.costs import exact, quote_at
from trader.core.hours import (
    GAP,
    WARM_UP,
    HourDecision,
    HourInputs,
    HourLine,
    HourState,
    Rules,
    decide_hour,
    doubt_at,
    modelled_fill,
    settle,
)
from trader.core.ledger import Ledger
from trader.core.policy import TARGETS
from trader.core.probability import shortest
from trader.core.sanity import marked_at
from trader.core.track import REASONS, DecidedHour, LedgerFrom, Track
from trader.core.types import Bars, Fill, Floats, Matrix


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive hours as columns, and the state after the last. Lines are made when they are asked for."""

    track: Track
    state: HourState

    @cached_property
    def lines(self) -> list[HourLine]:
        """The line of every hour."""
        return self.track.lines()

    @cached_property
    def equity(self) -> Floats:
        """(n,) float64, after each hour's fill, in quote."""
        return self.track.equity()


def joined(runs: Sequence[Run]) -> Run:
    """Runs that follow one another, each begun with the state of the one before, as one. Raises ValueError for none."""
    if not runs:
        raise ValueError("there is nothing to join")
    events: dict[int, DecidedHour] = {}
    ledgers: list[LedgerFrom] = []
    first = 0
    for run in runs:
        events.update({first + i: event for i, event in run.track.events.items()})
        ledgers += [LedgerFrom(first + part.first, part.ledger) for part in run.track.ledgers]
        first += len(run.track)
    tracks = [run.track for run in runs]
    track = Track(
        np.concatenate([it.hours for it in tracks]),
        np.concatenate([it.close for it in tracks]),
        np.concatenate([it.predicted for it in tracks]),
        np.concatenate([it.target for it in tracks]),
        np.concatenate([it.reason for it in tracks]),
        events,
        ledgers,
    )
    return Run(track, runs[-1].state)


def simulate(
    bars: Bars, p_up: Matrix, rules: Rules, start: int, stop: int, begun: HourState | None = None
) -> Run:
    """Trade the hours start <= T < stop (UTC ms), from the state `begun`, else flat with the whole allocation.

    p_up: ((stop - start) / 1 h,) float32, NaN without a prediction. Every order fills whole, at the price that the
    cost model predicts from the open of the bar that opens at T.
    """
    return trade(
        SignalColumns.of(bars, p_up, rules, start, stop),
        begun or HourState.fresh(rules.params.allocation_usdt),
    )


def first_mark(columns: SignalColumns, state: HourState) -> Decimal:
    """What marks the equity of `state` in the first of these hours, before anything is decided."""
    seen = _seen(columns, 0, columns.rules)
    return marked_at(seen.close, doubt_at(state, seen, columns.rules))


def trade(columns: SignalColumns, state: HourState, most_usdt: Decimal | None = None) -> Run:
    """`simulate`, from columns that are there. most_usdt: what a purchase of the first hour may cost, None for no limit."""
    rules = columns.rules
    target, reason = np.zeros(columns.hours, np.int8), columns.reason.copy()
    marks = columns.close if rules.band is None else columns.close.copy()
    events: dict[int, DecidedHour] = {}
    ledgers: list[LedgerFrom] = []
    i = 0
    while i < len(target):
        seen = _seen(columns, i, rules)
        decision = decide_hour(state, seen if i else replace(seen, most_usdt=most_usdt), rules)
        fill = modelled_fill(decision.order, rules) if decision.order else None
        state = settle(state, decision, [fill] if fill else [])
        _note(events, ledgers, i, decision, fill, state.ledger)
        target[i] = TARGETS.index(decision.target)
        if state.doubt is not None and state.doubt.mark is not None:
            marks[i] = float(state.doubt.mark)
        until, targets = columns.span_without_events(state, i + 1)
        span = slice(i + 1, until)
        target[span] = targets
        if state.risk.halted_at is not None:
            reason[span][columns.tradable[span]] = REASONS.index("halted")
        state = _marked(state, columns.close[span])
        i = until
    track = Track(columns.close_time, marks, columns.p_up, target, reason, events, ledgers)
    return Run(track, state)


def _seen(columns: SignalColumns, i: int, rules: Rules) -> HourInputs:
    """What is known at hour i."""
    p_up, known = columns.p_up[i], bool(columns.known[i])
    defined = bool(p_up == p_up)  # false for NaN
    price = exact(float(columns.open_next[i])) if columns.venue_open[i] else None
    return HourInputs(
        close_time=int(columns.close_time[i]),
        close=exact(float(columns.close[i])),
        quote=None if price is None else quote_at(price, rules.sizing.costs, rules.filters.tick_size),
        p_up=shortest(p_up) if defined else None,
        no_p_up="" if defined else WARM_UP if known else GAP,
        gap=not known,
        close_before=None if rules.band is None else _close_before(columns, i),
    )


def _close_before(columns: SignalColumns, i: int) -> Decimal | None:
    """The close of the hour before hour i."""
    close = float(columns.close[i - 1]) if i else columns.close_before
    return None if close is None else exact(close)


def _note(
    events: dict[int, DecidedHour],
    ledgers: list[LedgerFrom],
    i: int,
    decision: HourDecision,
    fill: Fill | None,
    after: Ledger,
) -> None:
    events[i] = DecidedHour(decision.order, fill, decision.reason)
    if fill or not ledgers:
        ledgers.append(LedgerFrom(i, after))


def _marked(state: HourState, close: Floats) -> HourState:
    """The state after a span without events: only the peak can have moved, and a ledger peaks where its position does best."""
    ledger, position = state.ledger, state.ledger.position
    if not len(close) or not position:
        return state
    price = float(close.max() if position > 0 else close.min())
    if float(ledger.cash) + float(position) * price < float(state.risk.peak_equity) * (1 - MARGIN):
        return state
    best: Decimal = ledger.equity(exact(price))
    if best <= state.risk.peak_equity:
        return state
    return replace(state, risk=replace(state.risk, peak_equity=best))
