"""What every source of bars must do. A test module subclasses `SourceContract` and provides the fixture `scene`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from backtest.evidence.ledger import data_hash
from tests.contracts.market_contract import MarketDataContract, MarketScene, require_equal
from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock
from trader.adapters.bar_folder import BarSources, read_place
from trader.adapters.source_market import SourceMarket
from trader.adapters.source_s3 import S3Access
from trader.adapters.sources import Place, local_file, span_source
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, REQUIRED_COLUMNS, Bars


def rounded(bars: Bars) -> Bars:
    """The same with values that an exact decimal column can hold."""
    return replace(bars, **{name: np.round(getattr(bars, name), 8) for name in REQUIRED_COLUMNS})


# Gaps within, at the edges of the parts that the market's contract asks for, and one of a month.
BTC = rounded(
    bars_made(2_000, seed=5, missing=(40, 41, *range(500, 1_220), *range(1_965, 1_975), 1_986, 1_998))
)
ETH = rounded(bars_made(300, seed=6, symbol="ETHUSDT", price=2_000.0))
MINUTES_LATER_MS = 40 * 60_000


AWS = S3Access()


@dataclass(frozen=True)
class SourceScene:
    """A source of BTC and ETH, its address, and how its bucket is reached."""

    place: Place
    access: S3Access = AWS

    def read(self, symbol: str = "BTCUSDT") -> Bars:
        """All bars of a symbol."""
        return read_place(self.place, symbol, access=lambda: self.access)

    def market(self, now: int = BTC.last + MINUTES_LATER_MS) -> SourceMarket:
        """The same as the signal's market at a time (UTC ms)."""
        return SourceMarket(span_source(str(self.place), lambda: self.access), FakeClock(now))


class SourceContract(MarketDataContract):
    """The tests that every source passes, those of a market among them."""

    @pytest.fixture
    def source(self) -> SourceScene:
        """Subclasses give it."""
        raise NotImplementedError

    @pytest.fixture
    def scene(self, source: SourceScene) -> MarketScene:
        """The source as a market, 40 minutes after its newest bar closed."""
        return MarketScene(source.market(), "BTCUSDT", BTC.last)

    def test_the_same_bars_have_the_same_hash(self, source: SourceScene) -> None:
        """To the bit, gaps and flags included, for each symbol."""
        for bars in (BTC, ETH):
            found = source.read(bars.symbol)
            require_equal(found, bars)
            assert data_hash(found) == data_hash(bars)

    def test_a_span_has_the_hash_of_that_span(self, source: SourceScene) -> None:
        """Spans that begin, end or lie in a gap, as the hours of the whole."""
        market = source.market()
        for first, last in ((0, 60), (300, 620), (600, 640), (1_970, 1_988), (1_985, 2_000)):
            part = BTC.rows(first, last)
            found = market.bars("BTCUSDT", part.first, part.last + HOUR_MS)
            assert data_hash(found) == data_hash(part), (first, last)

    def test_a_bar_that_is_not_over_is_left_out(self, source: SourceScene) -> None:
        """By the clock, though its row is there; a bar that is not there yet is not made up, nor one that a later row shows."""
        early, late = source.market(BTC.last - 1), source.market(BTC.last + 5 * HOUR_MS)
        span = BTC.last - 6 * HOUR_MS, BTC.last + 3 * HOUR_MS
        assert early.bars("BTCUSDT", *span).last == BTC.last - 2 * HOUR_MS  # the one between is missing
        assert late.bars("BTCUSDT", *span).last == BTC.last

    def test_several_symbols_are_told_apart(self, source: SourceScene) -> None:
        """The traded one is named; one that is not there is said with those that are."""
        sources = BarSources.of([source.place], "ETHUSDT", access=lambda: source.access)
        assert sources.beside(["BTCUSDT"]) == ["BTCUSDT"]
        require_equal(sources.read("BTCUSDT"), BTC)
        with pytest.raises(ConfigError, match=r"no bars of XRPUSDT \(there are BTCUSDT, ETHUSDT\)"):
            sources.path("XRPUSDT")
        with pytest.raises(ConfigError, match=r"BTCUSDT, ETHUSDT: say which is traded, with --symbol"):
            BarSources.of([source.place], None, access=lambda: source.access)

    def test_a_copy_on_this_machine_is_equal(self, source: SourceScene, tmp_path: Path) -> None:
        """What a child process is given instead of an address."""
        sources = BarSources.of([source.place], "BTCUSDT", access=lambda: source.access)
        place = sources.path("BTCUSDT")
        require_equal(read_place(local_file(place, sources.read("BTCUSDT"), tmp_path), "BTCUSDT"), BTC)
