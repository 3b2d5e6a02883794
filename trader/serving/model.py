"""A published model as it is served: loaded by its family, or from its ONNX export; and what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from trader import wiring
from trader.app.exports import load_exported
from trader.app.journal import Journal
from trader.app.retrain import load_model
from trader.core.errors import ConfigError
from trader.core.forecast import LEVELS, probability_above
from trader.core.hours import WARM_UP
from trader.core.labels import hurdle_of
from trader.core.model import digest_of
from trader.core.panel import Panel
from trader.core.params import params_of
from trader.core.prediction import LoadedModel, bars_hash_of, panel_of, predict
from trader.core.text import how_to_install
from trader.core.types import HOUR_MS, Bars, Matrix, flat_bars, iso
from trader.forecasters.registry import traits_of
from trader.forecasters.rows import RowPredictor
from trader.serving.refusal import Refused
from trader.serving.schemas import ForecastAnswer, Runtime


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that is loaded. card_hash: SHA-256 of its card, as its champion event has it."""

    loaded: LoadedModel
    card_hash: str
    runtime: Runtime

    @property
    def model_id(self) -> str:
        """Its id in the store."""
        return self.loaded.card.model_id

    @property
    def reads_rows(self) -> bool:
        """Whether it scores rows of features, each alone."""
        return self.loaded.traits.reads == "rows"


def require_runtime(runtime: Runtime) -> None:
    """Raises ConfigError where a runtime is not installed."""
    if runtime == "onnx" and find_spec("onnxruntime") is None:
        raise ConfigError(f"--runtime onnx needs onnxruntime: {how_to_install('onnx')}; or use native")


def load_served(journal: Journal, model_id: str, runtime: Runtime) -> ServedModel:
    """A published model, its card and bytes compared with each other and with what was named champion. Raises DataError, and
    ConfigError where a library lacks."""
    if runtime == "native":
        loaded = wiring.make_model(journal, model_id)
    else:
        card, _ = load_model(journal, model_id)
        params = params_of(card.params, f"models/{model_id}/card")
        exported = load_exported(journal, card, "onnx")
        loaded = LoadedModel(card, params, traits_of(card.family), exported)
    return ServedModel(loaded, digest_of(loaded.card), runtime)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands to the hour that it is asked about. serves_from: UTC ms, where it does not trade the hour."""

    late: bool = False
    serves_from: int | None = None


def forecast_answer(
    model: ServedModel, bars: Bars, hour: int, horizon: int | None, standing: Standing, source: str
) -> ForecastAnswer:
    """What a model says at an hour (UTC ms), by the very function that the bot decides by. bars: they reach back to what the
    model reads, and may go on after the hour. Raises Refused for a horizon that the model has no answer for."""
    loaded, params = model.loaded, model.loaded.params
    h = params.horizon_hours if horizon is None else horizon
    _require_horizon(model, h)
    block = bars.span(loaded.reads_from(hour), hour + HOUR_MS)
    told = predict(block, hour, loaded)
    p_up, quantiles, reason = told.p_up, told.quantiles or None, told.no_p_up
    if h != params.horizon_hours and p_up is not None:
        p_up, quantiles = _at_horizon(loaded, block, hour, h)
        reason = "" if p_up is not None else WARM_UP
    return ForecastAnswer(
        symbol=bars.symbol,
        model_id=model.model_id,
        card_hash=model.card_hash,
        family=loaded.card.family,
        runtime=model.runtime,
        input_hash=bars_hash_of(block),
        source="request" if source == "request" else "collected",
        hour=iso(hour),
        horizon_hours=h,
        p_up=p_up,
        reason=reason,
        levels=None if quantiles is None else list(LEVELS),
        quantiles=None if quantiles is None else list(quantiles),
        model_late=standing.late,
        serves_from=None if standing.serves_from is None else iso(standing.serves_from),
        in_sample=hour <= loaded.card.train_until,
    )


def _require_horizon(model: ServedModel, h: int) -> None:
    params = model.loaded.params
    distribution = hasattr(params.model, "forecast_hours")
    if h == params.horizon_hours or (distribution and h <= params.forecast_hours):
        return
    what = f"1 to {params.forecast_hours}" if distribution else f"{params.horizon_hours} alone"
    raise Refused(
        422,
        f"{model.model_id} ({model.loaded.card.family}) answers for horizon_hours {what}, not {h}. Leave it "
        "out, or ask for one of these",
    )


def _at_horizon(
    loaded: LoadedModel, block: Bars, hour: int, h: int
) -> tuple[float | None, tuple[float, ...] | None]:
    """P(up) and quantiles `h` hours ahead, which the bot does not trade by: read off the distribution, as the fan does."""
    told = loaded.predictor.predict(panel_of(block, hour, loaded), np.array([hour]))
    if told.quantiles is None or np.isnan(told.quantiles[0, h - 1]).any():
        return None, None
    ahead = told.quantiles[0, h - 1 : h]
    p_up = float(probability_above(ahead, math.log1p(hurdle_of(loaded.params)))[0])
    return p_up, tuple(ahead[0].tolist())


def row_scores(model: ServedModel, X: Matrix) -> Matrix:
    """P(up) of rows of features: X (n, k) finite float32 -> (n,) float32."""
    predictor = model.loaded.predictor
    if isinstance(predictor, RowPredictor):
        return predictor.scores(X)
    hours = flat_bars(model.loaded.card.symbols[0], 1.0, HOUR_MS, len(X))
    return predictor.predict(Panel.of([hours], [X]), hours.close_time).p_up
