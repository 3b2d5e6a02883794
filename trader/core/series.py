"""One symbol's closes on a regular grid, as families that read a series see them: hours for the bot, days for research."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast
from trader.core.params import Params
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, Ints, iso


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """n closes of a symbol, oldest first, `step_ms` apart.

    first: UTC ms of the first close. log_close: (n,) float64, NaN where there was none.
    """

    symbol: str
    first: int
    step_ms: int
    log_close: Floats

    @staticmethod
    def hourly(bars: Bars) -> Series:
        """The hours of bars; a flagged row has no close."""
        return Series(bars.symbol, bars.first, HOUR_MS, np.where(bars.flagged, np.nan, np.log(bars.close)))

    @staticmethod
    def daily(bars: Bars) -> Series:
        """The closes at 00:00 UTC, each the last known one of its day; a day without any bar has none."""
        begin = -(-bars.first // DAY_MS) * DAY_MS
        days = np.arange(begin, bars.last + 1, DAY_MS, dtype=np.int64)
        rows = (days - bars.first) // HOUR_MS
        newest = np.maximum.accumulate(np.where(bars.flagged, -1, np.arange(len(bars))))[rows]
        of_the_day = newest > np.maximum(rows - 24, -1)
        return Series(bars.symbol, begin, DAY_MS, np.where(of_the_day, np.log(bars.close[newest]), np.nan))

    def __len__(self) -> int:
        return len(self.log_close)

    @property
    def times(self) -> Ints:
        """(n,) UTC ms of the closes."""
        return self.first + self.step_ms * np.arange(len(self), dtype=np.int64)

    @property
    def last(self) -> int:
        """UTC ms of the last close."""
        return self.first + (len(self) - 1) * self.step_ms

    def until(self, time: int) -> Series:
        """The closes up to `time` (UTC ms, inclusive), sharing memory."""
        count = max(0, (time - self.first) // self.step_ms + 1)
        return Series(self.symbol, self.first, self.step_ms, self.log_close[:count])

    def since(self, time: int) -> Series:
        """The closes from `time` on (UTC ms, inclusive), sharing memory."""
        skipped = min(len(self), max(0, -((self.first - time) // self.step_ms)))
        return Series(
            self.symbol, self.first + skipped * self.step_ms, self.step_ms, self.log_close[skipped:]
        )

    def rows(self, times: Ints) -> Ints:
        """(m,) indices of closes (UTC ms). Raises DataError for one that is not in the series."""
        found: Ints = (times - self.first) // self.step_ms
        outside = (found < 0) | (found >= len(self)) | (self.first + found * self.step_ms != times)
        if outside.any():
            raise DataError(f"{self.symbol}: {iso(int(times[outside][0]))} is not within the series")
        return found


@runtime_checkable
class FitsSeries(Protocol):
    """A forecaster of one symbol's series, whatever its step: what `fit` of the port does with a panel's hours."""

    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """A model of the closes up to `until` (UTC ms, inclusive) that says a distribution of 1 to `steps` steps ahead, and
        P(up) at `horizon` steps. Equal input gives equal bytes. Raises DataError for a series it cannot learn from."""


@runtime_checkable
class PredictsSeries(Protocol):
    """A predictor of one symbol's series, whatever its step."""

    def forecast_series(self, series: Series, times: Ints) -> Forecast:
        """What the model says at each of these closes (m,) UTC ms, each from the closes up to it alone."""
