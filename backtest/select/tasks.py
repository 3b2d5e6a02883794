"""A candidate on one series as a pure function: fit each window, forecast, score. Failures are raised; who asked notes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.engine.forecast_forward import p_up_alone
from backtest.engine.history import History
from backtest.engine.simulate import simulate
from backtest.evidence.forecasts import HourScores, outcomes, pinball
from backtest.evidence.significance import Moments
from backtest.executors.packing import packed, unpacked
from backtest.executors.protocol import (
    Array,
    Arrays,
    SharedArrays,
    Task,
    TaskSettings,
    reference_of,
    resolved,
    task_function,
)
from backtest.select.candidates import STEPS, Candidate, Score
from trader.core.errors import ConfigError, DataError
from trader.core.families import own_family
from trader.core.forecast import Forecast
from trader.core.hours import Rules
from trader.core.metrics import HOURS_PER_YEAR, hourly_returns
from trader.core.params import Params
from trader.core.ports import Predictor
from trader.core.series import FitsSeries, Series
from trader.core.types import DAY_MS, HOUR_MS, Bars, Filters, Floats, iso
from trader.core.windows import Refit, refits, require_history, require_span

# Closes that a daily candidate is fitted on, at most.
LONGEST_DAYS = 1_000
# Closes before a forecast that a chart shows.
BEFORE = 60


def daily_closes(bars: Bars, stop: int) -> Series:
    """The newest LONGEST_DAYS daily closes up to `stop` (UTC ms), without a close on days later than the bars."""
    days = Series.daily(bars.until(stop))
    missing = (stop - days.last) // DAY_MS if len(days) else 0
    closes = np.concatenate([days.log_close, np.full(max(0, missing), np.nan)])
    cut = max(0, len(closes) - LONGEST_DAYS)
    return Series(bars.symbol, days.first + cut * DAY_MS, DAY_MS, closes[cut:])


def daily_task(series: Series, candidate: Candidate, origins: Sequence[int], key: str) -> Task:
    """A candidate on daily closes, forecast from each of `origins` (UTC ms)."""
    settings = {
        "forecaster": reference_of(type(candidate.forecaster)),
        "params": candidate.params.model_dump_json(),
        "symbol": series.symbol,
        "first": series.first,
        "origins": list(origins),
    }
    return _task(daily_candidate, settings, {"log_close": series.log_close}, candidate, key, series.symbol)


@task_function
def daily_candidate(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The mean pinball loss over origins, STEPS days ahead and LEVELS; model, forecast and what came of the last origin.

    Raises DataError for a series that is too short, constant, or without a close at an origin.
    """
    began = time.process_time()
    series = Series(settings["symbol"], settings["first"], DAY_MS, arrays["log_close"])
    params, family = Params.model_validate_json(settings["params"]), _family(settings)
    if not isinstance(family, FitsSeries):
        raise ConfigError(f"{params.model.family} does not forecast a series of days")
    losses, model, told, came = [], b"", np.zeros((0, 0)), np.zeros(0)
    for origin in settings["origins"]:
        known = series.until(origin)
        require_forecastable(known)
        model = family.fit_series(known, params, steps=STEPS, horizon=1, until=origin)
        predictor = family.load(model, f"the model of {series.symbol}")  # type: ignore[attr-defined]  # a Forecaster
        told = quantiles_of(
            predictor.forecast_series(known, np.array([origin])), params, series.symbol, origin
        )
        row = len(known) - 1
        came = series.log_close[row + 1 : row + 1 + STEPS] - series.log_close[row]
        losses.append(_loss(told, came, series.symbol, origin))
    row = len(series.until(settings["origins"][-1])) - 1
    head = {
        "loss": float(np.mean(losses)),
        "losses": losses,
        "origin": settings["origins"][-1],
        "step_ms": DAY_MS,
    }
    before = series.log_close[max(0, row + 1 - BEFORE) : row + 1]
    return _answer(head, model, {"before": before, "quantiles": told, "came": came}, began)


def require_forecastable(known: Series) -> None:
    """Raises DataError, with the numbers, for closes from which nothing can be forecast."""
    closes = known.log_close[~np.isnan(known.log_close)]
    if len(closes) < 2 * STEPS:
        raise DataError(f"{len(closes)} closes up to {iso(known.last)[:10]}; {2 * STEPS} are needed at least")
    if np.isnan(known.log_close[-1]):
        raise DataError(f"there is no close at {iso(known.last)[:10]}, from which the forecast starts")
    if closes.min() == closes.max():
        raise DataError(f"all {len(closes)} closes are equal; nothing can be learnt from them")


def quantiles_of(told: Forecast, params: Params, symbol: str, origin: int) -> Floats:
    """(h, level) of the only time asked about. Raises DataError where the family says nothing."""
    if told.quantiles is None:
        raise ConfigError(p_up_alone(params.model.family))
    found: Floats = told.quantiles[0]
    if np.isnan(found).any():
        raise DataError(
            f"{params.model.family} says nothing about {symbol} at {iso(origin)[:10]}: its closes are too few"
        )
    return found


def _loss(quantiles: Floats, came: Floats, symbol: str, origin: int) -> float:
    count = min(len(came), len(quantiles))
    known = ~np.isnan(came[:count])
    if not known.any():
        raise DataError(f"{symbol} has no close in the {STEPS} days after {iso(origin)[:10]}")
    return float(pinball(quantiles[:count], came[:count])[known].mean())


def hourly_task(
    bars: Bars,
    candidate: Candidate,
    span: tuple[int, int],
    score: Score,
    key: str,
    source: str,
    others: Sequence[Bars] = (),
) -> Task:
    """A candidate walked forward over span[0] <= T < span[1] (UTC ms). Raises DataError where the bars do not reach.

    others: further series of a global family's fit. Its task then gives the parts of every series (`parts_of`).
    """
    params, (start, stop) = candidate.params, span
    windows = refits(params, start, stop)
    require_walk(bars, params, span, source)
    # The bar that opens at the last hour is what the last order is filled at.
    history = History.of(candidate.forecaster, bars, params, windows[0].train_from, stop + HOUR_MS, others)
    history.require_trainable(windows, params, source)
    settings = {
        **history.settings(),
        "params": params.model_dump_json(),
        "windows": [window.numbers() for window in windows],
        "span": [start, stop],
        "score": score,
        "filters": {it.symbol: _filters(it, start) for it in (bars, *others)},
    }
    symbols = " ".join(it.symbol for it in (bars, *others))
    function = hourly_candidates if others else hourly_candidate
    return _task(function, settings, history.arrays(), candidate, key, symbols)


def require_walk(bars: Bars, params: Params, span: tuple[int, int], source: str) -> None:
    """Raises DataError or ConfigError, naming `source`, for bars that do not hold the span, or nothing to learn from before."""
    require_span(bars, *span, source)
    require_history(bars, refits(params, *span)[0], params, source)


def _filters(bars: Bars, start: int) -> dict[str, str | None]:
    told = asdict(Filters.derived(float(bars.close[bars.row(start)])))
    return {name: None if it is None else str(it) for name, it in told.items()}


@task_function
def hourly_candidate(arrays: Arrays, settings: TaskSettings) -> bytes:
    """Net Sharpe ratio of the hours, traded with costs, or their mean pinball loss; the last window's model, and its forecast
    of the last STEPS hours beside what came."""
    began = time.process_time()
    history = History.of_arrays(arrays, settings)
    fits = _fits(history, settings)
    return _answer(*_walked(history, fits, settings), began)


@task_function
def hourly_candidates(arrays: Arrays, settings: TaskSettings) -> bytes:
    """The same of a global family for every series: each window's one model is fitted on all, and predicts each. Packed: what
    is said of each series, or why nothing is; and the last model once."""
    began = time.process_time()
    history = History.of_arrays(arrays, settings)
    fits = _fits(history, settings)
    each = list(history.of_each())
    fitting = (time.process_time() - began) / len(each)
    heads: dict[str, Any] = {}
    found: dict[str, Array] = {}
    for one in each:
        symbol, began = one.panel.symbols[0], time.process_time()
        try:
            head, model, fan = _walked(one, fits, settings)
        except DataError as error:
            heads[symbol] = {"reason": str(error)}
            continue
        found |= {"model": np.frombuffer(model, np.uint8)}
        found |= {f"{symbol} {name}": array for name, array in fan.items()}
        names = sorted(it.panel.symbols[0] for it in each)
        seconds = fitting + time.process_time() - began
        heads[symbol] = {**head, "train_symbols": names, "seconds": seconds}
    return packed({"series": heads}, found)


def parts_of(result: bytes) -> dict[str, tuple[bytes, str]]:
    """What `hourly_candidates` gave, by symbol: a result such as `hourly_candidate` gives, or b"" and the reason."""
    told, arrays = unpacked(result)
    found = {}
    for symbol, head in told["series"].items():
        if "reason" in head:
            found[symbol] = b"", head["reason"]
            continue
        fan = {name: arrays[f"{symbol} {name}"] for name in ("before", "quantiles", "came")}
        found[symbol] = packed(head, {**fan, "model": arrays["model"]}), ""
    return found


Fits = list[tuple[Refit, bytes, Predictor]]


def _fits(history: History, settings: TaskSettings) -> Fits:
    params = Params.model_validate_json(settings["params"])
    windows = [Refit(*numbers) for numbers in settings["windows"]]
    if not windows:
        raise DataError("no window was given")
    return [(window, *_fitted(history, window, params)) for window in windows]


def _walked(
    history: History, fits: Fits, settings: TaskSettings
) -> tuple[dict[str, Any], bytes, dict[str, Array]]:
    """One series: what is said of it, the last window's model, and what its chart shows."""
    params, stop = Params.model_validate_json(settings["params"]), settings["span"][1]
    p_up, scores = [], []
    for window, _, predictor in fits:
        until = min(window.serve_until, stop)
        if settings["score"] == "pinball":
            scores.append(_scores(history, predictor, window, until, stop, params))
        else:
            p_up.append(history.predict(predictor, window.train_until, window.serve_from, until))
    window, model, predictor = fits[-1]
    head = _of_scores(scores) if scores else _traded(history, np.concatenate(p_up), params, settings)
    fan = _fan(history, predictor, window, max(window.serve_from, stop - STEPS * HOUR_MS), stop)
    return head | {"step_ms": HOUR_MS, "train_until": window.train_until}, model, fan


def _fitted(history: History, window: Refit, params: Params) -> tuple[bytes, Predictor]:
    panel, y = history.training(window, params)
    model = history.forecaster.fit(
        panel, y, params, horizon=params.horizon_hours, until=window.train_until, seed=params.seed
    )
    return model, history.forecaster.load(model, f"the model of {panel.symbols[0]}")


def _scores(
    history: History, model: Predictor, window: Refit, until: int, stop: int, params: Params
) -> HourScores:
    hours = np.arange(window.serve_from, until, HOUR_MS, dtype=np.int64)
    told = [
        model.predict(history.seen_by(window.train_until, hour, hour + HOUR_MS), hours[i : i + 1]).quantiles
        for i, hour in enumerate(hours.tolist())
    ]
    known = [it for it in told if it is not None]
    if len(known) < len(told):
        raise ConfigError(p_up_alone(params.model.family))
    quantiles = np.concatenate(known)
    return HourScores.of(hours, quantiles, outcomes(history.panel.bars[0], hours, quantiles.shape[1], stop))


def _of_scores(scores: list[HourScores]) -> dict[str, Any]:
    losses = HourScores.joined(scores).pinball
    if np.isnan(losses).all():
        raise DataError("nothing was forecast in any hour: its bars are too few")
    return {"loss": float(np.nanmean(losses))}


def _traded(history: History, p_up: Floats, params: Params, settings: TaskSettings) -> dict[str, Any]:
    told = settings["filters"][history.panel.symbols[0]]
    named = {name: None if it is None else Decimal(it) for name, it in told.items()}
    rules = Rules(params, Filters(**named))  # type: ignore[arg-type]  # None is max_qty's alone
    start, stop = settings["span"]
    run = simulate(history.panel.bars[0], p_up.astype(np.float32), rules, start, stop)
    returns = hourly_returns(run.equity, float(params.allocation_usdt))
    moments = Moments.of(returns)
    return {
        "sharpe": moments.sharpe * HOURS_PER_YEAR**0.5,
        "moments": [moments.n, moments.sharpe, moments.skewness, moments.kurtosis],
        "net_return": float(run.equity[-1]) / float(params.allocation_usdt) - 1,
        "orders": run.state.ledger.orders,
    }


def _fan(history: History, model: Predictor, window: Refit, origin: int, stop: int) -> dict[str, Array]:
    """The closes before `origin`, what was forecast there, and what came; no forecast where the family gives P(up) alone."""
    bars = history.panel.bars[0]
    row = bars.row(origin)
    closes = np.where(bars.flagged, np.nan, np.log(bars.close))
    told = model.predict(
        history.seen_by(window.train_until, origin, origin + HOUR_MS), np.array([origin])
    ).quantiles
    quantiles = np.zeros((0, 0)) if told is None else told[0, :STEPS]
    came = closes[row + 1 : bars.row(stop) + 1] - closes[row]
    return {"before": closes[max(0, row + 1 - BEFORE) : row + 1], "quantiles": quantiles, "came": came}


def _family(settings: TaskSettings) -> Any:
    kind = resolved(settings["forecaster"])
    if not isinstance(kind, type) or not hasattr(kind, "traits"):
        raise DataError(f"a task names {settings['forecaster']!r}, which is no family of models")
    return kind()


def _task(
    function: Any, settings: dict[str, Any], arrays: Arrays, candidate: Candidate, key: str, symbol: str
) -> Task:
    own = own_family(candidate.params.model.family) is not None
    label = f"{candidate.name} on {symbol}"
    return Task(
        function, settings, SharedArrays(arrays), placement="thread" if own else "process", known_key=key, label=label
    )  # fmt: skip  # what is computed, then where


def _answer(head: dict[str, Any], model: bytes, arrays: dict[str, Array], began: float) -> bytes:
    """Packed: what is said of the candidate, its model's bytes, and what its chart shows."""
    head = head | {"seconds": time.process_time() - began}
    return packed(head, {**arrays, "model": np.frombuffer(model, np.uint8)})
