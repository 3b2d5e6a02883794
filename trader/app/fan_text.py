"""A fan drawn in characters: the closes before an hour, then the intervals of the closes after it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trader.core.fan import FanForecast
from trader.core.forecast import LEVELS
from trader.core.types import Floats, Ints


class Marks(NamedTuple):
    """What is drawn with. bands: the intervals of 95, 80 and 50 %."""

    bands: str
    median: str
    close: str


SHADES = Marks("░▒▓", "━", "•")
PLAIN = Marks(".:#", "=", "*")  # every terminal has these
ROWS = 15
LABEL_WIDTH = 13
# Hours ahead that a table shows: further and further apart.
SHOWN_STEPS = (1, 2, 3, 6, 12, 24, 48, 72, 120, 168)
_MEDIAN = LEVELS.index(0.5)


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Lines of characters, the highest price first."""

    low: float
    high: float
    lines: list[list[str]]

    def row(self, price: float) -> int:
        """The line of a price."""
        return round((self.high - price) / (self.high - self.low) * (len(self.lines) - 1))

    def put(self, x: int, low: float, high: float, mark: str) -> None:
        """A mark in every line between two prices."""
        for y in range(self.row(high), self.row(low) + 1):
            self.lines[y][x] = mark

    def price(self, y: int) -> float:
        """In the middle of a line."""
        return self.high - (self.high - self.low) * y / (len(self.lines) - 1)


def fan_lines(fan: FanForecast, width: int, marks: Marks = SHADES) -> list[str]:
    """The fan as lines of at most `width` columns, with prices on every second line and a line of hours below."""
    columns = width - LABEL_WIDTH
    past = fan.before[-(columns // 3) :]
    steps = _steps(fan.hours, columns - len(past))
    canvas = _canvas(past, fan.prices, len(past) + len(steps))
    for x, price in enumerate(past.tolist()):
        if not math.isnan(price):
            canvas.put(x, price, price, marks.close)
    for x, levels in enumerate(fan.prices[steps - 1].tolist(), start=len(past)):
        for depth, mark in enumerate(marks.bands):
            canvas.put(x, levels[depth], levels[-1 - depth], mark)
        canvas.put(x, levels[_MEDIAN], levels[_MEDIAN], marks.median)
    return [*_labelled(canvas), _axis(len(past), len(steps), fan.hours)]


def _steps(hours: int, columns: int) -> Ints:
    """The hour ahead that each column shows: at most two columns an hour."""
    count = min(columns, 2 * hours)
    found: Ints = np.rint(np.linspace(1, hours, count)).astype(np.int64)
    return found


def _canvas(past: Floats, prices: Floats, columns: int) -> _Canvas:
    known = np.concatenate([past[~np.isnan(past)], prices.ravel()])
    low, high = float(known.min()), float(known.max())
    if low == high:
        low, high = low * 0.99, high * 1.01
    return _Canvas(low, high, [[" "] * columns for _ in range(ROWS)])


def _labelled(canvas: _Canvas) -> list[str]:
    labels = [price_text(canvas.price(y)) if y % 2 == 0 else "" for y in range(len(canvas.lines))]
    return [
        f"{label:>{LABEL_WIDTH - 2}}  {''.join(line)}".rstrip()
        for label, line in zip(labels, canvas.lines, strict=True)
    ]


def _axis(past: int, ahead: int, hours: int) -> str:
    """`now` below the newest close, how far it reaches below the last column."""
    end = f"+{hours} h"
    return f"{'now':>{LABEL_WIDTH + past}}{end:>{max(ahead, len(end) + 1)}}"


def price_text(price: float) -> str:
    """Six digits that say something, without an exponent."""
    decimals = max(0, 5 - math.floor(math.log10(price))) if price > 0 else 0
    return f"{price:.{min(decimals, 12)}f}"


def shown_steps(hours: int) -> list[int]:
    """The hours ahead that a table shows: those of SHOWN_STEPS within reach, and the last."""
    return [*(h for h in SHOWN_STEPS if h < hours), hours]
