"""The adapter for families that see one symbol's closes: what the port says of a panel's hours is said of a series, so that a
family need not know whether its steps are hours, as the bot's are, or days."""

from __future__ import annotations

from abc import ABC, abstractmethod

from trader.core.errors import DataError
from trader.core.forecast import Forecast
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.series import Series
from trader.core.types import Floats, Ints


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
        """See `trader.core.ports.Forecaster`. Labels and the seed change nothing."""
        if len(panel.symbols) != 1:
            raise DataError(f"{', '.join(panel.symbols)}: this family is fitted on one symbol")
        series = Series.hourly(panel.bars[0])
        return self.fit_series(series, params, steps=params.forecast_hours, horizon=horizon, until=until)
