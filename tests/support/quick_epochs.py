"""A forecaster that learns in epochs, in microseconds each: how much it lost by an epoch follows from its parameters."""

from __future__ import annotations

import json
from dataclasses import asdict

from tests.support.quick_forecaster import QuickForecaster, QuickPredictor
from trader.core.errors import DataError
from trader.core.long_training import Learnt
from trader.core.model_params import XGBoostParams
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.training import usable_rows
from trader.core.types import Floats

EPOCHS = 6


class QuickEpochs(QuickForecaster):
    """`epochs` counts what this process has learnt. A tree of depth 10 cannot be learnt."""

    family = "quick"
    epochs = 0

    def most_epochs(self, params: Params) -> int:
        """Always the same."""
        return EPOCHS

    def learn(
        self,
        panel: Panel,
        y: Floats,
        params: Params,
        *,
        horizon: int,
        until: int,
        seed: int,
        epochs: int,
        state: bytes = b"",
    ) -> Learnt:
        """The state is the losses so far. Deep trees lose little at first, and get no better."""
        trees = params.model
        assert isinstance(trees, XGBoostParams)
        if trees.max_depth == 10:
            raise DataError("a depth of 10 is refused")
        X, rose = usable_rows(panel, y, until)
        losses: list[float] = json.loads(state) if state else []
        for epoch in range(len(losses) + 1, epochs + 1):
            QuickEpochs.epochs += 1
            losses.append(trees.learning_rate + (10 - trees.max_depth) / 100 / epoch**2 + len(X) * 1e-9)
        predictor = self.train(X, rose, params, seed, panel.symbols)
        model = {**asdict(predictor), "lean": predictor.lean * epochs / EPOCHS}
        return Learnt(json.dumps(losses).encode(), epochs, losses[-1], json.dumps(model).encode())

    def load(self, model: bytes, source: str) -> QuickPredictor:
        """What `learn` gave."""
        return QuickPredictor(**json.loads(model))
