"""Models that were published in a store in memory, a copy for each test."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.support.bars_made import bars_made
from tests.support.fakes import MemoryStore
from tests.support.rig import quick_params
from trader.app.collect import Collector
from trader.app.journal import Journal
from trader.app.retrain import retrain
from trader.core.model import ModelCard
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars
from trader.forecasters.registry import forecaster_of

BARS = bars_made(2_400, 5)
START = BARS.first + 2_000 * HOUR_MS
MODELS: dict[str, dict[str, Any]] = {
    "xgboost": {},
    "lightgbm": {
        "model": {"family": "lightgbm", "n_estimators": 12, "num_leaves": 8, "min_data_in_leaf": 20}
    },
    "naive": {"model": {"family": "naive"}},
}


class BarsAtHand:
    """A market that is a series."""

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """The rows within."""
        return BARS.span(start, stop)


@cache
def trained(family: str, hour: int = START) -> tuple[dict[str, bytes], ModelCard]:
    """The objects of a store with one model, and its card."""
    store = MemoryStore()
    params = params_of(quick_params(**MODELS[family]), "a test")
    journal = Journal(store, "BTCUSDT")
    card = retrain(journal, Collector(BarsAtHand(), "BTCUSDT"), forecaster_of, params, hour, "tests")
    return store.objects, card


class Published:
    """A store with one published model."""

    def __init__(self, family: str) -> None:
        objects, self.card = trained(family)
        self.store = MemoryStore()
        self.store.objects.update(objects)

    @property
    def journal(self) -> Journal:
        """The journal of a fresh process."""
        return Journal(self.store, "BTCUSDT")

    @property
    def bars(self) -> Bars:
        """Those that the model was trained on, and later ones."""
        return BARS


@pytest.fixture(params=["xgboost", "lightgbm"])
def published(request: pytest.FixtureRequest) -> Published:
    """A model of each family of trees."""
    return Published(request.param)
