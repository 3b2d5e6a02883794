"""Families that answer otherwise than their models: bent by the input, or taking whatever they are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backtest.certificate.subject import Subject
from tests.support.certified import trending
from trader.core.forecast import Forecast
from trader.core.panel import Panel
from trader.core.ports import Forecaster
from trader.core.types import HOUR_MS, Floats, Ints, Matrix
from trader.forecasters.naive import NaiveForecaster


class Bent:
    """A predictor whose answers are bent beyond what was learnt."""

    def __init__(self, inner: Any, bend: Callable[[Matrix, Matrix], Matrix]) -> None:
        self.inner, self.bend, self.symbols = inner, bend, inner.symbols

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """P(up), bent by the features of its rows."""
        told = self.inner.predict(panel, hours)
        return Forecast(self.bend(told.p_up, panel.X[0][panel.rows(hours)]), told.quantiles)


class BentForecaster:
    """Loads such predictors."""

    def __init__(self, inner: Forecaster, bend: Callable[[Matrix, Matrix], Matrix]) -> None:
        self.inner, self.bend, self.traits, self.family = inner, bend, inner.traits, inner.family

    def load(self, model: bytes, source: str) -> Bent:
        """Bent."""
        return Bent(self.inner.load(model, source), self.bend)


def bent(subject: Subject, bend: Callable[[Matrix, Matrix], Matrix]) -> Subject:
    """The subject with such a model."""
    forecaster: Any = BentForecaster(subject.forecaster, bend)
    return replace(subject, forecaster=forecaster, _loaded=[])


class Careless:
    """A predictor that takes whatever it is given."""

    def __init__(self, inner: Any, taken: str) -> None:
        self.inner, self.taken, self.symbols = inner, taken, inner.symbols

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """Cut, filled or renamed until the model takes it."""
        bars, X = panel.bars, panel.X[0] if panel.X else np.zeros((len(panel), 0), np.float32)
        wide = self.inner.features
        if self.taken == "columns":
            X = np.pad(X[:, :wide], ((0, 0), (0, max(0, wide - X.shape[1]))))
        if self.taken == "symbol":
            bars = tuple(replace(it, symbol=self.symbols[0]) for it in bars)
        if self.taken == "crash" and X.shape[1] != wide:
            raise IndexError("out of range")
        if self.taken == "type" and X.dtype == np.float64:
            X = X.astype(np.float32).round(1)
        return self.inner.predict(Panel(bars, (X,)), hours)  # type: ignore[no-any-return]


class CarelessForecaster(BentForecaster):
    """Loads such predictors."""

    def __init__(self, inner: Forecaster, taken: str) -> None:
        super().__init__(inner, lambda p, X: p)
        self.taken = taken

    def load(self, model: bytes, source: str) -> Any:
        """Careless."""
        return Careless(self.inner.load(model, source), self.taken)


class LateFault:
    """A predictor whose quantiles are spoilt from an hour (UTC ms) on; its P(up) stays as it is."""

    def __init__(self, inner: Any, begins: int, spoil: Callable[[Floats], Floats]) -> None:
        self.inner, self.begins, self.spoil, self.symbols = inner, begins, spoil, inner.symbols

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """Spoilt where the hours are late."""
        told = self.inner.predict(panel, hours)
        late = (hours >= self.begins)[:, None, None]
        return Forecast(told.p_up, np.where(late, self.spoil(told.quantiles), told.quantiles))


class SwappedLateForecaster(NaiveForecaster):
    """The naive family, two of whose columns of quantiles are swapped in the last ten days of its market."""

    begins = trending(4_200).last - 240 * HOUR_MS

    def load(self, model: bytes, source: str) -> Any:
        """Sound until then."""
        return LateFault(super().load(model, source), self.begins, lambda q: q[..., [0, 5, 2, 3, 4, 1, 6]])


class FarLateForecaster(SwappedLateForecaster):
    """Its outermost column is twenty times as far out as it should be."""

    def load(self, model: bytes, source: str) -> Any:
        """Sound until then."""
        far = np.array([1, 1, 1, 1, 1, 1, 20.0])
        return LateFault(NaiveForecaster.load(self, model, source), self.begins, lambda q: q * far)
