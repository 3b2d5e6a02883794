"""Bars of the signal's market: collected into a file for training, kept warm in memory for ticking."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

from trader.core.bars import Gap, gaps, merge
from trader.core.errors import Retry
from trader.core.ports import Clock, MarketData
from trader.core.types import HOUR_MS, Bars, iso, no_bars

# How long a tick waits for the bar of its hour, and how often it looks.
BAR_PATIENCE_S = 45.0
BAR_PAUSE_S = 3.0


class BarFile(Protocol):
    """Where collected bars are kept between processes."""

    def load(self, symbol: str) -> Bars:
        """What was collected, without rows if nothing was."""

    def save(self, bars: Bars) -> None:
        """Replace what was collected, atomically."""


class Collector:
    """Closed bars of one symbol: what the file holds, completed from the source. Rows are only ever added.

    explained(gap) says of a hole that the source is known to have no bars for it, so that it need not be asked. served() names
    a source that is no real market, and is "" for one that is.
    """

    def __init__(
        self,
        market: MarketData,
        symbol: str,
        file: BarFile | None = None,
        explained: Callable[[Gap], bool] = lambda _: False,
        served: Callable[[], str] = lambda: "",
    ) -> None:
        self._market = market
        self._file = file
        self._explained = explained
        self.symbol = symbol
        self.served = served

    @cached_property
    def _bars(self) -> Bars:
        """What is known. The file is read when a bar is wanted first: a tick that is done wants none."""
        return self._file.load(self.symbol) if self._file else no_bars(self.symbol)

    @property
    def known(self) -> Bars:
        """What has been collected so far."""
        return self._bars

    def between(self, start: int, stop: int) -> Bars:
        """Bars with start <= close_time < stop that are over: fewer at the beginning if the symbol is younger, fewer at
        the end if the source does not show them yet. Only what is missing is asked for, a hole before `start`
        included: the file has none."""
        if not len(self._bars):
            self._bars = self._market.bars(self.symbol, start, stop)
            return self._bars
        if start < self._bars.first:
            older = self._market.bars(self.symbol, start, self._bars.first)
            self._bars = (
                older.extended_to(self._bars.first - HOUR_MS).then(self._bars) if len(older) else self._bars
            )
        if stop - HOUR_MS > self._bars.last:
            newer = self._market.bars(self.symbol, self._bars.last + HOUR_MS, stop)
            self._bars = self._bars.then(newer)
        return self._bars.span(start, stop)

    def add(self, bars: Bars) -> None:
        """Take in bars from elsewhere, and ask the source for the holes that nothing explains.

        Where both have a row they must agree. Raises DataError if they do not.
        """
        self._bars = merge(self._bars, bars)
        for gap in gaps(self._bars):
            if not self._explained(gap):
                stop = gap.close_time + gap.hours * HOUR_MS
                self._bars = merge(self._bars, self._market.bars(self.symbol, gap.close_time, stop))

    def waiting(self, start: int, hour: int, clock: Clock) -> Bars:
        """As `between`, up to and with the bar of `hour`, waiting a little for it.

        Raises Retry if it does not come: a late bar makes a recorded skip, never a trade on an old one.
        """
        waited = 0.0
        while True:
            bars = self.between(start, hour + HOUR_MS)
            if len(bars) and bars.last >= hour:
                return bars
            if waited >= BAR_PATIENCE_S:
                newest = iso(bars.last) if len(bars) else "none"
                raise Retry(
                    f"{self.symbol}: the bar of {iso(hour)} is not there after {waited:.0f} s; newest is {newest}"
                )
            clock.sleep(BAR_PAUSE_S)
            waited += BAR_PAUSE_S

    def save(self) -> None:
        """Write what is known to the file, where there is one."""
        if self._file:
            self._file.save(self._bars)


def collect(collector: Collector, start: int, stop: int, stock: Bars | None = None) -> Bars:
    """Bring the file to cover start <= close_time < stop, as far as the source goes; returns that span.

    `stock` are bars that are at hand; they are used first. Safe to run twice: what is there is not asked for again.
    """
    if stock is not None:
        collector.add(stock.span(start, stop))
    bars = collector.between(start, stop)
    collector.save()
    return bars
