"""What every source of bars must do. A test module subclasses `MarketDataContract` and provides the fixture `scene`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trader.core.ports import MarketData
from trader.core.types import HOUR_MS, Bars


@dataclass(frozen=True)
class MarketScene:
    """A source, a symbol of it, and the close of its newest closed bar (UTC ms)."""

    market: MarketData
    symbol: str
    newest: int

    def back(self, hours: int, until: int = 0) -> Bars:
        """The bars that closed up to so many hours before the newest, the one `until` hours before it left out."""
        return self.market.bars(self.symbol, self.newest - hours * HOUR_MS, self.newest - until * HOUR_MS)


def require_equal(left: Bars, right: Bars) -> None:
    """The same hours with the same values, to the bit."""
    for name in ("close_time", "flagged", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


class MarketDataContract:
    """The tests that every implementation of the port passes."""

    def test_a_span_is_every_hour_once(self, scene: MarketScene) -> None:
        """start <= close_time < stop on the hour, gaps filled, and every rule of a bar."""
        bars = scene.back(72)
        assert list(bars.close_time) == list(range(scene.newest - 72 * HOUR_MS, scene.newest, HOUR_MS))
        assert bars.symbol == scene.symbol
        assert not bars.flagged.all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low > 0).all()
        assert (bars.volume >= 0).all()

    def test_what_is_asked_twice_is_answered_twice(self, scene: MarketScene) -> None:
        """Closed bars do not change."""
        require_equal(scene.back(30), scene.back(30))

    def test_parts_are_the_whole(self, scene: MarketScene) -> None:
        """A span asked for in two parts is the span, wherever it is cut."""
        whole = scene.back(40)
        for cut in (1, 13, 39):
            require_equal(scene.back(40, cut).then(scene.back(cut)), whole)

    def test_the_newest_bar_is_a_closed_one(self, scene: MarketScene) -> None:
        """Asked for a day beyond now, the newest hour is the last row, and the forming one is not there."""
        stop = scene.newest + 24 * HOUR_MS
        assert scene.market.bars(scene.symbol, scene.newest - 5 * HOUR_MS, stop).last == scene.newest

    def test_an_empty_span_and_the_future_hold_nothing(self, scene: MarketScene) -> None:
        """No row, and no error."""
        assert len(scene.market.bars(scene.symbol, scene.newest, scene.newest)) == 0
        far = scene.newest + 100 * HOUR_MS
        assert len(scene.market.bars(scene.symbol, far, far + 10 * HOUR_MS)) == 0
