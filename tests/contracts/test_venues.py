"""The contracts of exchange and market over a real venue: TRADER_CONTRACT_VENUE names it, its keys stand beside.

The orders are market orders of three times the least notional, bought and sold back. Without that setting these tests
are deselected (`conftest.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contracts.exchange_contract import Desk, ExchangeContract
from tests.contracts.market_contract import MarketDataContract, MarketScene
from trader import wiring
from trader.adapters.clocks import WallClock
from trader.config import Settings, load_settings
from trader.core.types import floor_hour

pytestmark = pytest.mark.venue


@pytest.fixture
def venue() -> Settings:
    """Settings as the bot would have them at that venue."""
    return load_settings(venue=os.environ["TRADER_CONTRACT_VENUE"])


class TestVenueExchange(ExchangeContract):
    """The account's adapter at the venue."""

    @pytest.fixture
    def desk(self, venue: Settings) -> Iterator[Desk]:
        """On the wall's clock."""
        clock = WallClock()
        adapter = wiring.make_exchange(venue, clock)
        yield Desk(adapter, clock, venue.symbol)
        adapter.close()


class TestVenueMarket(MarketDataContract):
    """The market's adapter at the host that signals come from."""

    @pytest.fixture
    def scene(self, venue: Settings) -> Iterator[MarketScene]:
        """The newest hour by the host's own clock; in an hour's first seconds its bar may not be there yet."""
        adapter = wiring.make_market(venue, WallClock())
        yield MarketScene(adapter, venue.symbol, floor_hour(adapter.time_ms()))
        adapter.close()
