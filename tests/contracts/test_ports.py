"""The contracts of the ports, over the stand-ins of the tests and over the embedded exchange through HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.clock_contract import ClockContract
from tests.contracts.conftest import venue_is_given
from tests.contracts.exchange_contract import Desk, ExchangeContract
from tests.contracts.market_contract import MarketDataContract, MarketScene
from tests.support.fakes import FakeClock, FakeExchange, MemoryMarket
from tests.support.venue_kit import AT, KEY, MARKET, SECRET, SYMBOL, running, with_gap
from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_klines import BinanceKlines
from trader.adapters.binance_spot import BinanceSpot
from trader.adapters.clocks import ExchangeClock, SimClock, WallClock
from trader.app.collect import Collector
from trader.core.types import HOUR_MS, Bars

GAPPY = with_gap(MARKET.bars, AT - 7 * HOUR_MS, AT - 20 * HOUR_MS, AT - 21 * HOUR_MS)


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ({}, False),
        ({"TRADER_CONTRACT_VENUE": "testnet"}, False),
        ({"TRADER_CONTRACT_VENUE": "testnet", "TRADER_API_KEY": "k"}, False),
        ({"TRADER_API_KEY": "k", "TRADER_API_SECRET": "s"}, False),
        ({"TRADER_CONTRACT_VENUE": "demo", "TRADER_API_KEY": "k", "TRADER_API_SECRET": "s"}, True),
        ({"TRADER_CONTRACT_VENUE": "embedded"}, True),
    ],
)
def test_a_real_venue_is_asked_only_where_it_is_named(
    given: dict[str, str], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys in the environment alone start no order, nor does a venue without keys."""
    for name in ("TRADER_CONTRACT_VENUE", "TRADER_API_KEY", "TRADER_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert venue_is_given() is runs


class TestFakeExchange(ExchangeContract):
    """The stand-in of the app's tests."""

    @pytest.fixture
    def desk(self) -> Desk:
        """A fake whose clock stands at AT."""
        clock = FakeClock(AT)
        return Desk(FakeExchange(clock), clock)


class TestEmbeddedExchange(ExchangeContract):
    """The adapter at the embedded exchange, whose clock sleeping moves."""

    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        """A fresh exchange at AT with 10,000 USDT."""
        with running() as sim:
            clock = SimClock(sim.exchange.url)
            adapter = BinanceSpot(VenueAddress(sim.exchange.url, KEY, SECRET), clock)
            yield Desk(adapter, clock, SYMBOL)
            adapter.close()
            clock.close()


class TestMemoryMarket(MarketDataContract):
    """The stand-in."""

    @pytest.fixture
    def scene(self) -> MarketScene:
        """A market with gaps at AT."""
        return MarketScene(MemoryMarket(GAPPY, FakeClock(AT)), SYMBOL, AT)


class TestEmbeddedMarket(MarketDataContract):
    """The adapter at the embedded exchange."""

    @pytest.fixture
    def scene(self) -> Iterator[MarketScene]:
        """The same market with gaps, 20 minutes after AT."""
        now = AT + 20 * 60_000
        with running(bars=GAPPY, at_ms=now) as sim:
            adapter = BinanceKlines(VenueAddress(sim.exchange.url), FakeClock(now))
            yield MarketScene(adapter, SYMBOL, AT)
            adapter.close()


class Collected:
    """A collector as a source: it answers from what it holds, and asks its source for the rest."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Bars of the span."""
        return self._collector.between(start, stop).span(start, stop)


class TestCollector(MarketDataContract):
    """Bars are the same whether they come through the collector or not."""

    @pytest.fixture
    def scene(self) -> MarketScene:
        """A collector that holds nothing yet."""
        market = MemoryMarket(GAPPY, FakeClock(AT))
        return MarketScene(Collected(Collector(market, SYMBOL)), SYMBOL, AT)


class TestWallClock(ClockContract):
    """The machine's clock."""

    @pytest.fixture
    def clock(self) -> WallClock:
        """It."""
        return WallClock()


class TestFakeClock(ClockContract):
    """The stand-in."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """At AT."""
        return FakeClock(AT)


class TestSimClock(ClockContract):
    """The embedded exchange's clock, moved by sleeping."""

    @pytest.fixture
    def clock(self) -> Iterator[SimClock]:
        """Of a running exchange."""
        with running() as sim:
            clock = SimClock(sim.exchange.url)
            yield clock
            clock.close()


class TestExchangeClock(ClockContract):
    """The clock of an embedded exchange that runs 20 times as fast as the wall's."""

    @pytest.fixture
    def clock(self) -> Iterator[ExchangeClock]:
        """One at an exchange that stands at AT to begin with."""
        with running(speed=20.0) as sim:
            yield ExchangeClock(sim.exchange.url)
