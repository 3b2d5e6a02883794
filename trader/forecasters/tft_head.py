"""What a Temporal Fusion Transformer is beside its weights, and how quantiles in units of a window become a forecast: the same
for the network itself and for its exported forms."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trader.core.errors import DataError
from trader.core.forecast import LEVELS, Forecast, probability_above
from trader.core.model_params import LONGEST_FORECAST_HOURS, TFTParams
from trader.core.panel import Panel
from trader.core.types import Ints, Matrix
from trader.forecasters.refusal import InvalidModel, symbols_of
from trader.forecasters.tft_windows import KNOWN, OBSERVED, Hours, Windows, windows_at

if TYPE_CHECKING:
    from trader.forecasters.tft_network import Network

SCHEMA = "tft/1"
_KEYS = {
    "schema",
    "symbols",
    "encoder_hours",
    "forecast_hours",
    "hidden_size",
    "attention_heads",
    "horizon_hours",
    "hurdle",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What a model is, beside its weights. horizon_hours: that P(up) is about. hurdle: the share that a close must rise by to
    count as up."""

    symbols: tuple[str, ...]
    encoder_hours: int
    forecast_hours: int
    hidden_size: int
    attention_heads: int
    horizon_hours: int
    hurdle: float

    def network(self) -> Network:
        """Such a network, its weights not drawn yet."""
        from trader.forecasters.tft_network import Network, Shape

        return Network(
            Shape(
                symbols=len(self.symbols),
                observed=len(OBSERVED),
                known=len(KNOWN),
                encoder=self.encoder_hours,
                ahead=self.forecast_hours,
                hidden=self.hidden_size,
                heads=self.attention_heads,
                levels=len(LEVELS),
            )
        )


class WindowPredictor(ABC):
    """A network in some form: windows of hours in, a distribution of every hour ahead out."""

    def __init__(self, head: Head) -> None:
        self.head = head

    @abstractmethod
    def raw(self, symbol: int, observed: Matrix, known: Matrix) -> Matrix:
        """Quantiles in units of each window's scale: observed (n, encoder, OBSERVED), known (n, encoder + ahead, KNOWN), float32
        -> (n, ahead, level) float32. symbol: its place among the head's."""

    def predict(self, panel: Panel, hours: Ints) -> Forecast:
        """P(up) and the quantiles of r for 1 to `forecast_hours` hours; NaN for hours whose context is too short, mostly missing,
        or does not move."""
        windows = self.windows(panel, hours)
        return self.forecast_of(self.head.symbols.index(panel.symbols[0]), windows)

    def forecast_of(self, symbol: int, windows: Windows) -> Forecast:
        """The forecast of each window, asked alone: so that one hour says the same among others."""
        said, head = np.flatnonzero(windows.scale > 0), self.head
        quantiles = np.full((len(windows.scale), head.forecast_hours, len(LEVELS)), np.nan)
        steps = np.sqrt(np.arange(1, head.forecast_hours + 1))
        for i in said.tolist():
            one = slice(i, i + 1)
            raw = self.raw(symbol, windows.observed[one], windows.known[one])[0].astype(np.float64)
            quantiles[i] = raw * (windows.scale[i] * steps)[:, None]
        above = probability_above(quantiles[:, head.horizon_hours - 1], math.log1p(head.hurdle))
        return Forecast(above.astype(np.float32), quantiles)

    def windows(self, panel: Panel, hours: Ints) -> Windows:
        """What the network reads of these hours. Raises DataError for a symbol that the fit did not see."""
        head = self.head
        if len(panel.symbols) > 1 or panel.symbols[0] not in head.symbols:
            raise DataError(
                f"a model of {', '.join(head.symbols)} says nothing about {', '.join(panel.symbols)}; add it to "
                "train_symbols and train again: trader retrain"
            )
        rows = panel.rows(hours)
        return windows_at(Hours.of(panel.bars[0]), rows, head.encoder_hours, head.forecast_hours)


def written(head: Head) -> str:
    """A head as JSON."""
    values = {
        "schema": SCHEMA,
        **{name: getattr(head, name) for name in _KEYS - {"schema", "symbols"}},
        "symbols": list(head.symbols),
    }
    return json.dumps(values, sort_keys=True)


def read_head(text: str) -> Head:
    """The head of this JSON. Raises InvalidModel, ValueError, TypeError or RecursionError for others."""
    values = json.loads(text)
    if not isinstance(values, dict) or values.keys() != _KEYS:
        raise InvalidModel("its head has other keys")
    if values.pop("schema") != SCHEMA:
        raise InvalidModel(f"its schema is not {SCHEMA}")
    symbols, hurdle = symbols_of(values.pop("symbols")), values.pop("hurdle")
    if any(type(value) is not int for value in values.values()):
        raise InvalidModel("its head has a number that is not whole")
    if type(hurdle) is not float or not 0 <= hurdle < math.inf:
        raise InvalidModel("its hurdle is no share of 0 or more")
    told = {name: value for name, value in values.items() if name != "horizon_hours"}
    TFTParams.model_validate(told)  # raises ValueError for numbers that no P.json may hold
    head = Head(symbols=symbols, hurdle=hurdle, **values)
    if not 1 <= head.horizon_hours <= head.forecast_hours <= LONGEST_FORECAST_HOURS:
        raise InvalidModel("its horizon is beyond what it forecasts")
    return head
