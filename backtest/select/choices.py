"""What each family offers before anything is chosen, measured on given bars: horizon, reasons, models and bytes, seconds of a
fit, milliseconds of a forecast, and its skill on a stretch that was held back.

One model a symbol, or one of all; fitted once, on the days before the stretch, and asked about every step of it.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from backtest.engine.history import History
from backtest.evidence.forecasts import outcomes, pinball
from backtest.select.candidates import Candidate, Freq
from backtest.select.tasks import daily_closes, require_forecastable
from trader.core.errors import ConfigError, DataError
from trader.core.forecast import Forecast
from trader.core.model_params import FAMILIES, LONGEST_FORECAST_HOURS
from trader.core.params import Params
from trader.core.ports import Contributing, Explaining, Forecaster, Predictor
from trader.core.series import FitsSeries, PredictsSeries, Series
from trader.core.types import DAY_MS, HOUR_MS, Bars, Floats
from trader.core.windows import Refit

# Single forecasts that the median is of.
_TIMED = 15
# Hours that P(up) looks ahead, at most.
LONGEST_LABEL = 24


@runtime_checkable
class Attending(Protocol):
    """A predictor that says which variables and hours a forecast looked at."""

    def weights(self, panel: Any, hours: Any) -> Any:
        """Shares of the variables and of the hours."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Models are fitted on `days` days; the steps start <= T < stop (UTC ms) after them are held back. steps: how far ahead of
    each T is scored. No outcome later than `stop` counts."""

    freq: Freq
    start: int
    stop: int
    days: int
    steps: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A family as measured. horizon: the most steps ahead that it can be told to reach. ahead: how a forecast of several steps
    comes about. models, model_bytes, fit_seconds (of the processor): for all given symbols. predict_ms: of the processor, the
    median of single forecasts by a loaded model. pinball: mean over the stretch, None without a distribution. brier: of P(up).
    All None where nothing was measured; reason says why."""

    family: str
    horizon: int
    ahead: str = ""
    reasons: str = ""
    scope: str = ""
    models: int = 0
    model_bytes: int = 0
    fit_seconds: float | None = None
    predict_ms: float | None = None
    pinball: float | None = None
    brier: float | None = None
    reason: str = ""
    install: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def longest_horizon(family: str) -> int:
    """The most steps that a family can be told to forecast: of one without `forecast_hours` that of P(up)."""
    return LONGEST_FORECAST_HOURS if "forecast_hours" in FAMILIES[family].model_fields else LONGEST_LABEL


def measured(candidate: Candidate, series: Sequence[Bars], stretch: Stretch, library: str = "") -> Choice:
    """One family on all series. What it refuses is the reason of a choice without figures. library: is imported before a fit is
    timed."""
    name, forecaster = candidate.name, candidate.forecaster
    horizon, scope = longest_horizon(candidate.params.model.family), forecaster.traits.scope
    if library:
        importlib.import_module(library)
    try:
        fits = _fits(candidate, series, stretch)
    except (DataError, ConfigError) as error:
        return Choice(name, horizon, scope=scope, reason=str(error))
    pinballs = [fit.pinball for fit in fits if fit.pinball is not None]
    return Choice(
        name,
        horizon,
        ahead_of(forecaster, distribution=bool(pinballs)),
        reasons_of(fits[0].predictor, stretch.start),
        scope,
        models=len({id(fit.model) for fit in fits}),
        model_bytes=sum(len(it) for it in {id(fit.model): fit.model for fit in fits}.values()),
        fit_seconds=sum({id(fit.model): fit.seconds for fit in fits}.values()),
        predict_ms=statistics.median(ms for fit in fits for ms in fit.milliseconds),
        pinball=float(np.mean(pinballs)) if pinballs else None,
        brier=_mean([fit.brier for fit in fits if fit.brier is not None]),
    )


def ahead_of(forecaster: Forecaster, *, distribution: bool) -> str:
    """How several steps ahead come about, in the words of the field."""
    if not distribution:
        return "direct"
    return "recursive" if forecaster.traits.refresh == "filter" else "one pass"


def reasons_of(predictor: object, at: int) -> str:
    """What a model can say of its reasons, by what it can be asked at a time (UTC ms)."""
    if isinstance(predictor, Contributing):
        return "what each feature adds to an hour's P(up) (TreeSHAP)"
    if isinstance(predictor, Attending):
        return "weights of the variables, and attention to the hours"
    if isinstance(predictor, Explaining):
        return "its terms: " + ", ".join(predictor.explain(at))
    return "none"


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One series by its model; series that share a model share its bytes."""

    model: bytes
    seconds: float
    predictor: Predictor
    milliseconds: list[float]
    pinball: float | None
    brier: float | None


def _fits(candidate: Candidate, series: Sequence[Bars], stretch: Stretch) -> list[_Fit]:
    if stretch.freq == "1d":
        _daily(candidate, series[:1], stretch)  # what a first fit imports is no part of what a fit takes
        return _daily(candidate, series, stretch)
    if candidate.forecaster.traits.scope == "global":
        pooled = candidate.fitted_on([it.symbol for it in series])
        return _asked(_trained(pooled, series, stretch), stretch)
    _trained(candidate, series[:1], stretch)
    return [fit for it in series for fit in _asked(_trained(candidate, [it], stretch), stretch)]


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    history: History
    window: Refit
    model: bytes
    seconds: float


def _trained(candidate: Candidate, series: Sequence[Bars], stretch: Stretch) -> _Trained:
    params, forecaster = candidate.params, candidate.forecaster
    one, *others = series
    window = window_of(stretch, params)
    history = History.of(forecaster, one, params, window.train_from, stretch.stop + HOUR_MS, others)
    history.require_trainable([window], params, one.symbol)
    panel, y = history.training(window, params)
    began = time.process_time()
    model = forecaster.fit(
        panel, y, params, horizon=params.horizon_hours, until=window.train_until, seed=params.seed
    )
    return _Trained(history, window, model, time.process_time() - began)


def _asked(trained: _Trained, stretch: Stretch) -> list[_Fit]:
    """Each series by its model."""
    history = trained.history
    predictor = history.forecaster.load(trained.model, f"the model of {history.panel.symbols[0]}")
    rose = history.y[:, history.panel.row(stretch.start) : history.panel.row(stretch.stop)]
    return [
        _hour_by_hour(each, labels, trained, predictor, stretch)
        for each, labels in zip(history.of_each(), rose, strict=True)
    ]


def window_of(stretch: Stretch, params: Params) -> Refit:
    """The window that serves the whole stretch: the last label it learns from is known before the first step."""
    until = stretch.start - (params.gap_hours + params.horizon_hours) * HOUR_MS
    return Refit(0, stretch.start, stretch.stop, until - stretch.days * DAY_MS, until)


def _hour_by_hour(
    history: History, rose: Floats, trained: _Trained, predictor: Predictor, stretch: Stretch
) -> _Fit:
    """Every hour of the stretch alone, as the bot asks; the first one is not timed. rose: (hours,) labels, NaN while unknown."""
    hours = np.arange(stretch.start, stretch.stop, HOUR_MS, dtype=np.int64)
    told, took = [], []
    for i, hour in enumerate(hours.tolist()):
        seen = history.seen_by(trained.window.train_until, hour, hour + HOUR_MS)
        began = time.process_time()
        told.append(predictor.predict(seen, hours[i : i + 1]))
        took.append((time.process_time() - began) * 1e3)
    bars = history.panel.bars[0]
    came = outcomes(bars, hours, stretch.steps, stretch.stop)
    p_up = np.concatenate([it.p_up for it in told]).astype(np.float64)
    brier = _known_mean((p_up - rose) ** 2)
    return _Fit(trained.model, trained.seconds, predictor, took[1:][-_TIMED:], _loss(told, came), brier)


def _daily(candidate: Candidate, series: Sequence[Bars], stretch: Stretch) -> list[_Fit]:
    forecaster = candidate.forecaster
    if not isinstance(forecaster, FitsSeries):
        raise ConfigError("it reads hours, not days: --freq 1h")
    found = []
    for bars in series:
        days = daily_closes(bars, stretch.stop)
        known = days.until(stretch.start).since(stretch.start - stretch.days * DAY_MS)
        require_forecastable(known)
        began = time.process_time()
        model = forecaster.fit_series(
            known, candidate.params, steps=stretch.steps, horizon=1, until=stretch.start
        )
        seconds = time.process_time() - began
        predictor = forecaster.load(model, f"the model of {bars.symbol}")
        if not isinstance(predictor, PredictsSeries):
            raise ConfigError("it forecasts no days: --freq 1h")
        found.append(_day_by_day(days, model, seconds, predictor, stretch))
    return found


def _day_by_day(days: Series, model: bytes, seconds: float, predictor: Any, stretch: Stretch) -> _Fit:
    times = np.arange(stretch.start, stretch.stop, DAY_MS, dtype=np.int64)
    told, took = [], []
    for i in range(len(times)):
        began = time.process_time()
        told.append(predictor.forecast_series(days.until(int(times[i])), times[i : i + 1]))
        took.append((time.process_time() - began) * 1e3)
    rows = days.rows(times)
    padded = np.concatenate([days.log_close, np.full(stretch.steps, np.nan)])
    came = padded[rows[:, None] + np.arange(1, stretch.steps + 1)] - days.log_close[rows][:, None]
    p_up = np.array([it.p_up[0] for it in told], np.float64)
    rose = np.where(np.isnan(came[:, 0]), np.nan, came[:, 0] > 0)
    brier = _known_mean((p_up - rose) ** 2)
    return _Fit(model, seconds, predictor, took[1:][-_TIMED:], _loss(told, came), brier)


def _loss(told: Sequence[Forecast], came: Floats) -> float | None:
    """The mean pinball loss over steps, levels and hours whose outcome is known."""
    if any(it.quantiles is None for it in told):
        return None
    quantiles = np.concatenate([it.quantiles for it in told if it.quantiles is not None])
    steps = min(quantiles.shape[1], came.shape[1])
    return _known_mean(pinball(quantiles[:, :steps], came[:, :steps]).mean(axis=-1))


def _known_mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
