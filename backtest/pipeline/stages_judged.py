"""The stages that follow from predictions and parameters: backtest, train. Pure functions of their inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backtest.engine.no_order import why_no_order
from backtest.engine.outcome import summary_of_run
from backtest.engine.simulate import simulate
from backtest.evidence.ledger import config_hash, data_hash
from backtest.evidence.significance import Moments
from backtest.executors.protocol import Arrays, TaskSettings, task_function
from backtest.pipeline.stage_inputs import MODEL_PARAMS, PARAMS, PREDICTIONS, Given, Made, json_bytes
from backtest.pipeline.tables import columns_of
from trader.core.features import features, preset_named
from trader.core.forecast import LEVELS
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.model import ModelCard, card_for, id_of
from trader.core.panel import Panel
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster, Predictor
from trader.core.training import Training, context_from, training_of
from trader.core.types import HOUR_MS, Bars, Filters, iso
from trader.core.windows import Refit, refit_of, require_history

CLOSES_SHOWN = 72  # before a forecast, in its picture
CODE_VERSION, REASON = "backtest pipeline", "trained by a pipeline"


@task_function
def backtest_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The hours traded on the predictions, with costs: hours.jsonl as `backtest run` writes it, a summary, the parameters."""
    given = Given(arrays, settings)
    params = params_of({**given.json(PARAMS), **settings["decisions"]}, "[backtest]")
    bars, start, stop = given.bars(), given.hour("from"), given.hour("to")
    p_up = columns_of(given.file(PREDICTIONS), PREDICTIONS)["p_up"]
    rules = Rules(params, Filters.derived(float(bars.close[bars.row(start)])))
    run = simulate(bars, p_up, rules, start, stop)
    summary = summary_of_run(run, bars, rules, seconds=0.0)
    del summary["seconds"]  # of no result
    told = {
        "symbol": given.symbol,
        "family": params.model.family,
        "from": iso(start),
        "to": iso(stop),
        **summary,
        "why_no_order": why_no_order(run, rules),
    }
    returns = hourly_returns(run.equity, float(params.allocation_usdt))
    look = {
        "data": data_hash(bars),
        "config": config_hash(params),
        "start": start,
        "stop": stop,
        "sharpe": Moments.of(returns).sharpe,
    }
    lines = "".join(line + "\n" for line in run.track.texts())
    files = {
        "hours.jsonl": lines.encode(),
        "summary.json": json_bytes(told),
        "P.json": json_bytes(params.as_json()),
    }
    return Made(files, {"look": look}).packed()


@task_function
def train_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The model that serves from `to` on, what it was trained on, and its forecast of the hours after `to`."""
    from trader.adapters.talib_features import register_shipped
    from trader.forecasters.registry import forecaster_of

    register_shipped()  # in a process that is no command
    given = Given(arrays, settings)
    params, bars, hour = given.params(MODEL_PARAMS), given.bars(), given.hour("to")
    forecaster, window = forecaster_of(params.model.family), refit_of(params, 0, hour)
    require_history(bars, window, params, given.source)
    training = training_of(bars, window, params, forecaster.traits, given.others())
    model = forecaster.fit(
        training.panel,
        training.y,
        params,
        horizon=params.horizon_hours,
        until=window.train_until,
        seed=params.seed,
    )
    card = _card(model, forecaster, params, window, training)
    predictor = forecaster.load(model, f"the model of {given.symbol}")
    ahead = _forecast(forecaster, predictor, bars, params, window, hour)
    closes = bars.close[max(0, bars.row(hour) + 1 - CLOSES_SHOWN) : bars.row(hour) + 1]
    files = {
        "model": model,
        "card.json": card.to_bytes(),
        "train.json": json_bytes(_told(card)),
        "forecast.json": json_bytes({**ahead, "closes": closes.tolist()}),
    }
    return Made(files).packed()


def _card(
    model: bytes, forecaster: Forecaster, params: Params, window: Refit, training: Training
) -> ModelCard:
    """What a certificate is about: the card that a bot's model has. The code that computed it counts in the stage's key, where
    comments and white space are no change; so the card leaves out the hashes of whole source files."""
    whole = card_for(model, forecaster, params, window, training, CODE_VERSION, REASON)
    card = replace(whole, features_hash="", family_hash="")
    return replace(card, model_id=id_of(card))


def _told(card: ModelCard) -> dict[str, Any]:
    """The same for people."""
    return {
        "family": card.family,
        "format": card.format,
        "serve_from": iso(card.valid_from),
        "train_from": iso(card.train_from),
        "train_until": iso(card.train_until),
        "rows": card.rows,
        "data_hash": card.data_hash,
        "model_sha256": card.model_sha256,
    }


def _forecast(
    forecaster: Forecaster, predictor: Predictor, bars: Bars, params: Params, window: Refit, hour: int
) -> dict[str, Any]:
    """What a model says at an hour: P(up), and prices by step and level where its family gives a distribution."""
    traits = forecaster.traits
    if traits.reads == "series":
        begin = max(bars.first, context_from(traits, window.train_until, hour))
        panel = Panel.of([bars.span(begin, hour + HOUR_MS)])
    else:
        rows = features(bars, preset_named(params.features), hour, hour + HOUR_MS)
        panel = Panel.of([bars.span(hour, hour + HOUR_MS)], [rows])
    told = predictor.predict(panel, np.array([hour]))
    p_up, close = float(told.p_up[0]), float(bars.close[bars.row(hour)])
    ahead: list[Any] = []
    if told.quantiles is not None and not np.isnan(told.quantiles[0]).any():
        prices = close * np.exp(np.sort(told.quantiles[0], axis=1))
        ahead = [
            {"step": i, "time": iso(hour + i * HOUR_MS), "prices": [float(f"{it:.10g}") for it in row]}
            for i, row in enumerate(prices.tolist(), start=1)
        ]
    return {
        "from": iso(hour),
        "close": close,
        "horizon_hours": params.horizon_hours,
        "p_up": None if np.isnan(p_up) else round(p_up, 6),
        "levels": list(LEVELS),
        "forecast": ahead,
    }
