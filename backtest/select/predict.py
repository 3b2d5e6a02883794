"""Forecasts of every series of a selection from the models that it kept. Nothing is fitted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backtest.select.publish import MODEL_SCHEMA
from backtest.select.tasks import daily_closes
from trader.core.errors import ConfigError, DataError
from trader.core.features import features, preset_named
from trader.core.forecast import LEVELS, Forecast
from trader.core.panel import Panel
from trader.core.params import Params, params_of
from trader.core.ports import Forecaster, ForecasterOf
from trader.core.series import PredictsSeries
from trader.core.training import context_from
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats, iso, parse_hour


@dataclass(frozen=True, slots=True, eq=False)
class SeriesForecast:
    """Of one series from `time` (UTC ms), its newest close, on. prices: (steps, level) at LEVELS; no rows where the family gives
    P(up) alone. reason: why there is none, "" where there is."""

    symbol: str
    candidate: str
    step_ms: int
    time: int = 0
    close: float = float("nan")
    p_up: float | None = None
    prices: Floats | None = None
    reason: str = ""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """symbol, candidate, from, step, time, price by level: a line of a table each."""
        for step, prices in enumerate([] if self.prices is None else self.prices.tolist(), start=1):
            told = [float(f"{price:.10g}") for price in prices]
            yield (
                self.symbol,
                self.candidate,
                iso(self.time),
                step,
                iso(self.time + step * self.step_ms),
                *told,
            )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        head = {"symbol": self.symbol, "candidate": self.candidate, "reason": self.reason}
        if self.reason:
            return head
        ahead = [{"step": row[3], "time": row[4], "prices": list(row[5:])} for row in self.rows()]
        told = {"from": iso(self.time), "close": self.close, "p_up": self.p_up, "levels": list(LEVELS)}
        return {**head, **told, "forecast": ahead}


HEAD = ("symbol", "candidate", "from", "step", "time", *(f"q{level:g}" for level in LEVELS))


def predict_all(
    out: Path, read_bars: Callable[[str, str], Bars], forecaster_of: ForecasterOf, steps: int
) -> list[SeriesForecast]:
    """Every kept model asked about its series' newest close, up to `steps` steps ahead. A series that cannot be forecast says why
    and hinders no other. Raises ConfigError for a folder without kept models."""
    cards = sorted((out / "models").glob("*.json"))
    if not cards:
        raise ConfigError(f"{out} keeps no models. Make them first: backtest select --out {out} ...")
    return [_forecast(card, read_bars, forecaster_of, steps) for card in cards]


def _forecast(
    path: Path, read_bars: Callable[[str, str], Bars], forecaster_of: ForecasterOf, steps: int
) -> SeriesForecast:
    symbol, candidate, step_ms = path.stem, "?", HOUR_MS
    try:
        card = _card(path)
        candidate, step_ms = card["candidate"], DAY_MS if card["freq"] == "1d" else HOUR_MS
        model = _model(path, card)
        forecaster, params = forecaster_of(card["family"]), params_of(card["params"], str(path))
        place = card["bars"]
        # A pipeline's cards name a file from where they lie.
        bars = read_bars(place if "://" in place else str(path.parent / place), card["symbol"])
        asked = _daily if step_ms == DAY_MS else _hourly
        told, time, close = asked(forecaster, model, bars, params, parse_hour(card["train_until"]))
        return _told(symbol, candidate, step_ms, told, time, close, steps)
    except (DataError, ConfigError) as error:
        return SeriesForecast(symbol, candidate, step_ms, reason=str(error))


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); run the selection again") from None
    if not isinstance(card, dict) or card.get("schema") != MODEL_SCHEMA:
        raise DataError(f"{path}: not a card of {MODEL_SCHEMA}; run the selection again")
    return card


def _model(path: Path, card: dict[str, Any]) -> bytes:
    file = path.with_suffix("")
    try:
        model = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); run the selection again") from None
    if hashlib.sha256(model).hexdigest() != card["model_sha256"]:
        raise DataError(f"{file} is not the model that its card describes; run the selection again")
    return model


def _daily(
    forecaster: Forecaster, model: bytes, bars: Bars, params: Params, train_until: int
) -> tuple[Forecast, int, float]:
    series = daily_closes(bars, bars.last // DAY_MS * DAY_MS)
    predictor = forecaster.load(model, f"the model of {bars.symbol}")
    if not isinstance(predictor, PredictsSeries):
        raise DataError(f"{forecaster.family} does not forecast a series of days")
    told = predictor.forecast_series(series, np.array([series.last]))
    return told, series.last, float(np.exp(series.log_close[-1]))


def _hourly(
    forecaster: Forecaster, model: bytes, bars: Bars, params: Params, train_until: int
) -> tuple[Forecast, int, float]:
    hour, traits = bars.last, forecaster.traits
    if traits.reads == "series":
        begin = max(bars.first, context_from(traits, train_until, hour))
        panel = Panel.of([bars.span(begin, hour + HOUR_MS)])
    else:
        row = features(bars, preset_named(params.features), hour, hour + HOUR_MS)
        panel = Panel.of([bars.span(hour, hour + HOUR_MS)], [row])
    predictor = forecaster.load(model, f"the model of {bars.symbol}")
    return predictor.predict(panel, np.array([hour])), hour, float(bars.close[-1])


def _told(
    symbol: str, candidate: str, step_ms: int, told: Forecast, time: int, close: float, steps: int
) -> SeriesForecast:
    p_up = float(told.p_up[0])
    prices = None if told.quantiles is None else close * np.exp(np.sort(told.quantiles[0, :steps], axis=1))
    if np.isnan(p_up) or np.isnan(close) or (prices is not None and np.isnan(prices).any()):
        return SeriesForecast(
            symbol, candidate, step_ms, reason=f"nothing can be said at {iso(time)}: bars are missing"
        )
    return SeriesForecast(symbol, candidate, step_ms, time, close, p_up, prices)
