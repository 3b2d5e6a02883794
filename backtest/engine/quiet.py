"""How long nothing can happen: the hours that a ledger stands still, found on columns of floats with a margin.

A margin makes the answer safe, not approximate: an hour within it counts as one in which something may happen, and is
then decided exactly. So a float never decides anything.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from trader.core.decision import Exposure, held_until
from trader.core.hours import GAP, VENUE_CLOSED, WARM_UP, Rules, State
from trader.core.risk import RiskState
from trader.core.track import FLAT, LONG, REASONS, SHORT, Codes
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints

# Relative to the amounts that are compared; a float's own error is below 1e-15 of them.
MARGIN = 1e-9
# The first look ahead; each further one is twice as long, so that a look costs no more than what it finds.
_FIRST_LOOK = 256
_LONGEST_LOOK = 65_536


def targets_of(p_up: Floats, held: int, enter_edge: float, exit_edge: float, exposure: Exposure) -> Codes:
    """`decide` for every hour, were `held` held: (n,) float64 -> (n,) codes; without a prediction it is kept."""
    up, short = p_up >= 0.5 + enter_edge, (p_up <= 0.5 - enter_edge) & (exposure == "long_short")
    result = np.full(len(p_up), held, np.int8)
    if held == LONG:
        result[p_up <= 0.5 - exit_edge] = FLAT
    if held == SHORT:
        result[p_up >= 0.5 + exit_edge] = FLAT
    result[short] = SHORT
    result[up] = LONG
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What n hours show, as columns. close_time: (n,) UTC ms. close, open_next: (n,) float64, what marks and what is
    traded at. p_up: (n,) float64 by shortest decimals, NaN without a prediction. known: the hour has its own bar.
    venue_open: there is a bar that opens at it. reason: codes, what a line says if nothing happens.
    """

    rules: Rules
    close_time: Ints
    close: Floats
    open_next: Floats
    p_up: Floats
    known: Bools
    venue_open: Bools
    reason: Codes
    _targets: dict[int, Codes] = field(default_factory=dict)
    _moves: dict[int, list[int]] = field(default_factory=dict)

    @staticmethod
    def of(bars: Bars, p_up: Floats, rules: Rules, start: int, stop: int) -> Sight:
        """The hours start <= T < stop of `bars`; p_up (n,) float64 as it is written."""
        first, n = bars.row(start), (stop - start) // HOUR_MS
        here, following = slice(first, first + n), slice(first + 1, first + n + 1)
        known = ~bars.flagged[here]
        venue_open, open_next = np.zeros(n, np.bool_), np.zeros(n)
        venue_open[: len(bars.flagged[following])] = ~bars.flagged[following]
        open_next[: len(bars.open[following])] = bars.open[following]
        p_up = np.where(known, p_up, np.nan)
        reason = np.full(n, REASONS.index("hold"), np.int8)
        reason[np.isnan(p_up)] = REASONS.index(WARM_UP)
        reason[~known] = REASONS.index(GAP)
        reason[~venue_open] = REASONS.index(VENUE_CLOSED)
        return Sight(
            rules, bars.close_time[here], bars.close[here], open_next, p_up, known, venue_open, reason
        )

    @property
    def hours(self) -> int:
        """n."""
        return len(self.close)

    @property
    def tradable(self) -> Bools:
        """(n,) true where an order could leave: the hour has its own bar, and the venue is open."""
        return self.known & self.venue_open

    def targets(self, held: int) -> Codes:
        """(n,) the target of every hour, were `held` held at it."""
        if held not in self._targets:
            p = self.rules.params
            self._targets[held] = targets_of(self.p_up, held, p.enter_edge, p.exit_edge, p.exposure)
        return self._targets[held]

    def quiet(self, state: State, first: int) -> tuple[int, int]:
        """The side held from hour `first` on, and the first hour at or after it in which something may happen: an
        order, a halt, a holding that may be dust. Every hour before is one of that side and of this ledger."""
        if first >= self.hours:
            return FLAT, self.hours
        still = _Stillness.of(state, self.rules)
        side = still.side(float(self.close[first]))
        if side is None:
            return FLAT, first
        limit = self._next_move(side, state.risk, max(first, self.bound_until(state, side)))
        look = _FIRST_LOOK
        while first < limit:
            stop = min(first + look, limit)
            loud = still.first_loud(self.close[first:stop], side)
            if loud is not None:
                return side, first + loud
            first, look = stop, min(2 * look, _LONGEST_LOOK)
        return side, limit

    def bound_until(self, state: State, side: int) -> int:
        """The index of the first hour that may decide to leave `side`; 0 where nothing binds, or a halt unbinds."""
        if side == FLAT or state.risk.halted_at is not None or not self.hours:
            return 0
        until = held_until(state.entered_at, self.rules.params.horizon_hours)
        return min(self.hours, max(0, (until - int(self.close_time[0])) // HOUR_MS))

    def _next_move(self, side: int, risk: RiskState, first: int) -> int:
        """The first tradable hour at or after `first` whose target is another side."""
        halted = risk.halted_at is not None
        if halted and (side == FLAT or risk.frozen):
            return self.hours
        key = -1 if halted else side
        if key not in self._moves:
            wanted = self.tradable if halted else self.tradable & (self.targets(side) != side)
            self._moves[key] = np.flatnonzero(wanted).tolist()
        moves = self._moves[key]
        at = bisect_left(moves, first)
        return moves[at] if at < len(moves) else self.hours


@dataclass(frozen=True, slots=True)
class _Stillness:
    """A ledger and its limits in floats."""

    cash: float
    position: float
    peak: float
    least: float  # equity at which the cumulative limit halts, or -inf
    keep: float  # share of the peak at which the drawdown limit halts, or -inf
    min_notional: float
    spendable: float  # cash that a completing order could use
    band: float

    @staticmethod
    def of(state: State, rules: Rules) -> _Stillness:
        p, risk, never = rules.params, state.risk, -np.inf
        live = risk.halted_at is None
        cash = float(state.ledger.cash)
        cumulative, drawdown = p.halt_cumulative_return, p.halt_drawdown
        return _Stillness(
            cash=cash,
            position=float(state.ledger.position),
            peak=float(risk.peak_equity),
            least=float(risk.base_equity) * (1 + float(cumulative))
            if live and cumulative is not None
            else never,
            keep=1 - float(drawdown) if live and drawdown is not None else never,
            min_notional=float(rules.filters.min_notional),
            spendable=cash * (1 - float(p.cash_buffer)),
            band=float(p.rebalance_band),
        )

    def side(self, close: float) -> int | None:
        """The side that is held at a price; None where it is too near to call."""
        worth = self.position * close
        if abs(abs(worth) - self.min_notional) <= MARGIN * max(abs(worth), self.min_notional):
            return None
        if abs(worth) < self.min_notional:
            return FLAT
        return LONG if worth > 0 else SHORT

    def first_loud(self, close: Floats, side: int) -> int | None:
        """Index of the first price in (m,) at which something may happen, None if there is none.

        Equity and worth are monotone in the price, so the extremes of a stretch clear all of it at once.
        """
        low, high = float(close.min()), float(close.max())
        worst, best = (low, high) if self.position >= 0 else (high, low)
        if self._still_between(self.position * worst, self.position * best, side):
            return None
        peaks = np.maximum(np.maximum.accumulate(self.cash + self.position * close), self.peak)
        loud = self._loud(close, side, peaks)
        return int(loud.argmax()) if loud.any() else None

    def _still_between(self, worst: float, best: float, side: int) -> bool:
        """True where nothing can happen while the position is worth between `worst` and `best`."""
        margin = MARGIN * (abs(self.cash) + max(abs(worst), abs(best)) + self.min_notional)
        lowest, peak = self.cash + worst, max(self.peak, self.cash + best)
        if lowest <= max(self.least, self.keep * peak if self.keep > 0 else -np.inf) + margin:
            return False
        if side == FLAT:
            return max(abs(worst), abs(best)) < self.min_notional - margin
        if min(abs(worst), abs(best)) <= self.min_notional + margin:
            return False
        return side == SHORT or self.spendable < max(self.min_notional, self.band * lowest) - margin

    def _loud(self, close: Floats, side: int, peak: Floats | float) -> Bools:
        worth = self.position * close
        equity = self.cash + worth
        margin = MARGIN * (abs(self.cash) + np.abs(worth) + self.min_notional)
        loud: Bools = (
            equity <= np.maximum(self.least, self.keep * peak if self.keep > 0 else -np.inf) + margin
        )
        if side == FLAT:
            return loud | (np.abs(worth) >= self.min_notional - margin)
        loud |= np.abs(worth) <= self.min_notional + margin
        if side == LONG:
            loud |= self.spendable >= np.maximum(self.min_notional, self.band * equity) - margin
        return loud
