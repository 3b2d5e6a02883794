"""The signal's market out of a source of bars: a database, files, a bucket. What is over, what is late, holes between rows."""

from __future__ import annotations

from typing import Protocol

from trader.core.bar_checks import LONGEST_GAP_HOURS
from trader.core.ports import Clock
from trader.core.types import HOUR_MS, Bars, floor_hour, no_bars

# How far from a span rows are looked for that bound a hole at its edge: few hours mostly, at last the longest hole there is.
_REACH_HOURS = (24, 24 * 16, LONGEST_GAP_HOURS + 1)


class SpanSource(Protocol):
    """Bars by spans."""

    def read(self, symbol: str, start: int, stop: int) -> Bars:
        """Genuine rows with start <= close_time < stop (UTC ms), gaps between them filled and flagged; none where there is none
        of these hours. Raises ConfigError, DataError or Retry."""


class SourceMarket:
    """Closed bars of a source, whose rows are written when their hours are over.

    A row whose hour is not over by the clock is left out. Hours after the newest row are not known, however late it is: a bot
    waits, and then skips the hour.
    """

    def __init__(self, source: SpanSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    def close(self) -> None:
        """Nothing is held between reads."""

    def time_ms(self) -> int:
        """The clock's, UTC ms: a source has none."""
        return self._clock.now_ms()

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Bars with start <= close_time < stop that are over, gaps filled flat and flagged, also where a hole begins before the
        span or ends after it. Empty if there is none. Raises ConfigError, DataError or Retry."""
        over = floor_hour(self._clock.now_ms()) + HOUR_MS
        stop = min(stop, over)
        if start >= stop:
            return no_bars(symbol)
        found = self._source.read(symbol, start - HOUR_MS, stop)
        if not len(found) or found.first > start - HOUR_MS:
            found = self._before(symbol, start - HOUR_MS, found)
        if len(found) and found.last < stop - HOUR_MS and self._is_later(symbol, stop, over):
            found = found.extended_to(stop - HOUR_MS)
        return found.span(start, stop)

    def _before(self, symbol: str, stop: int, found: Bars) -> Bars:
        """With the newest row before `stop` in front, where there is one."""
        for hours in _REACH_HOURS:
            older = self._source.read(symbol, stop - hours * HOUR_MS, stop)
            if len(older):
                return older.extended_to(found.first - HOUR_MS).then(found) if len(found) else older
        return found

    def _is_later(self, symbol: str, start: int, over: int) -> bool:
        """Whether there is a row that closed at `start` or later, and is over."""
        return any(
            len(self._source.read(symbol, start, min(start + hours * HOUR_MS, over)))
            for hours in _REACH_HOURS
            if start < over
        )
