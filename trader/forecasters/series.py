"""The adapter for families that see one symbol's closes: what the port says of a panel's hours is said of a series, so that a
family need not know whether its steps are hours, as the bot's are, or days."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS, Floats, Ints, iso


class SeriesPredictor(ABC):
    """A model of one symbol's closes. symbols: those that it was fitted for."""

    symbols: tuple[str, ...]

    @abstractmethod
    def forecast_series(self, series: Series, times: Ints) -> Forecast:
        """See `trader.core.series.PredictsSeries`."""

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """See `trader.core.ports.Predictor`."""
        if panel.symbols[0] not in self.symbols or len(panel.symbols) > 1:
            raise DataError(
                f"a model of {', '.join(self.symbols)} says nothing about {', '.join(panel.symbols)}"
            )
        panel.rows(hours)  # raises for an hour that is not there
        return self.forecast_series(Series.hourly(panel.bars[0]), hours)


class SeriesForecaster(ABC):
    """Gives a family of one series the closes of a panel's only symbol."""

    @abstractmethod
    def fit_series(self, series: Series, params: Params, *, steps: int, horizon: int, until: int) -> bytes:
        """See `trader.core.series.FitsSeries`."""

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """See `trader.core.ports.Forecaster`. Labels and the seed change nothing, nor does an hour before the look-back: a panel
        may begin with a context, as far as bars go."""
        if len(panel.symbols) != 1:
            raise DataError(f"{', '.join(panel.symbols)}: this family is fitted on one symbol")
        begin = until + horizon * HOUR_MS - params.look_back_days * DAY_MS
        series = Series.hourly(panel.bars[0]).since(begin)
        return self.fit_series(series, params, steps=params.forecast_hours, horizon=horizon, until=until)


def known_rows(series: Series, fewest: int, family: str) -> Ints:
    """The rows of a series that have a close, (n,). Raises DataError, naming the symbol, for fewer than `fewest` of them, and
    for closes that are all the same."""
    rows: Ints = np.flatnonzero(~np.isnan(series.log_close))
    symbol, count = series.symbol, len(rows)
    if count < fewest:
        raise DataError(
            f"{symbol}: {family} is fitted on {fewest:,} closes at least; {count:,} of the {len(series):,} steps"
            f"{f' up to {iso(series.last)}' if len(series) else ''} have one. Lengthen look_back_days, or give older bars"
        )
    closes = series.log_close[rows]
    if closes.min() == closes.max():
        raise DataError(
            f"{symbol}: all {count:,} closes from {iso(int(series.times[rows[0]]))} to {iso(int(series.times[rows[-1]]))} are "
            f"{np.exp(closes[0]):g}, so there is nothing to fit {family} to. Give bars of a time in which the price moved"
        )
    return rows


def repeated(series: Series, rows: Ints) -> Floats:
    """The log closes from the first to the last of `rows`, which have one; a missing one repeats the one before it."""
    within = np.zeros(len(series), np.int64)
    within[rows] = rows
    filled: Floats = series.log_close[np.maximum.accumulate(within)]
    return filled[rows[0] : rows[-1] + 1]
