"""The sides that are held through n hours, found at once: the policy's thresholds and its minimum holding period, walked.

Equal to `target_side` and `within_holding_period` hour by hour, as a property test shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trader.core.policy import FLAT, LONG, SHORT, Codes, Signals, free_from
from trader.core.types import Bools, Ints


@dataclass(frozen=True, slots=True, eq=False)
class SideChanges:
    """A walk through n hours that begins flat: hours (k,), indices of those that change the held side, and sides (k,),
    the codes of what they change it to."""

    hours: Ints
    sides: Codes

    def held(self, n: int) -> Codes:
        """(n,) the side held after each hour."""
        lengths = np.diff(np.concatenate(([0], self.hours, [n])))
        return np.repeat(np.concatenate((np.zeros(1, np.int8), self.sides)), lengths)


def turns(signals: Signals, horizon_hours: int) -> SideChanges:
    """`target_side` and `within_holding_period` hour by hour, for n hours at once."""
    if horizon_hours > 1:
        return _from_turn_to_turn(signals, horizon_hours)
    if signals.short_entries is not None:
        held = _held_without_holding_period(signals)
        hours = np.flatnonzero(held != np.concatenate(([FLAT], held[:-1])))
        return SideChanges(hours, held[hours])
    hours = _alternating(signals)
    sides = np.full(len(hours), FLAT, np.int8)
    sides[0::2] = LONG
    return SideChanges(hours, sides)


def _alternating(signals: Signals) -> Ints:
    """Entries and exits in turn, as indices: of each run of equal signals the first, beginning with an entry."""
    entries, exits = signals.entries, signals.exits
    # An hour that trades begins a run of its signal, so the others need not be looked at one by one.
    begins = entries | exits
    begins[1:] = (entries[1:] > entries[:-1]) | (exits[1:] > exits[:-1])
    hours = np.flatnonzero(begins)
    enters = entries[hours]
    trades = np.empty(len(hours), np.bool_)
    trades[:1] = enters[:1]
    np.not_equal(enters[1:], enters[:-1], out=trades[1:])
    turning: Ints = hours[trades]
    return turning


def _held_without_holding_period(signals: Signals) -> Codes:
    """(n,) the side held after each hour: the one entered last, unless it was left since."""
    numbers = np.arange(1, len(signals.entries) + 1, dtype=np.int32)

    def newest(column: Bools | None) -> npt.NDArray[np.int32]:
        return np.maximum.accumulate(numbers * (False if column is None else column))

    long, short = newest(signals.entries), newest(signals.short_entries)
    held = np.full(len(numbers), FLAT, np.int8)
    held[(long > short) & (long > newest(signals.exits))] = LONG
    held[(short > long) & (short > newest(signals.short_exits))] = SHORT
    return held


def _from_turn_to_turn(signals: Signals, horizon_hours: int) -> SideChanges:
    """The same where the next turn depends on the hour of the one before."""
    n = len(signals.entries)
    moves: dict[int, tuple[Ints, Codes]] = {}
    hours: list[int] = []
    sides: list[int] = []
    held, free = FLAT, 0
    while free < n:
        if held not in moves:
            targets = signals.targets(held)
            moves[held] = _next_true(targets != held), targets
        next_move, targets = moves[held]
        hour = next_move.item(free)
        if hour == n:
            break
        held = targets.item(hour)
        free = free_from(held, hour, horizon_hours)
        hours.append(hour)
        sides.append(held)
    return SideChanges(np.array(hours, np.int64), np.array(sides, np.int8))


def _next_true(column: Bools) -> Ints:
    """(n,) for each hour the first at or after it in which a column is true; n where there is none."""
    n = len(column)
    numbers = np.where(column, np.arange(n), n)
    return np.minimum.accumulate(numbers[::-1])[::-1]
