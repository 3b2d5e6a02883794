"""One symbol's closes on a grid of hours or days."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.bars_made import bars_made
from trader.core.errors import DataError
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS

BARS = bars_made(100, 3, missing=(30, 31, *range(48, 73)))


def test_a_day_closes_at_midnight_with_its_last_known_close() -> None:
    """Of an outage over midnight the newest close before it; of a day without bars none."""
    days = Series.daily(BARS)
    assert days.step_ms == DAY_MS
    assert (days.times % DAY_MS == 0).all()
    for time, close in zip(days.times.tolist(), days.log_close.tolist(), strict=True):
        part = BARS.span(max(BARS.first, time - 23 * HOUR_MS), time + HOUR_MS)
        known = part.close[~part.flagged]
        assert np.isnan(close) if not len(known) else close == np.log(known[-1])
    assert np.isnan(days.log_close).sum() == 1


def test_it_is_cut_by_time_and_names_a_close_that_it_has_not() -> None:
    """Up to an hour, that one included; rows of hours within it, and a message for others."""
    hours = Series.hourly(BARS)
    part = hours.until(BARS.first + 10 * HOUR_MS)
    assert (len(part), part.last) == (11, BARS.first + 10 * HOUR_MS)
    assert hours.rows(np.array([BARS.first + 5 * HOUR_MS])).tolist() == [5]
    assert np.isnan(hours.log_close[30])
    for odd in (BARS.last + HOUR_MS, BARS.first + 1):
        with pytest.raises(DataError, match=r"BTCUSDT: .* is not within the series"):
            hours.rows(np.array([odd]))
