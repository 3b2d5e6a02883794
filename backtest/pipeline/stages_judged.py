"""The stages that follow from predictions and parameters: backtest, train, check. Pure functions of their inputs."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import numpy as np

from backtest.engine.lookahead import Check, examine
from backtest.engine.no_order import why_no_order
from backtest.engine.outcome import summary_of_run
from backtest.engine.simulate import simulate
from backtest.evidence.ledger import config_hash, data_hash
from backtest.evidence.significance import Moments
from backtest.executors.protocol import Arrays, TaskSettings, task_function
from backtest.pipeline.stage_inputs import MODEL_PARAMS, PARAMS, PREDICTIONS, Given, Made, json_bytes
from backtest.pipeline.tables import columns_of
from trader.core.errors import DataError
from trader.core.families import own_family
from trader.core.features import features, preset_named
from trader.core.forecast import LEVELS
from trader.core.hours import Rules
from trader.core.metrics import hourly_returns
from trader.core.panel import Panel
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster, Predictor
from trader.core.training import context_from, training_of
from trader.core.types import HOUR_MS, Bars, Filters, iso
from trader.core.windows import Refit, refit_of, require_history

CLOSES_SHOWN = 72  # before a forecast, in its picture


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
    told = {
        "family": forecaster.family,
        "format": forecaster.format,
        "serve_from": iso(window.serve_from),
        "train_from": iso(window.train_from),
        "train_until": iso(window.train_until),
        "rows": training.rows,
        "data_hash": training.data_hash,
        "model_sha256": hashlib.sha256(model).hexdigest(),
    }
    predictor = forecaster.load(model, f"the model of {given.symbol}")
    ahead = _forecast(forecaster, predictor, bars, params, window, hour)
    closes = bars.close[max(0, bars.row(hour) + 1 - CLOSES_SHOWN) : bars.row(hour) + 1]
    files = {
        "model": model,
        "train.json": json_bytes(told),
        "forecast.json": json_bytes({**ahead, "closes": closes.tolist()}),
    }
    return Made(files).packed()


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


@task_function
def check_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """What is examined before a model is published, as JSON. Raises DataError, naming what was found, for one that fails."""
    from trader.adapters.talib_features import register_shipped
    from trader.forecasters.registry import forecaster_of

    register_shipped()  # in a process that is no command
    given = Given(arrays, settings)
    params = given.params(MODEL_PARAMS)
    forecaster = forecaster_of(params.model.family)
    checks = [*examined(given, forecaster, params), *_own_contract(params.model.family)]
    if failed := [it for it in checks if it.found]:
        said = "; ".join(f"{it.what}: {it.found[0]}" for it in failed[:3])
        raise DataError(
            f"{given.symbol} by {params.model.family} fails its check, so nothing is published: {said}"
        )
    told = {"symbol": given.symbol, "family": params.model.family, "checks": [asdict(it) for it in checks]}
    return Made({"check.json": json_bytes(told)}).packed()


def examined(given: Given, forecaster: Forecaster, params: Params) -> list[Check]:
    """The newest hours of the backtest with their future removed and distorted, and whether the model can be loaded."""
    bars, start, stop = given.bars(), given.hour("from"), given.hour("to")
    rules = Rules(params, Filters.derived(float(bars.close[bars.row(start)])))
    checks = examine(forecaster, bars, rules, start, stop, given.source, given.others())
    return [*checks, _loads(given, forecaster)]


def _loads(given: Given, forecaster: Forecaster) -> Check:
    """The model's bytes are what its training says, and a model of its family."""
    model, told = given.file("model"), given.json("train.json")
    found = []
    if hashlib.sha256(model).hexdigest() != told["model_sha256"]:
        found.append("the model's bytes are not those that were trained")
    try:
        forecaster.load(model, f"the model of {given.symbol}")
    except DataError as error:
        found.append(str(error))
    return Check("the model's bytes", len(model), tuple(found))


def _own_contract(family: str) -> list[Check]:
    """What every family promises, of a user's own one."""
    own = own_family(family)
    if own is None:
        return []
    from trader.own_families import findings

    told = list(findings(own))
    broken = tuple(f"{it.check}: {it.problem}" for it in told if it.problem)
    return [Check("what every family promises", len(told), broken)]
