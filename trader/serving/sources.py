"""Where answers come from: for each symbol its journal and its bars, and the clock that its hours close by. No key is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from trader import wiring
from trader.adapters.book_file import BookFile
from trader.adapters.clocks import ExchangeClock
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.config import Settings
from trader.core.errors import DataError, Retry
from trader.core.ports import Clock
from trader.core.types import HOUR_MS, Bars, floor_hour, iso


@dataclass(frozen=True, slots=True)
class SymbolSource:
    """One symbol: what was published for it, and its bars."""

    journal: Journal
    collector: Collector

    @property
    def symbol(self) -> str:
        """Its name."""
        return self.journal.symbol

    def bars_for(self, reads_from: int, hour: int) -> Bars:
        """The bars that a prediction at `hour` reads, from `reads_from` on (UTC ms): as the bot has them. Nothing is waited for.

        Raises Retry where the hour's bar is not there yet, DataError where the hour lies before the symbol's first bar.
        """
        bars = self.collector.between(reads_from, hour + HOUR_MS)
        if len(bars) and bars.last >= hour >= bars.first:
            return bars
        if len(bars) and hour < bars.first:
            raise DataError(f"{self.symbol}: {iso(hour)} is before its first bar, of {iso(bars.first)}")
        newest = iso(bars.last) if len(bars) else "none"
        raise Retry(f"{self.symbol}: the bar of {iso(hour)} is not there yet; the newest is {newest}")


@dataclass(frozen=True, slots=True)
class Sources:
    """All symbols that are served, by name, and their clock."""

    symbols: dict[str, SymbolSource]
    clock: Clock

    def newest_hour(self) -> int:
        """The hour that closed last, by the clock (UTC ms)."""
        return floor_hour(self.clock.now_ms())

    def follow_clock(self) -> None:
        """Ask an embedded exchange anew where its clock stands; another clock is this machine's."""
        if isinstance(self.clock, ExchangeClock):
            self.clock.follow()


@contextmanager
def open_sources(
    settings: Settings, book: BookFile | None = None, say: Callable[..., None] = lambda *_: None
) -> Iterator[Sources]:
    """The settings' one symbol, or all of a book; the connection is given back at the end. Raises WrongStore where the store is
    another's, and ConfigError."""
    journals = (
        [wiring.make_journal(settings)] if book is None else wiring.make_journals(settings, book.params)
    )
    clock = wiring.make_clock(settings)
    market = wiring.make_market(settings, clock)
    found = {}
    for journal in journals:
        own = settings.model_copy(update={"symbol": journal.symbol})
        found[journal.symbol] = SymbolSource(journal, wiring.make_collector(own, market, say=say))
    try:
        yield Sources(found, clock)
    finally:
        market.close()
