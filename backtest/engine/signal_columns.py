"""What many hours show, as columns, and the spans of them without an event: hours in which surely nothing happens."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from backtest.engine.unchanged_ledger import MARGIN, RulesInFloats, UnchangedLedger
from trader.core.hours import GAP, VENUE_CLOSED, WARM_UP, HourState, Rules
from trader.core.policy import (
    FLAT,
    TARGETS,
    Codes,
    Signals,
    halted_side,
    hours_within_holding_period,
)
from trader.core.risk import RiskState
from trader.core.track import REASONS
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints, Matrix

# Prices are searched for an event in steps: the first is short, each further one twice as long, so that a search costs
# no more than the span that it finds.
_FIRST_STEP = 256
_LONGEST_STEP = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class SignalColumns:
    """What n hours show, as columns. close_time: (n,) UTC ms. close, open_next: (n,) float64, what marks and what is
    traded at. close_before: the close of the hour before the first, None where the bars begin with it. p_up: (n,) float32,
    NaN without a prediction. known: the hour has its own bar. venue_open: there is a bar that opens at it. reason: codes,
    what a line says if nothing happens. apart: indices of the hours whose close the venue may disagree with.
    """

    rules: Rules
    close_time: Ints
    close: Floats
    close_before: float | None
    open_next: Floats
    p_up: Matrix
    signals: Signals
    known: Bools
    venue_open: Bools
    tradable: Bools  # an order could leave: the hour has its own bar, and the venue is open
    reason: Codes
    apart: list[int]
    _floats: RulesInFloats
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
            close_before=float(bars.close[first - 1]) if first > 0 else None,
            open_next=open_next,
            p_up=p_up,
            signals=Signals.of(p_up, rules.thresholds),
            known=known,
            venue_open=venue_open,
            tradable=known & venue_open,
            reason=reason,
            apart=_apart(bars.close[here], open_next, venue_open, rules),
            _floats=RulesInFloats.of(rules),
        )

    def part(self, first: int, stop: int) -> SignalColumns:
        """The hours first <= i < stop, by index, sharing memory."""
        cut = slice(first, stop)
        return SignalColumns(
            rules=self.rules,
            close_time=self.close_time[cut],
            close=self.close[cut],
            close_before=float(self.close[first - 1]) if first > 0 else self.close_before,
            open_next=self.open_next[cut],
            p_up=self.p_up[cut],
            signals=self.signals.part(first, stop),
            known=self.known[cut],
            venue_open=self.venue_open[cut],
            tradable=self.tradable[cut],
            reason=self.reason[cut],
            apart=[
                i - first for i in self.apart[bisect_left(self.apart, first) : bisect_left(self.apart, stop)]
            ],
            _floats=self._floats,
        )

    @property
    def hours(self) -> int:
        """n."""
        return len(self.close)

    def span_without_events(self, state: HourState, first: int) -> tuple[int, Codes | int]:
        """The first hour at or after `first` that is an event, and the targets of the hours before it, all of which are
        hours of this ledger: (hours,) codes, or one code for all."""
        n = self.hours
        if first >= n:
            return n, FLAT
        if state.doubt is not None:
            return first, FLAT
        ledger = UnchangedLedger.of(state, self.rules.limits, self._floats)
        side = ledger.side(float(self.close[first]))
        if side is None:
            return first, FLAT
        bound = 0 if state.risk.halted_at is not None else self._bound_until(state, side)
        limit = min(self._next_move(side, state.risk, max(first, bound)), _next(self.apart, first, n))
        until = self._until(ledger, side, first, limit)
        if state.risk.halted_at is not None:
            return until, TARGETS.index(halted_side(TARGETS[side], state.risk.frozen))
        targets = self._targets_if(side)[first:until]
        if bound > first:
            targets = targets.copy()
            targets[: bound - first] = side
        return until, targets

    def _until(self, ledger: UnchangedLedger, side: int, first: int, limit: int) -> int:
        """The first event at or after `first` that a price makes, at most `limit`."""
        step = _FIRST_STEP
        while first < limit:
            stop = min(first + step, limit)
            event = ledger.first_event(self.close[first:stop], side)
            if event is not None:
                return first + event
            ledger = ledger.after(self.close[first:stop])
            first, step = stop, min(2 * step, _LONGEST_STEP)
        return limit

    def _bound_until(self, state: HourState, side: int) -> int:
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
        return _next(self._moves[key], first, self.hours)


def _next(hours: list[int], first: int, n: int) -> int:
    """The first of these hours, in order, at or after `first`; n if there is none."""
    at = bisect_left(hours, first)
    return hours[at] if at < len(hours) else n


def _apart(close: Floats, open_next: Floats, venue_open: Bools, rules: Rules) -> list[int]:
    """The hours whose quote may lie beyond the price band around the close. Rounded away from the open on both sides, its
    middle is less than a tick from the open."""
    if rules.band is None:
        return []
    least = (float(rules.band) - MARGIN) * close - float(rules.filters.tick_size)
    return np.flatnonzero(venue_open & (np.abs(open_next - close) >= least)).tolist()
