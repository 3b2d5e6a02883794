"""A ledger that does not change: the first price at which something may happen to it.

That is an event: an order, a halt, a position that may be too small to sell. Amounts are compared in floats with a margin,
which makes the answer safe, not approximate: a price within it counts as an event, and its hour is then decided exactly. So a
float never decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trader.core.hours import HourState, Rules
from trader.core.policy import FLAT, LONG, SHORT, HaltLevels, LossLimits
from trader.core.types import Bools, Floats

# Relative to the amounts that are compared; a float's own error is below 1e-15 of them.
MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class RulesInFloats:
    """The rules that an event depends on, as floats. min_notional: quote; the other two are shares."""

    min_notional: float
    spendable_share: float
    rebalance_band: float

    @staticmethod
    def of(rules: Rules) -> RulesInFloats:
        p = rules.params
        return RulesInFloats(
            float(rules.filters.min_notional), 1 - float(p.cash_buffer), float(p.rebalance_band)
        )


@dataclass(frozen=True, slots=True)
class UnchangedLedger:
    """A ledger, the peak of its equity and its halt levels, in floats."""

    cash: float
    position: float
    peak: float
    levels: HaltLevels
    rules: RulesInFloats

    @staticmethod
    def of(state: HourState, limits: LossLimits, rules: RulesInFloats) -> UnchangedLedger:
        risk, ledger = state.risk, state.ledger
        live = risk.halted_at is None
        return UnchangedLedger(
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

    def after(self, close: Floats) -> UnchangedLedger:
        """The same ledger after hours at the prices (m,): its equity may have risen to a new peak."""
        best = np.maximum.reduce(close) if self.position >= 0 else np.minimum.reduce(close)
        return replace(self, peak=max(self.peak, self.cash + self.position * float(best)))

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
