"""What a forecast looked at: for families whose models weigh variables and hours themselves (`Traits.weighs`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from trader.core.panel import Panel
from trader.core.types import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What forecasts looked at, their mean; shares add up to 1. past, future: share of each variable, by name, in the hours up to
    T and in those ahead. attention: (before + ahead,) share of each hour, the oldest first. before: how many hours up to T it
    holds."""

    past: dict[str, float]
    future: dict[str, float]
    attention: Floats
    before: int


@runtime_checkable
class SaysWeights(Protocol):
    """A predictor that says what it looks at."""

    def weights(self, panel: Panel, hours: Ints) -> Weights:
        """What the forecasts of these hours (UTC ms) looked at. Raises DataError where nothing can be said of any of them."""
