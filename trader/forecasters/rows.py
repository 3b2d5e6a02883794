"""The adapter for families that see X and y: a row of features an hour, whatever the series was.

A family writes `train`, `dump`, `predictor` and `load`, and a predictor with `scores`: one that lacks any of them cannot be
made. Everything about panels is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import Forecast, Traits
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.pooled_rows import with_symbol
from trader.core.training import usable_rows
from trader.core.types import HOUR_MS, Bools, Floats, Ints, Matrix

ROWS = Traits(scope="local", reads="rows", context_hours=0, refresh="none", pools=True)


def _consecutive(hours: Ints) -> bool:
    """A run of hours is a slice, which copies nothing."""
    return len(hours) > 0 and int(hours[-1] - hours[0]) == (len(hours) - 1) * HOUR_MS


class RowPredictor(ABC):
    """A model that scores rows. Hours with an undefined feature get no P(up).

    symbols: those that it was fitted for; () where its bytes do not say, and then its card alone does. features: how many a row
    has; 0 where its bytes do not say. A model of several symbols has one more than the panel's: which symbol a row is of.
    """

    symbols: tuple[str, ...] = ()
    features: int = 0

    @abstractmethod
    def scores(self, X: Matrix) -> Matrix:
        """P(up) of each row: X (n, k) float32 without NaN -> (n,) float32."""

    def defined_rows(self, panel: Panel, hours: Ints) -> tuple[Matrix, Bools]:
        """The rows of hours (m,) as the model was fitted on them, and which of them are all defined (m,). Raises DataError for
        another symbol."""
        if len(panel.X) != 1 or (self.symbols and panel.symbols[0] not in self.symbols):
            fitted_on = ", ".join(self.symbols) or "one symbol"
            raise DataError(
                f"a model of {fitted_on} says nothing about {', '.join(panel.symbols)} ({len(panel.X)} sets of features)"
            )
        X, rows, pooled = panel.X[0], panel.rows(hours), len(self.symbols) > 1
        if self.features not in (0, X.shape[1] + pooled):
            raise DataError(
                f"a model of {self.features} features says nothing about rows of {X.shape[1] + pooled}; it is not the model of "
                "its card. Roll back to another model, or train again: trader retrain"
            )
        chosen = X[rows[0] : rows[-1] + 1] if _consecutive(hours) else X[rows]
        defined = np.asarray(~np.isnan(chosen).any(axis=1))
        return self.rows_of(panel.symbols[0], chosen), defined

    def rows_of(self, symbol: str, X: Matrix) -> Matrix:
        """The features of a symbol's hours, X (m, k), as the model was fitted on them."""
        return with_symbol(X, self.symbols.index(symbol)) if len(self.symbols) > 1 else X

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """P(up) alone, NaN where a feature is undefined."""
        X, defined = self.defined_rows(panel, hours)
        if len(X) and defined.all():
            return Forecast(self.scores(X))
        p_up = np.full(len(X), np.nan, dtype=np.float32)
        if defined.any():
            p_up[defined] = self.scores(X[defined])
        return Forecast(p_up)


class StagedRowPredictor(RowPredictor):
    """One that also scores rows by its first stages."""

    @abstractmethod
    def staged_scores(self, X: Matrix, stages: Sequence[int]) -> Matrix:
        """P(up) by the first stages, for each of these ascending numbers: X (n, k) -> (numbers, n) float32."""

    def predict_stages(self, panel: Panel, hours: Ints, stages: Sequence[int]) -> Matrix:
        """(numbers, m) float32, NaN where a feature is undefined."""
        X, defined = self.defined_rows(panel, hours)
        p_up = np.full((len(stages), len(X)), np.nan, np.float32)
        if defined.any():
            p_up[:, defined] = self.staged_scores(X[defined], stages)
        return p_up


Native = TypeVar("Native")
Fitted = TypeVar("Fitted", bound=RowPredictor)


class RowForecaster(ABC, Generic[Native, Fitted]):
    """Gives a family of rows its X and y: the hours up to `until` that have a label and every feature."""

    traits = ROWS

    @abstractmethod
    def train(self, X: Matrix, y: Floats, params: Params, seed: int, symbols: Sequence[str]) -> Native:
        """Fit X (n, k) float32 without NaN and y (n,) of 0.0 and 1.0, on one thread; the model remembers its symbols."""

    @abstractmethod
    def dump(self, native: Native) -> bytes:
        """The model in its library's own open format."""

    @abstractmethod
    def predictor(self, native: Native) -> Fitted:
        """The model, ready to predict."""

    @abstractmethod
    def load(self, model: bytes, source: str) -> Fitted:
        """A predictor from such bytes. Raises DataError, naming `source`, for others."""

    def fit(self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int) -> bytes:
        """See `trader.core.ports.Forecaster`. Raises DataError where fewer than two rows or one outcome remain."""
        return self.dump(self._trained(panel, y, params, until, seed))

    def fitted(
        self, panel: Panel, y: Floats, params: Params, *, horizon: int, until: int, seed: int
    ) -> Fitted:
        """`load(fit(...))` without the way through bytes."""
        return self.predictor(self._trained(panel, y, params, until, seed))

    def _trained(self, panel: Panel, y: Floats, params: Params, until: int, seed: int) -> Native:
        native = self.train(*usable_rows(panel, y, until), params, seed, panel.symbols)
        if len(panel.symbols) > 1 and tuple(self.predictor(native).symbols) != panel.symbols:
            raise DataError(
                f"a model of {params.model.family} does not keep the symbols that it was fitted on, so it cannot be fitted on "
                f"{', '.join(panel.symbols)}: give each a model of its own"
            )
        return native
