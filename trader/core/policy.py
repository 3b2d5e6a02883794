"""What is decided from P(up) and from losses, stated once: thresholds, the minimum holding period, and halts.

Each rule stands here twice, side by side: for one hour, as the bot and the exact simulation decide it, and for columns
of hours, as a study compares thousands of configurations. A property test holds the two forms together.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

from trader.core.probability import least_float32
from trader.core.types import HOUR_MS, Bools, Floats, Ints, Matrix, Target

Exposure = Literal["long_flat", "long_short"]
HaltReason = Literal["cumulative_return", "drawdown"]

# A column of sides holds codes: a side is its index in TARGETS.
Codes = npt.NDArray[np.int8]
TARGETS: tuple[Target, ...] = ("flat", "long", "short")
FLAT, LONG, SHORT = range(3)


# Thresholds


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Values of P(up) at which sides are entered and left; a threshold that is reached exactly counts.

    A long is entered at 0.5 + enter_edge or above, and left at 0.5 - exit_edge or below; between the two, what is held
    is kept. `long_short` mirrors both: a short is entered at 0.5 - enter_edge or below, and left at 0.5 + exit_edge or
    above. An entry comes before an exit, and a long before a short.
    """

    enter_edge: float
    exit_edge: float
    exposure: Exposure = "long_flat"

    @property
    def enter_long(self) -> float:
        """P(up) at or above it enters a long."""
        return 0.5 + self.enter_edge

    @property
    def leave_long(self) -> float:
        """P(up) at or below it leaves a long."""
        return 0.5 - self.exit_edge

    @property
    def enter_short(self) -> float:
        """P(up) at or below it enters a short; never reached where shorts are not held."""
        return 0.5 - self.enter_edge if self.exposure == "long_short" else -np.inf

    @property
    def leave_short(self) -> float:
        """P(up) at or above it leaves a short."""
        return 0.5 + self.exit_edge


def target_side(p_up: float | None, held: Target, at: Thresholds) -> Target:
    """The side to hold for the next hour; without a prediction the held one. p_up: the float64 of its shortest decimal."""
    if p_up is None:
        return held
    if p_up >= at.enter_long:
        return "long"
    if p_up <= at.enter_short:
        return "short"
    if held == "long" and p_up <= at.leave_long:
        return "flat"
    if held == "short" and p_up >= at.leave_short:
        return "flat"
    return held


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """`target_side` for n hours: (n,) bools, true where P(up) says so. An hour without a prediction says nothing, and an
    exit is no exit where a side is entered. The short columns are None where shorts are not held."""

    entries: Bools
    exits: Bools
    short_entries: Bools | None = None
    short_exits: Bools | None = None

    @staticmethod
    def of(p_up: Floats | Matrix, at: Thresholds) -> Signals:
        """p_up: (n,), either float32 as predicted or float64 of the shortest decimals; NaN without a prediction."""
        exact = p_up.dtype != np.float32
        enter, leave = _at(at.enter_long, exact), _above(at.leave_long, exact)
        entries = p_up >= enter
        if at.exposure == "long_flat":
            return Signals(entries, p_up < min(enter, leave))
        enter_short = _above(at.enter_short, exact)
        short_entries = p_up < min(enter, enter_short)
        none = ~(entries | short_entries)
        return Signals(
            entries, none & (p_up < leave), short_entries, none & (p_up >= _at(at.leave_short, exact))
        )

    def where(self, tradable: Bools) -> Signals:
        """The same, but nothing where `tradable`, (n,), is false."""
        shorts = self.short_entries, self.short_exits
        return Signals(
            self.entries & tradable,
            self.exits & tradable,
            *(None if column is None else column & tradable for column in shorts),
        )

    def targets(self, held: int) -> Codes:
        """(n,) the target side of every hour, if the side `held` were held in it."""
        result = np.full(len(self.entries), held, np.int8)
        exits = self.exits if held == LONG else self.short_exits if held == SHORT else None
        if exits is not None:
            result[exits] = FLAT
        if self.short_entries is not None:
            result[self.short_entries] = SHORT
        result[self.entries] = LONG
        return result


def _at(limit: float, exact: bool) -> float | np.float32:
    """The least number of a column at or above a limit: a float32 is compared as its shortest decimal."""
    return limit if exact else least_float32(limit)


def _above(limit: float, exact: bool) -> float | np.float32:
    """The least number of a column above a limit."""
    return _at(float(np.nextafter(limit, 1.0)), exact)


# The minimum holding period


def held_until(entered_at: int | None, horizon_hours: int) -> int:
    """The first hour (UTC ms) that may leave what was entered at `entered_at`: a prediction about the close
    `horizon_hours` later is held that long. With a horizon of one hour that is the next hour, which binds nothing."""
    return 0 if entered_at is None else entered_at + horizon_hours * HOUR_MS


def within_holding_period(held: Target, hour: int, entered_at: int | None, horizon_hours: int) -> bool:
    """True where what is held must be kept in this hour (UTC ms), whatever P(up) says."""
    return held != "flat" and hour < held_until(entered_at, horizon_hours)


def hours_within_holding_period(held: int, first: int, entered_at: int | None, horizon_hours: int) -> int:
    """`within_holding_period` for the hours from `first` (UTC ms) on: for how many of them, from the first, it is true."""
    return 0 if held == FLAT else max(0, (held_until(entered_at, horizon_hours) - first) // HOUR_MS)


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """A walk through n hours that begins flat: hours (k,), indices of those that change the held side, and sides (k,),
    the codes of what they change it to."""

    hours: Ints
    sides: Codes

    def held(self, n: int) -> Codes:
        """(n,) the side held after each hour."""
        lengths = np.diff(np.concatenate(([0], self.hours, [n])))
        return np.repeat(np.concatenate((np.zeros(1, np.int8), self.sides)), lengths)


def turns(signals: Signals, horizon_hours: int) -> Turns:
    """`target_side` and `within_holding_period` hour by hour, for n hours at once."""
    if horizon_hours > 1:
        return _from_turn_to_turn(signals, horizon_hours)
    if signals.short_entries is not None:
        held = _held_without_holding_period(signals)
        hours = np.flatnonzero(held != np.concatenate(([FLAT], held[:-1])))
        return Turns(hours, held[hours])
    hours = _alternating(signals)
    sides = np.full(len(hours), FLAT, np.int8)
    sides[0::2] = LONG
    return Turns(hours, sides)


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


def _from_turn_to_turn(signals: Signals, horizon_hours: int) -> Turns:
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
        free = hour + (1 if held == FLAT else horizon_hours)
        hours.append(hour)
        sides.append(held)
    return Turns(np.array(hours, np.int64), np.array(sides, np.int8))


def _next_true(column: Bools) -> Ints:
    """(n,) for each hour the first at or after it in which a column is true; n where there is none."""
    n = len(column)
    numbers = np.where(column, np.arange(n), n)
    return np.minimum.accumulate(numbers[::-1])[::-1]


# Halts


@dataclass(frozen=True, slots=True)
class Limits:
    """Losses that halt: a cumulative return (negative) since the risk epoch began, a drawdown (positive) from its peak;
    None switches a limit off. `freeze`: a halt keeps what is held instead of selling it."""

    cumulative_return: Decimal | None
    drawdown: Decimal | None
    freeze: bool = False


def breach(equity: Decimal, base: Decimal, peak: Decimal, limits: Limits) -> HaltReason | None:
    """The limit that an hour's equity reaches, if any; a limit that is reached exactly is breached.

    cumulative return = equity / base - 1, drawdown = 1 - equity / peak, both compounded over the epoch; `peak` is the
    highest equity up to this hour, this one included.
    """
    if limits.cumulative_return is not None and equity <= base * (1 + limits.cumulative_return):
        return "cumulative_return"
    if limits.drawdown is not None and equity <= peak * (1 - limits.drawdown):
        return "drawdown"
    return None


@dataclass(frozen=True, slots=True)
class HaltLevels:
    """`breach` in floats: an equity at or below `of_base`, or at or below `of_peak` times the peak, halts."""

    of_base: float = -np.inf
    of_peak: float | None = None

    @staticmethod
    def of(base: float, limits: Limits) -> HaltLevels:
        """The levels of an epoch that began with `base`."""
        cumulative, drawdown = limits.cumulative_return, limits.drawdown
        return HaltLevels(
            -np.inf if cumulative is None else base * (1 + float(cumulative)),
            None if drawdown is None else 1 - float(drawdown),
        )

    def at(self, peak: Floats | float) -> Floats | float:
        """The equity at or below which an account with this peak halts."""
        if self.of_peak is None:
            return self.of_base
        level: Floats | float = np.maximum(self.of_base, self.of_peak * peak)
        return level


def first_breach(equity: Floats, start: float, limits: Limits) -> int | None:
    """The index of the first of n equities, (n,), that reaches a limit, in an epoch that begins with `start`."""
    levels = HaltLevels.of(start, limits)
    peaks = start if levels.of_peak is None else np.maximum(np.maximum.accumulate(equity), start)
    low = equity <= levels.at(peaks)
    return int(low.argmax()) if low.any() else None


def halted_side(held: Target, frozen: bool) -> Target:
    """The target of an hour after a halt: a frozen halt keeps what is held, any other sells it."""
    return held if frozen else "flat"
