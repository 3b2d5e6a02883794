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
from trader.core.types import HOUR_MS, Bools, Floats, Matrix, Target

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

    def part(self, first: int, stop: int) -> Signals:
        """The hours first <= i < stop, by index, sharing memory."""
        cut = slice(first, stop)
        shorts = (None if it is None else it[cut] for it in (self.short_entries, self.short_exits))
        return Signals(self.entries[cut], self.exits[cut], *shorts)

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


def free_from(held: int, turned: int, horizon_hours: int) -> int:
    """`held_until` in rows: the first row that may change the side, a code, which was taken in row `turned`."""
    return turned + (1 if held == FLAT else horizon_hours)


# Halts


@dataclass(frozen=True, slots=True)
class LossLimits:
    """Losses that halt: a cumulative return (negative) since the risk epoch began, a drawdown (positive) from its peak;
    None switches a limit off. `freeze`: a halt keeps what is held instead of selling it."""

    cumulative_return: Decimal | None
    drawdown: Decimal | None
    freeze: bool = False


def breach(equity: Decimal, base: Decimal, peak: Decimal, limits: LossLimits) -> HaltReason | None:
    """The limit that an hour's equity reaches, if any; a limit that is reached exactly is breached.

    cumulative return = equity / base - 1, drawdown = 1 - equity / peak, both compounded over the epoch; `peak` is the
    highest equity up to this hour, this one included. Where either is 0 there is nothing to lose: a symbol of a book may wait
    for its share.
    """
    if limits.cumulative_return is not None and base > 0 and equity <= base * (1 + limits.cumulative_return):
        return "cumulative_return"
    if limits.drawdown is not None and peak > 0 and equity <= peak * (1 - limits.drawdown):
        return "drawdown"
    return None


@dataclass(frozen=True, slots=True)
class HaltLevels:
    """`breach` in floats: an equity at or below `of_base`, or at or below `of_peak` times the peak, halts."""

    of_base: float = -np.inf
    of_peak: float | None = None

    @staticmethod
    def of(base: float, limits: LossLimits) -> HaltLevels:
        """The levels of an epoch that began with `base`."""
        cumulative, drawdown = limits.cumulative_return, limits.drawdown
        return HaltLevels(
            -np.inf if cumulative is None or not base else base * (1 + float(cumulative)),
            None if drawdown is None else 1 - float(drawdown),
        )

    def at(self, peak: Floats | float) -> Floats | float:
        """The equity at or below which an account with this peak halts."""
        if self.of_peak is None:
            return self.of_base
        level: Floats | float = np.maximum(self.of_base, self.of_peak * peak)
        return level


def first_breach(equity: Floats, start: float, limits: LossLimits) -> int | None:
    """The index of the first of n equities, (n,), that reaches a limit, in an epoch that begins with `start`."""
    levels = HaltLevels.of(start, limits)
    peaks = start if levels.of_peak is None else np.maximum(np.maximum.accumulate(equity), start)
    low = equity <= levels.at(peaks)
    return int(low.argmax()) if low.any() else None


def halted_side(held: Target, frozen: bool) -> Target:
    """The target of an hour after a halt: a frozen halt keeps what is held, any other sells it."""
    return held if frozen else "flat"
