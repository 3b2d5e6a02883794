"""Rows of features without a market behind them, as the panels that families are fitted and asked with."""

from __future__ import annotations

from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.training import Training, data_hash_of
from trader.core.types import Floats, Ints, Matrix, flat_bars, parse_hour

FIRST = parse_hour("2021-01-01")


def panel_of(X: Matrix, symbol: str = "BTCUSDT") -> Panel:
    """An hour a row, from FIRST on, all bars flat."""
    return Panel.of([flat_bars(symbol, 100.0, FIRST, len(X))], [X])


def hours_of(panel: Panel) -> Ints:
    """All of them."""
    return panel.close_time


def fit(forecaster: Forecaster, X: Matrix, y: Floats, params: Params, symbol: str = "BTCUSDT") -> bytes:
    """A model of these rows, as bytes."""
    panel = panel_of(X, symbol)
    last = int(panel.close_time[-1])
    return forecaster.fit(
        panel, y.reshape(1, -1), params, horizon=params.horizon_hours, until=last, seed=params.seed
    )


def training_of_rows(X: Matrix, y: Floats) -> Training:
    """What `fit` fits on."""
    panel = panel_of(X)
    return Training(panel, y.reshape(1, -1), int(panel.close_time[-1]), X, data_hash_of(X, y))
