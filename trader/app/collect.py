"""Bars of the signal's market: collected into a file for training, kept warm in memory for ticking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal, Protocol

from trader.core.bar_checks import PRICES
from trader.core.bars import Contradiction, Gap, contradictions, gaps, merge, without
from trader.core.errors import DataError, Retry
from trader.core.ports import Clock, MarketData
from trader.core.revisions import Decision, Revision, revisions_of, undecided
from trader.core.text import plural
from trader.core.types import HOUR_MS, Bars, iso, no_bars

# How long a tick waits for the bar of its hour, and how often it looks.
BAR_PATIENCE_S = 45.0
BAR_PAUSE_S = 3.0
# Of a file's newest rows so many are asked for again: the last one may be unfinished, and the exchange may still change the one
# before it. Where none of them is the market's the file is not.
NEWEST_ROWS = 3
MOST_LISTED = 5

Side = Literal["neither", "known", "added"]


class BarFile(Protocol):
    """Where collected bars are kept between processes."""

    def load(self, symbol: str) -> Bars:
        """What was collected, without rows if nothing was."""

    def save(self, bars: Bars) -> None:
        """Replace what was collected, atomically."""


class RevisionLog(Protocol):
    """Where bars that a source told otherwise later are kept, with both values and the time of receipt."""

    def read(self, symbol: str) -> list[Revision]:
        """All of a symbol, oldest first."""

    def add(self, revisions: Sequence[Revision]) -> None:
        """Append them."""


class NoLog:
    """Keeps nothing: for bars that are kept in no file."""

    def read(self, symbol: str) -> list[Revision]:
        """None."""
        return []

    def add(self, revisions: Sequence[Revision]) -> None:
        """Forgets them."""


class Collector:
    """Closed bars of one symbol: what the file holds, completed from the source.

    Rows are only ever added, but for the newest ones of the file: whoever wrote them may have done so before they were over,
    so the source is asked for them once more, and what it says is taken.
    explained(gap) says of a hole that the source is known to have no bars for it, so that it need not be asked.
    say: is told what a person should know of the bars.
    served() names a source that is no real market, and is "" for one that is.
    log: keeps bars that the source tells otherwise than they were stored; now_ms(): when it did, UTC ms.
    """

    def __init__(
        self,
        market: MarketData,
        symbol: str,
        file: BarFile | None = None,
        explained: Callable[[Gap], bool] = lambda _: False,
        served: Callable[[], str] = lambda: "",
        say: Callable[[str], None] = lambda _: None,
        log: RevisionLog | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._log: RevisionLog = log or NoLog()
        self._now_ms = now_ms
        self._pending: list[Revision] = []
        self._market = market
        self._file = file
        self._explained = explained
        self._say = say
        self._unproven = file is not None
        self._beside: dict[str, Collector] = {}
        self.symbol = symbol
        self.served = served

    def of(self, symbol: str) -> Collector:
        """The collector of another symbol: of the same source, with its own file, and by the same rules."""
        if symbol == self.symbol:
            return self
        if symbol not in self._beside:
            self._beside[symbol] = Collector(
                self._market,
                symbol,
                self._file,
                self._explained,
                self.served,
                self._say,
                self._log,
                self._now_ms,
            )
        return self._beside[symbol]

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
        the end if the source does not show them yet. Only what is missing is asked for, and the newest rows of the file; a hole
        before `start` is missing too: the file has none. Raises DataError where the file is another market's."""
        if not len(self._bars):
            self._bars = self._market.bars(self.symbol, start, stop)
            self._unproven = False
            return self._bars
        if start < self._bars.first:
            older = self._market.bars(self.symbol, start, self._bars.first)
            self._bars = (
                older.extended_to(self._bars.first - HOUR_MS).then(self._bars) if len(older) else self._bars
            )
        if self._unproven and stop > self._bars.last:
            self._prove(stop)
        elif stop - HOUR_MS > self._bars.last:
            newer = self._market.bars(self.symbol, self._bars.last + HOUR_MS, stop)
            self._bars = self._bars.then(newer)
        return self._bars.span(start, stop)

    def _prove(self, stop: int) -> None:
        """Ask for the newest rows of the file together with what comes after them, and take what the source says of them."""
        begin = max(self._bars.last - (NEWEST_ROWS - 1) * HOUR_MS, self._bars.first)
        said = self._market.bars(self.symbol, begin, stop)
        self._unproven = False
        if not len(said):
            return  # the source shows none of them, so nothing can be compared
        mine = self._bars.span(begin, self._bars.last + HOUR_MS)
        wrong = _untrue(mine, said)
        if len(wrong) == len(mine) == NEWEST_ROWS and all(it.column in PRICES for it in wrong):
            raise DataError(
                f"{self.symbol}: none of the {len(wrong)} newest collected bars is the market's ({wrong[-1].in_words()}): they "
                "were collected from another market. Move the file aside, or give another folder with --bars"
            )
        self._decided(revisions_of(mine, said, contradictions(mine, said), self._now_ms()), "accepted")
        for it in wrong:
            now = f"{it.older!s} is now {it.newer!s}" if said.has(it.close_time) else "the market has none"
            self._say(
                f"{self.symbol}: the bar of {iso(it.close_time)} was collected too early: {it.column} {now}"
            )
        if mine.last > said.last:
            self._say(f"{self.symbol}: bars after {iso(said.last)} are left out: they are not over")
        kept = self._bars.span(self._bars.first, begin)
        self._bars = kept.extended_to(said.first - HOUR_MS).then(said) if len(kept) else said

    def compare(self, start: int, stop: int, decision: Decision = "noted") -> list[Revision]:
        """Ask the source for the stored rows of start <= close_time < stop too, and return those that it tells otherwise.

        accepted: its values are taken; kept: the stored ones stay, and are not asked about again; noted: nothing is changed, and
        DataError is raised, which names rows and both values, unless all were decided before. Bars that were missing are added.
        """
        if self._unproven and len(self._bars):
            self._prove(self._bars.last + HOUR_MS)
        known = self._bars.span(start, stop)
        if not len(known):
            return []
        said = self._market.bars(self.symbol, known.first, known.last + HOUR_MS)
        found = revisions_of(known, said, contradictions(known, said), self._now_ms())
        before = self._log.read(self.symbol)
        if decision == "noted" and (open_ones := undecided(found, before)):
            self._log.add([it for it in open_ones if not any(it.is_of(other) for other in before)])
            raise DataError(_revised(self.symbol, open_ones))
        self._decided([it for it in found if decision != "noted"], decision)
        hours = [it.close_time for it in found]
        if decision == "accepted":
            self._bars = without(self._bars, hours)
        added = said if decision == "accepted" else without(said, hours)
        self._bars = merge(self._bars, added) if len(said) else self._bars
        return found

    def _decided(self, revisions: Sequence[Revision], decision: Decision) -> None:
        """Kept when the bars are: a revision that is told as accepted is one whose values are stored."""
        self._pending += [replace(it, decision=decision) for it in revisions]

    def add(self, bars: Bars, prefer: Side = "neither") -> None:
        """Take in bars from elsewhere, and ask the source for the holes that nothing explains.

        Where both have a row they must agree, unless one is preferred: what is `known`, or what is `added`; the differences
        are said. Raises DataError if they do not agree and nobody decided.
        """
        if self._unproven and len(self._bars):
            self._prove(self._bars.last + HOUR_MS)
        self._unproven = False
        differ = contradictions(self._bars, bars)
        if differ and prefer == "neither":
            raise DataError(_undecided(self.symbol, differ))
        if differ:
            self._say(
                f"{self.symbol}: {plural(len(differ), 'bar differs', 'bars differ')}, {'; '.join(_listed(differ))}; "
                f"{prefer} ones are kept"
            )
        hours = [it.close_time for it in differ]
        known = without(self._bars, hours) if prefer == "added" else self._bars
        self._bars = merge(known, without(bars, hours) if prefer == "known" else bars)
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
        """Write what is known to the file, where there is one; of the symbols collected beside this one too."""
        for collector in (self, *self._beside.values()):
            if collector._file:
                collector._file.save(collector._bars)
            collector._log.add(collector._pending)
            collector._pending = []


def collect(
    collector: Collector,
    start: int,
    stop: int,
    stock: Bars | None = None,
    prefer: Side = "neither",
    compared: Decision | None = None,
) -> Bars:
    """Bring the file to cover start <= close_time < stop, as far as the source goes; returns that span.

    `stock` are bars that are at hand; they are used first. prefer: whose row counts where stock and file differ. Safe to run
    twice: what is there is not asked for again, its newest rows apart. compared: stored rows are compared with the source first,
    and this is decided of those that differ (`Collector.compare`).
    """
    if compared is not None:
        collector.compare(start, stop, compared)
    if stock is not None:
        collector.add(stock.span(start, stop), prefer)
    bars = collector.between(start, stop)
    collector.save()
    return bars


def _untrue(mine: Bars, said: Bars) -> list[Contradiction]:
    """The rows of `mine` that the source tells otherwise, or has no bar of."""
    differ = contradictions(mine, said)
    absent = [
        Contradiction(time, "close", float(mine.close[mine.row(time)]), float("nan"))
        for time in map(int, mine.close_time)
        if mine.has(time) and said.first <= time <= said.last and not said.has(time)
    ]
    return sorted(differ + absent, key=lambda it: it.close_time)


def _listed(differ: list[Contradiction]) -> list[str]:
    more = len(differ) - MOST_LISTED
    return [it.in_words() for it in differ[:MOST_LISTED]] + ([f"and {more} more"] if more > 0 else [])


def _revised(symbol: str, found: list[Revision]) -> str:
    more = len(found) - MOST_LISTED
    listed = [it.in_words() for it in found[:MOST_LISTED]] + ([f"and {more} more"] if more > 0 else [])
    return (
        f"{symbol}: the source tells {plural(len(found), 'stored bar')} otherwise: {'; '.join(listed)}. Nothing was replaced. "
        "Decide which is right: trader collect --accept-revisions takes the source's, --keep-stored leaves what is stored"
    )


def _undecided(symbol: str, differ: list[Contradiction]) -> str:
    return (
        f"{symbol}: two sources disagree on {plural(len(differ), 'bar')}: {'; '.join(_listed(differ))}. Decide which is right: "
        "--prefer market keeps what was collected (the older), --prefer archive takes the archive's (the newer)"
    )
