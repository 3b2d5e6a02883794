"""The stages that follow from predictions and parameters: backtest, train. Pure functions of their inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backtest.certificate.live import shown_ahead
from backtest.engine.no_order import why_no_order
from backtest.engine.outcome import summary_of_run
from backtest.engine.simulate import simulate
from backtest.evidence.ledger import config_hash, data_hash
from backtest.evidence.significance import Moments
from backtest.executors.protocol import Arrays, TaskSettings, task_function
from backtest.pipeline.output_names import FORECAST, MODEL_PARAMS, PARAMS, PREDICTIONS
from backtest.pipeline.stage_inputs import Given, Made, json_bytes
from backtest.pipeline.tables import columns_of
from trader.core.fan import p_up_written, prices_written
from trader.core.forecast import LEVELS
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.model import ModelCard, card_for, id_of
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster
from trader.core.prediction import LoadedModel, predict
from trader.core.training import Training, training_of
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
    ahead = _forecast(bars, hour, LoadedModel(card, params, forecaster.traits, predictor))
    closes = bars.close[max(0, bars.row(hour) + 1 - CLOSES_SHOWN) : bars.row(hour) + 1]
    files = {
        "model": model,
        "card.json": card.to_bytes(),
        "train.json": json_bytes(_told(card)),
        FORECAST: json_bytes({**ahead, "closes": closes.tolist()}),
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


def _forecast(bars: Bars, hour: int, model: LoadedModel) -> dict[str, Any]:
    """What the model says at an hour by the very functions of the bot: P(up), and prices by step and level where its family gives
    a distribution."""
    rows = prices_written(shown_ahead(bars, hour, model))
    return {
        "from": iso(hour),
        "close": float(bars.close[bars.row(hour)]),
        "horizon_hours": model.params.horizon_hours,
        "p_up": p_up_written(predict(bars, hour, model).p_up),
        "levels": list(LEVELS),
        "forecast": [
            {"step": i, "time": iso(hour + i * HOUR_MS), "prices": row} for i, row in enumerate(rows, start=1)
        ],
    }
