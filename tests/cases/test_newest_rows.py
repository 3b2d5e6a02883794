"""The newest rows of a file of one's own may not be true yet: the market is asked for them once more, and what it says counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.adapters.test_collect_archive import same
from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock, MemoryMarket
from trader.app.collect import NEWEST_ROWS, Collector
from trader.core.errors import DataError
from trader.core.types import HOUR_MS, Bars, iso, no_bars

BARS = bars_made(100)
CLOCK = FakeClock(BARS.last)
LAST = 60  # the file's last row


@dataclass
class OwnFile:
    """A file of one's own."""

    bars: Bars
    saved: list[Bars] = field(default_factory=list)

    def load(self, symbol: str) -> Bars:
        """What somebody put there."""
        return self.bars

    def save(self, bars: Bars) -> None:
        """What is written over it."""
        self.saved.append(bars)


@dataclass
class Counted(MemoryMarket):
    """A market that remembers how often it was asked."""

    asked: int = 0

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """As the market has them."""
        self.asked += 1
        return super().bars(symbol, start, stop)


def forming(bars: Bars, rows: int = 1, factor: float = 1.0137) -> Bars:
    """The same with closes of the newest rows as they stood while they formed."""
    close, high = bars.close.copy(), bars.high.copy()
    close[-rows:] *= factor
    return replace(bars, close=close, high=np.maximum(high, close))


def collector_of(bars: Bars) -> tuple[Collector, Counted, OwnFile, list[str]]:
    """A collector behind a file of these bars, with the true market."""
    market, file = Counted(BARS, CLOCK), OwnFile(bars)
    said: list[str] = []
    return Collector(market, BARS.symbol, file, say=said.append), market, file, said


@pytest.mark.parametrize("later", [0, 5])
@pytest.mark.parametrize("rows", [1, 2])
def test_an_unfinished_bar_is_replaced_and_said(rows: int, later: int) -> None:
    """Whether the hour is the file's last or a later one: it is decided on the market's bars, with one question."""
    collector, market, file, said = collector_of(forming(BARS.rows(0, LAST + 1), rows))
    hour = int(BARS.close_time[LAST + later])
    found = collector.between(BARS.first, hour + HOUR_MS)
    same(found, BARS.rows(0, LAST + later + 1))
    assert len(said) == rows
    assert f"the bar of {iso(BARS.close_time[LAST].item())} was collected too early: close" in said[-1]
    collector.between(BARS.first, hour + HOUR_MS)
    assert market.asked == 1
    collector.save()
    same(file.saved[0], found)


def test_bars_that_are_true_are_said_to_nobody() -> None:
    """The usual case: nothing is said, and what comes after is had with the same question."""
    collector, market, _, said = collector_of(BARS.rows(0, LAST + 1))
    same(collector.between(BARS.first, BARS.last + HOUR_MS), BARS)
    assert (said, market.asked) == ([], 1)


def test_a_bar_that_the_market_does_not_have_is_left_out() -> None:
    """An hour that is not over, or that had no bar: it is no bar of the file's either."""
    own = BARS.rows(0, LAST + 1)
    market = Counted(BARS.rows(0, LAST), CLOCK)
    said: list[str] = []
    collector = Collector(market, BARS.symbol, OwnFile(own), say=said.append)
    same(collector.between(BARS.first, own.last + HOUR_MS), BARS.rows(0, LAST))
    assert said == [
        f"BTCUSDT: bars after {iso(BARS.close_time[LAST - 1].item())} are left out: they are not over"
    ]


def test_a_file_of_another_market_is_refused() -> None:
    """None of its newest closes is the market's: such bars are no history of this symbol, and nothing is decided on them."""
    collector, _, file, _ = collector_of(forming(BARS.rows(0, LAST + 1), NEWEST_ROWS, 1.2))
    with pytest.raises(DataError, match=r"were collected from another market. Move the file aside"):
        collector.between(BARS.first, int(BARS.close_time[LAST]) + HOUR_MS)
    assert file.saved == []


def test_hours_before_the_newest_ask_nothing() -> None:
    """A file that reaches further than what is asked for, as of a market whose clock stands earlier."""
    collector, market, _, _ = collector_of(forming(BARS))
    collector.between(BARS.first, int(BARS.close_time[LAST]))
    assert market.asked == 0
    empty = Collector(Counted(no_bars("BTCUSDT"), CLOCK), "BTCUSDT", OwnFile(BARS))
    same(empty.between(BARS.first, BARS.last + HOUR_MS), BARS)


def test_an_archive_meets_rows_that_were_compared() -> None:
    """The unfinished bar is none for which a person must decide."""
    collector, _, _, said = collector_of(forming(BARS.rows(0, LAST + 1)))
    collector.add(BARS.rows(30, 90))
    same(collector.known, BARS.rows(0, 90))
    assert len(said) == 1
