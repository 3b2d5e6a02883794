"""What a published model says about one hour, by what the hour knew."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trader.core.features import anchor_of, features, preset_named
from trader.core.forecast import Traits
from trader.core.hours import GAP, WARM_UP
from trader.core.model import ModelCard
from trader.core.panel import Panel
from trader.core.params import Params
from trader.core.ports import Predictor
from trader.core.probability import shortest
from trader.core.training import context_from
from trader.core.types import HOUR_MS, Bars


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A published model, ready to predict, and what its card says of it."""

    card: ModelCard
    params: Params
    traits: Traits
    predictor: Predictor

    def reads_from(self, hour: int) -> int:
        """The first hour (UTC ms) whose bar a prediction for `hour` reads."""
        if self.traits.reads == "rows":
            return anchor_of(hour)
        return context_from(self.traits, self.card.train_until, hour)


@dataclass(frozen=True, slots=True)
class Prediction:
    """P(up), or why there is none; the features it came from, None where undefined; and, where the family gives them, the
    quantiles of the return over the horizon, at `trader.core.forecast.LEVELS`."""

    p_up: float | None
    no_p_up: str = ""
    features: Mapping[str, float | None] = field(default_factory=dict)
    quantiles: tuple[float, ...] = ()


def predict(bars: Bars, hour: int, model: LoadedModel) -> Prediction:
    """What the model says about the hour, from the bars that it knew."""
    if not bars.has(hour):
        return Prediction(None, GAP)
    panel = panel_of(bars, hour, model)
    told = model.predictor.predict(panel, np.array([hour]))
    score = told.p_up[0]
    seen = {
        column: None if np.isnan(value) else shortest(value)
        for column, value in zip(model.card.columns, panel.X[0][0] if panel.X else (), strict=True)
    }
    if np.isnan(score):
        return Prediction(None, WARM_UP, seen)
    ahead = None if told.quantiles is None else told.quantiles[0, model.params.horizon_hours - 1]
    return Prediction(shortest(score), "", seen, () if ahead is None else tuple(ahead.tolist()))


def panel_of(bars: Bars, hour: int, model: LoadedModel) -> Panel:
    """What the model reads to predict the hour: its features, or the bars up to it."""
    if model.traits.reads == "series":
        return Panel.of([bars.span(model.reads_from(hour), hour + HOUR_MS)])
    row = features(bars.until(hour), preset_named(model.card.features), hour, hour + HOUR_MS)
    return Panel.of([bars.span(hour, hour + HOUR_MS)], [row])


def bars_hash_of(block: Bars) -> str:
    """Of the bars that the hour's prediction was computed from: what was seen can be compared later."""
    digest = hashlib.sha256(block.close_time.tobytes())
    for column in (block.open, block.high, block.low, block.close, block.volume):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]
