"""The last built-in stage: one folder with a table of results, forecasts, models and parameters, and a page with pictures."""

from __future__ import annotations

import io
from typing import Any

from backtest.executors.protocol import Arrays, TaskSettings, task_function
from backtest.pipeline.cards import card_of
from backtest.pipeline.forecast_page import page_of
from backtest.pipeline.output_names import CARD, CERTIFICATE, FORECAST
from backtest.pipeline.published_names import named
from backtest.pipeline.stage_inputs import Given, Made, json_bytes
from trader.core.certificate import read_certificate
from trader.core.errors import DataError
from trader.core.forecast import LEVELS
from trader.core.model import ModelCard
from trader.core.text import write_csv_rows
from trader.core.types import iso

MODEL_SCHEMA = "selected/1"  # as backtest/select/publish.py writes it, so that `backtest predict` reads it
TABLE = (
    "symbol",
    "family",
    "net_return",
    "buy_and_hold",
    "sharpe",
    "max_drawdown",
    "orders",
    "hit_rate",
    "fees_usdt",
    "final_equity_usdt",
    "halted_at",
)


@task_function
def publish_stage(arrays: Arrays, settings: TaskSettings) -> bytes:
    """table.csv and .json: a row a symbol and family, best Sharpe ratio first. forecasts.csv: prices by step and level.
    models/ with a card each, as `backtest predict` reads them, and certificates/ that each of them passed; params/ for
    `trader retrain --params`."""
    given = Given(arrays, settings)
    pairs = [(symbol, family) for symbol, family in settings["pairs"]]
    summaries = [given.json(f"{named(*pair)}/summary.json") for pair in pairs]
    rows = sorted(summaries, key=lambda it: (-it["sharpe"], it["symbol"], it["family"]))
    forecasts = {pair: given.json(f"{named(*pair)}/{FORECAST}") for pair in pairs}
    files = {
        "table.csv": _csv([TABLE, *([row[name] for name in TABLE] for row in rows)]),
        "table.json": json_bytes(rows),
        "forecasts.csv": _csv(_forecast_rows(forecasts, settings["hours"])),
        "forecasts.html": page_of(forecasts, settings["hours"]).encode(),
    }
    for pair in pairs:
        files |= _model(given, pair)
    return Made(files).packed()


def _model(given: Given, pair: tuple[str, str]) -> dict[str, bytes]:
    symbol, family = pair
    name = named(*pair)
    params, model = given.json(f"{name}/P.json"), given.file(f"{name}/model")
    trained, certificate = _certified(given, name, symbol, model)
    card = {
        "schema": MODEL_SCHEMA,
        "symbol": symbol,
        "candidate": family,
        "family": family,
        "format": trained.format,
        "freq": "1h",
        "params": params,
        "train_until": iso(trained.train_until),
        "model_sha256": trained.model_sha256,
        "bars": f"../../collect/{symbol}/bars.parquet",  # from the folder of the card
        "checks": [it["what"] for it in given.json(f"{name}/check.json")["checks"]],
        "certificate": f"../certificates/{name}.json",
    }
    return {
        f"models/{name}": model,
        f"models/{name}.json": json_bytes(card),
        f"params/{name}.json": json_bytes(params),
        f"certificates/{name}.json": certificate,
    }


def _certified(given: Given, name: str, symbol: str, model: bytes) -> tuple[ModelCard, bytes]:
    """The model's card and its certificate. Raises DataError for a model without one that it passed."""
    text, source = given.file(f"{name}/{CERTIFICATE}"), f"check/{'/'.join(name.split('-', 1))}/{CERTIFICATE}"
    card = card_of(given.file(f"{name}/{CARD}"), model, symbol)
    certificate = read_certificate(text, card, source)
    if certificate.symbol != symbol or not certificate.passed:
        raise DataError(f"{source}: {certificate.model_id} {certificate.verdict}; it is not published")
    return card, text


def _forecast_rows(forecasts: dict[tuple[str, str], dict[str, Any]], hours: int) -> list[list[Any]]:
    head = ["symbol", "family", "from", "close", "p_up", "step", "time", *(f"q{it:g}" for it in LEVELS)]
    rows: list[list[Any]] = [head]
    for (symbol, family), told in forecasts.items():
        about = [symbol, family, told["from"], told["close"], told["p_up"]]
        ahead = told["forecast"][:hours]
        rows += [[*about, it["step"], it["time"], *it["prices"]] for it in ahead]
        if not ahead:  # P(up) alone
            rows.append([*about, told["horizon_hours"], "", *("" for _ in LEVELS)])
    return rows


def _csv(rows: list[Any]) -> bytes:
    text = io.StringIO()
    write_csv_rows(text, rows)
    return text.getvalue().encode()
