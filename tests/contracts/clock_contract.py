"""What every clock must do. A test module subclasses `ClockContract` and provides the fixture `clock`."""

from __future__ import annotations

import pytest

from trader.core.ports import Clock


class ClockContract:
    """The tests that every implementation of the port passes."""

    def test_it_tells_utc_milliseconds(self, clock: Clock) -> None:
        """A whole number, and a time of this century."""
        assert type(clock.now_ms()) is int
        assert 1_500_000_000_000 < clock.now_ms() < 4_102_444_800_000

    @pytest.mark.parametrize("seconds", [0.0, 0.001, 0.02])
    def test_sleeping_lets_that_much_time_pass(self, clock: Clock, seconds: float) -> None:
        """Afterwards it is later by what was slept, a millisecond of rounding apart, and never earlier."""
        before = clock.now_ms()
        clock.sleep(seconds)
        assert clock.now_ms() - before >= round(seconds * 1000) - 1
        assert clock.now_ms() >= before
