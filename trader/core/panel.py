"""What is known at one hour, nothing later: the bars of one or more symbols on one grid, and their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trader.core.errors import DataError
from trader.core.types import HOUR_MS, Bars, Ints, Matrix, flat_bars, iso


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """n hours of symbols, oldest first. The last row is the hour at which all of it is known.

    bars: one series a symbol, all with the same n close times. Hours that a symbol lacks are flagged rows, those before its
    first bar too.
    X: (n, k) float32 a symbol, NaN where a feature is undefined; () for families that read the series themselves.
    """

    bars: tuple[Bars, ...]
    X: tuple[Matrix, ...] = ()

    @staticmethod
    def of(bars: Sequence[Bars], X: Sequence[Matrix] = ()) -> Panel:
        """Raises DataError, naming the symbols, unless all series and features have the same hours."""
        if not bars:
            raise DataError("a panel needs at least one symbol")
        one = bars[0]
        for other in bars[1:]:
            if len(other) != len(one) or (len(one) and other.first != one.first):
                raise DataError(
                    f"{other.symbol} and {one.symbol} do not have the same hours; give bars of one span"
                )
        if X and [len(rows) for rows in X] != [len(one)] * len(bars):
            raise DataError(f"{one.symbol}: the features do not have the hours of the bars")
        return Panel(tuple(bars), tuple(X))

    def __len__(self) -> int:
        return len(self.bars[0])

    @property
    def symbols(self) -> tuple[str, ...]:
        """In the order of the series."""
        return tuple(series.symbol for series in self.bars)

    @property
    def close_time(self) -> Ints:
        """(n,) UTC ms."""
        return self.bars[0].close_time

    def row(self, close_time: int) -> int:
        """The index of an hour (UTC ms); it may lie outside 0..n-1."""
        return self.bars[0].row(close_time)

    def rows(self, hours: Ints) -> Ints:
        """(m,) indices of hours (UTC ms). Raises DataError for an hour that is not in the panel."""
        if not len(hours):
            return np.zeros(0, np.int64)
        found: Ints = (hours - self.bars[0].first) // HOUR_MS
        if found.min() < 0 or found.max() >= len(self):
            outside = hours[(found < 0) | (found >= len(self))]
            raise DataError(f"{self.symbols[0]}: {iso(int(outside[0]))} is not within the panel")
        return found

    def span(self, start: int, stop: int) -> Panel:
        """The hours with start <= close_time < stop (UTC ms), sharing memory."""
        first, last = max(0, self.row(start)), max(0, self.row(stop))
        return Panel(
            tuple(series.rows(first, last) for series in self.bars),
            tuple(rows[first:last] for rows in self.X),
        )

    def alone(self, symbol: str) -> Panel:
        """One symbol of the panel. Raises DataError for a symbol that it has not."""
        if symbol not in self.symbols:
            raise DataError(f"{symbol} is not in a panel of {', '.join(self.symbols)}")
        i = self.symbols.index(symbol)
        return Panel((self.bars[i],), self.X[i : i + 1])


def on_grid(bars: Bars, start: int, stop: int) -> Bars:
    """The rows with start <= close_time < stop (UTC ms), one for every hour. Hours before the first bar are flagged rows, flat at
    that bar's open; the bars must reach `stop`, which only later ones could fill.

    Raises DataError for bars that are not there at all, or end earlier.
    """
    if not len(bars) or bars.last < stop - HOUR_MS or bars.first >= stop:
        there = f"its bars are {iso(bars.first)} to {iso(bars.last)}" if len(bars) else "it has no bars"
        raise DataError(
            f"{bars.symbol}: a fit reads the hours up to {iso(stop - HOUR_MS)}, and {there}. Collect them: trader collect "
            f"--symbols {bars.symbol}; or leave it out of train_symbols"
        )
    part = bars.span(start, stop)
    missing = (part.first - start) // HOUR_MS
    return flat_bars(bars.symbol, float(part.open[0]), start, missing).then(part) if missing else part
