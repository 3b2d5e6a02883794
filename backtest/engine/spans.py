"""Spans without events: for how many hours a ledger surely stays as it is, found on columns of floats with a margin.

An event is an hour in which something may happen: an order, a halt, a holding that may be dust. A margin makes the answer
safe, not approximate: an hour within it counts as an event, and is then decided exactly. So a float never decides
anything.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from trader.core.hours import GAP, VENUE_CLOSED, WARM_UP, Rules, State
from trader.core.policy import (
    FLAT,
    LONG,
    SHORT,
    TARGETS,
    Codes,
    HaltLevels,
    Limits,
    Signals,
    halted_side,
    hours_within_holding_period,
)
from trader.core.risk import RiskState
from trader.core.track import REASONS
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints, Matrix

# Relative to the amounts that are compared; a float's own error is below 1e-15 of them.
MARGIN = 1e-9
# Prices are searched for an event in steps: the first is short, each further one twice as long, so that a search costs
# no more than the span that it finds.
_FIRST_STEP = 256
_LONGEST_STEP = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class SignalColumns:
    """What n hours show, as columns. close_time: (n,) UTC ms. close, open_next: (n,) float64, what marks and what is
    traded at. p_up: (n,) float32, NaN without a prediction. known: the hour has its own bar. venue_open: there is a bar
    that opens at it. reason: codes, what a line says if nothing happens.
    """

    rules: Rules
    close_time: Ints
    close: Floats
    open_next: Floats
    p_up: Matrix
    signals: Signals
    known: Bools
    venue_open: Bools
    tradable: Bools  # an order could leave: the hour has its own bar, and the venue is open
    reason: Codes
    _floats: _RulesInFloats
    _targets: dict[int, Codes] = field(default_factory=dict)
    _moves: dict[int, list[int]] = field(default_factory=dict)

    @staticmethod
    def of(bars: Bars, p_up: Matrix, rules: Rules, start: int, stop: int) -> SignalColumns:
        """The hours start <= T < stop of `bars`; p_up (n,) float32."""
        first, n = bars.row(start), (stop - start) // HOUR_MS
        here, following = slice(first, first + n), slice(first + 1, first + n + 1)
        known = ~bars.flagged[here]
        venue_open, open_next = np.zeros(n, np.bool_), np.zeros(n)
        venue_open[: len(bars.flagged[following])] = ~bars.flagged[following]
        open_next[: len(bars.open[following])] = bars.open[following]
        p_up = np.where(known, p_up, np.float32(np.nan))
        reason = np.full(n, REASONS.index("hold"), np.int8)
        reason[np.isnan(p_up)] = REASONS.index(WARM_UP)
        reason[~known] = REASONS.index(GAP)
        reason[~venue_open] = REASONS.index(VENUE_CLOSED)
        return SignalColumns(
            rules=rules,
            close_time=bars.close_time[here],
            close=bars.close[here],
            open_next=open_next,
            p_up=p_up,
            signals=Signals.of(p_up, rules.thresholds),
            known=known,
            venue_open=venue_open,
            tradable=known & venue_open,
            reason=reason,
            _floats=_RulesInFloats.of(rules),
        )

    @property
    def hours(self) -> int:
        """n."""
        return len(self.close)

    def span_without_events(self, state: State, first: int) -> tuple[int, Codes | int]:
        """The first hour at or after `first` that is an event, and the targets of the hours before it, all of which are
        hours of this ledger: (hours,) codes, or one code for all."""
        n = self.hours
        if first >= n:
            return n, FLAT
        ledger = _UnchangedLedger.of(state, self.rules.limits, self._floats)
        side = ledger.side(float(self.close[first]))
        if side is None:
            return first, FLAT
        bound = 0 if state.risk.halted_at is not None else self._bound_until(state, side)
        until = self._until(ledger, side, first, self._next_move(side, state.risk, max(first, bound)))
        if state.risk.halted_at is not None:
            return until, TARGETS.index(halted_side(TARGETS[side], state.risk.frozen))
        targets = self._targets_if(side)[first:until]
        if bound > first:
            targets = targets.copy()
            targets[: bound - first] = side
        return until, targets

    def _until(self, ledger: _UnchangedLedger, side: int, first: int, limit: int) -> int:
        """The first event at or after `first` that a price makes, at most `limit`."""
        step = _FIRST_STEP
        while first < limit:
            stop = min(first + step, limit)
            event = ledger.first_event(self.close[first:stop], side)
            if event is not None:
                return first + event
            first, step = stop, min(2 * step, _LONGEST_STEP)
        return limit

    def _bound_until(self, state: State, side: int) -> int:
        """The index of the first hour that may leave `side`; 0 where nothing binds."""
        horizon, first = self.rules.params.horizon_hours, int(self.close_time[0])
        return min(self.hours, hours_within_holding_period(side, first, state.entered_at, horizon))

    def _targets_if(self, held: int) -> Codes:
        """(n,) the target of every hour, if `held` were held in it."""
        if held not in self._targets:
            self._targets[held] = self.signals.targets(held)
        return self._targets[held]

    def _next_move(self, side: int, risk: RiskState, first: int) -> int:
        """The first tradable hour at or after `first` whose target is another side."""
        halted = risk.halted_at is not None
        if halted and halted_side(TARGETS[side], risk.frozen) == TARGETS[side]:
            return self.hours
        key = -1 if halted else side
        if key not in self._moves:
            wanted = self.tradable if halted else self.tradable & (self._targets_if(side) != side)
            self._moves[key] = np.flatnonzero(wanted).tolist()
        moves = self._moves[key]
        at = bisect_left(moves, first)
        return moves[at] if at < len(moves) else self.hours


@dataclass(frozen=True, slots=True)
class _RulesInFloats:
    """Of the rules, what an event depends on."""

    min_notional: float
    spendable_share: float
    rebalance_band: float

    @staticmethod
    def of(rules: Rules) -> _RulesInFloats:
        p = rules.params
        return _RulesInFloats(
            float(rules.filters.min_notional), 1 - float(p.cash_buffer), float(p.rebalance_band)
        )


@dataclass(frozen=True, slots=True)
class _UnchangedLedger:
    """A ledger, the peak of its equity and its halt levels, in floats."""

    cash: float
    position: float
    peak: float
    levels: HaltLevels
    rules: _RulesInFloats

    @staticmethod
    def of(state: State, limits: Limits, rules: _RulesInFloats) -> _UnchangedLedger:
        risk, ledger = state.risk, state.ledger
        live = risk.halted_at is None
        return _UnchangedLedger(
            float(ledger.cash),
            float(ledger.position),
            float(risk.peak_equity),
            HaltLevels.of(float(risk.base_equity), limits) if live else HaltLevels(),
            rules,
        )

    def side(self, close: float) -> int | None:
        """The side that is held at a price; None where it is too near to call."""
        worth = self.position * close
        if abs(abs(worth) - self.rules.min_notional) <= MARGIN * max(abs(worth), self.rules.min_notional):
            return None
        if abs(worth) < self.rules.min_notional:
            return FLAT
        return LONG if worth > 0 else SHORT

    @property
    def spendable(self) -> float:
        """The cash that an order which completes a position could use."""
        return self.cash * self.rules.spendable_share

    def first_event(self, close: Floats, side: int) -> int | None:
        """Index of the first price in (m,) at which something may happen, None if there is none.

        Equity and worth are monotone in the price, so the extremes of a span clear all of it at once.
        """
        low, high = float(np.minimum.reduce(close)), float(np.maximum.reduce(close))
        worst, best = (low, high) if self.position >= 0 else (high, low)
        if self._no_event_between(self.position * worst, self.position * best, side):
            return None
        peaks = np.maximum(np.maximum.accumulate(self.cash + self.position * close), self.peak)
        events = self._events(close, side, peaks)
        return int(events.argmax()) if events.any() else None

    def _no_event_between(self, worst: float, best: float, side: int) -> bool:
        """True where nothing can happen while the position is worth between `worst` and `best`."""
        margin = MARGIN * (abs(self.cash) + max(abs(worst), abs(best)) + self.rules.min_notional)
        lowest, peak = self.cash + worst, max(self.peak, self.cash + best)
        if lowest <= self.levels.at(peak) + margin:
            return False
        if side == FLAT:
            return max(abs(worst), abs(best)) < self.rules.min_notional - margin
        if min(abs(worst), abs(best)) <= self.rules.min_notional + margin:
            return False
        return (
            side == SHORT
            or self.spendable < max(self.rules.min_notional, self.rules.rebalance_band * lowest) - margin
        )

    def _events(self, close: Floats, side: int, peak: Floats) -> Bools:
        worth = self.position * close
        equity = self.cash + worth
        margin = MARGIN * (abs(self.cash) + np.abs(worth) + self.rules.min_notional)
        events: Bools = equity <= self.levels.at(peak) + margin
        if side == FLAT:
            return events | (np.abs(worth) >= self.rules.min_notional - margin)
        events |= np.abs(worth) <= self.rules.min_notional + margin
        if side == LONG:
            events |= (
                self.spendable
                >= np.maximum(self.rules.min_notional, self.rules.rebalance_band * equity) - margin
            )
        return events
