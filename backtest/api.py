"""What a notebook or a script imports: bars, walk-forward, trading with costs, the report. See docs/python.md.

Every function computes what the command of its name computes, by the same code. Times are texts in UTC ("2024-01-01"), or
datetimes with a zone; an hour is the close of its bar. Nothing is read, written or registered when this module is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trader.core.errors import ConfigError, DataError
from trader.core.hours import Rules, line_json
from trader.core.model_params import completed
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.presets import Preset, register
from trader.core.types import HOUR_MS, Bars, Filters, iso, parse_hour
from trader.core.windows import require_span
from trader.frames import (
    bars_of_frame,
    frame_of_bars,
    frame_of_hours,
    frame_of_quantiles,
    frame_of_rows,
    hours_of_series,
    series_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from trader.core.families import OwnFamily

__all__ = [
    "Traded",
    "bars_of_frame",
    "compute_features",
    "forecast_forward",
    "frame_of_bars",
    "load_bars",
    "load_hours",
    "make_params",
    "report",
    "synthetic_bars",
    "trade",
    "use_features",
    "use_models",
    "walk_forward",
]

Hour = str | datetime
SOURCE = "the bars"


def load_bars(path: str | Path, symbol: str | None = None) -> Bars:
    """Hourly bars of a Parquet file, a CSV, a zip of the exchange's archive, a folder, or an address (docs/sources.md).
    symbol: by default the file's name up to the first `-`. Raises ConfigError, DataError or Retry."""
    from trader.adapters.bar_folder import read_place

    return read_place(path, symbol)


def synthetic_bars(
    start: Hour = "2023-01-01", days: int = 365, seed: int = 0, symbol: str = "BTCUSDT"
) -> Bars:
    """Bars of a made market that can be predicted a little, from its seed alone: to try things out on, not to trade by."""
    from trader.exchange.market import synthetic

    return synthetic(symbol, seed, _hour(start) + HOUR_MS, days * 24).bars


def make_params(model: str | Mapping[str, Any] | None = None, **changes: Any) -> Params:
    """The default parameters with some of them changed. model: a family's name, or its keys as in P.json, which need name only
    what differs from the family's defaults. Raises ConfigError."""
    if model is not None:
        changes["model"] = completed({"family": model} if isinstance(model, str) else dict(model))
    return params_of({**DEFAULT_PARAMS, **changes}, "make_params")


def use_features(preset: Preset) -> None:
    """Make a feature preset known by its name, after it was tried for look-ahead. Raises ConfigError."""
    from trader.core.lookahead import require_no_lookahead

    require_no_lookahead(preset)
    register(preset)


def compute_features(bars: Bars, preset: str, start: Hour, stop: Hour) -> pd.DataFrame:
    """The columns of a preset for start <= T < stop, as a model gets them: float32, NaN while a value is undefined. Each row
    follows from the bars up to its hour. Raises ConfigError for a preset that is not known."""
    from trader.core.features import features, preset_named

    _register_shipped()
    first, last, chosen = _hour(start), _hour(stop), preset_named(preset)
    return frame_of_rows(features(bars, chosen, first, last), chosen.columns, first)


def use_models(path: str | Path) -> list[OwnFamily]:
    """Run a file with families of models of your own, and check them by the contract of all families. Raises ConfigError."""
    from trader import own_families

    _register_shipped()
    own = own_families.load(Path(path), check=False)
    for family in own:
        own_families.require_contract(family)
    return own


def walk_forward(
    bars: Bars,
    params: Params,
    start: Hour,
    stop: Hour,
    *,
    others: Sequence[Bars] = (),
    workers: int = 1,
) -> pd.Series:
    """P(up) of every hour start <= T < stop, each by a model that was trained before it: float32, NaN where nothing can be said.

    others: bars of the further symbols that `train_symbols` of the parameters names, which a fit of a global family sees.
    workers: models fitted at the same time, on threads; the result does not depend on it. Raises ConfigError or DataError.
    """
    from backtest.engine import walkforward
    from backtest.executors.registry import Setup, open_executor
    from trader.forecasters.registry import forecaster_of

    _register_shipped()
    first, last = _span(bars, start, stop)
    forecaster = forecaster_of(params.model.family)
    with open_executor("local", Setup(workers)) as executor:
        p_up = walkforward.walk_forward(
            forecaster, bars, params, first, last, source=SOURCE, others=others, executor=executor
        )
    return series_of(p_up, first, "p_up")


def forecast_forward(
    bars: Bars,
    params: Params,
    start: Hour,
    stop: Hour,
    *,
    others: Sequence[Bars] = (),
    workers: int = 1,
) -> pd.DataFrame:
    """The distributions of every hour start <= T < stop, each by a model that was trained before it, as `backtest forecast`.

    A row for each T and h (hours ahead), a column for each level of `trader.core.forecast.LEVELS`. A value is a quantile of
    log(close[T + h] / close[T]), float64, NaN where nothing can be said. others: as of `walk_forward`. workers: models fitted at
    the same time, in processes where there are several; the result does not depend on it.
    Raises ConfigError, also for a family that gives P(up) alone, or DataError.
    """
    from backtest.engine import forecast_forward as engine
    from backtest.executors.registry import Setup, open_executor
    from trader.forecasters.registry import forecaster_of

    _register_shipped()
    first, last = _span(bars, start, stop)
    forecaster = forecaster_of(params.model.family)
    with open_executor("local", Setup(workers)) as executor:
        windows = list(
            engine.forecast_forward(
                forecaster, bars, params, first, last, source=SOURCE, others=others, executor=executor
            )
        )
    return frame_of_quantiles(np.concatenate([window.quantiles for window in windows]), first)


@dataclass(frozen=True, slots=True, eq=False)
class Traded:
    """hours: a row for each hour, numbers as float64, with the close. summary: the figures that `backtest run` prints."""

    hours: pd.DataFrame
    summary: dict[str, Any]


def trade(bars: Bars, p_up: pd.Series, params: Params, *, filters: Filters | None = None) -> Traded:
    """Trade predictions with costs, as the bot would: one decision an hour, orders filled at the open that follows.

    p_up: P(up) by the hour's close time; an hour without one is not traded. Costs, thresholds and limits are those of `params`.
    filters: what the exchange accepts; by default those that suit the price. Raises ConfigError or DataError.
    """
    from backtest.engine.outcome import summary_of_run
    from backtest.engine.simulate import simulate

    first, values = hours_of_series(p_up)
    if ((values < 0) | (values > 1)).any():
        raise DataError(f"p_up is {np.nanmin(values)} to {np.nanmax(values)}; a probability is 0 to 1")
    stop = first + len(values) * HOUR_MS
    require_span(bars, first, stop, SOURCE)
    rules = _rules(bars, params, first, filters)
    run = simulate(bars, values.astype(np.float32), rules, first, stop)
    summary = summary_of_run(run, bars, rules, seconds=0.0)
    del summary["seconds"]
    return Traded(frame_of_hours(map(line_json, run.lines), bars), summary)


def report(
    bars: Bars,
    params: Params,
    start: Hour,
    stop: Hour,
    out: str | Path,
    *,
    others: Sequence[Bars] = (),
    evidence: str | Path = "evidence",
    workers: int = 1,
) -> dict[str, Any]:
    """Write the page of `backtest report` to `out`, its figures beside it, and return the figures.

    others: as of `walk_forward`. Looking is counted in the folder `evidence`, as by the command: each report on the same hours is
    one more look at them. Raises ConfigError or DataError.
    """
    from backtest.executors.registry import Setup, open_executor
    from backtest.report.make import EvaluatedSpan, made_report, written

    _register_shipped()
    first, last = _span(bars, start, stop)
    rules = _rules(bars, params, first, None)
    with open_executor("local", Setup(workers)) as executor:
        made = made_report(
            EvaluatedSpan(bars, rules, first, last, SOURCE, tuple(others)),
            executor,
            Path(evidence),
            by="backtest.api.report",
        )
    written(made.report, Path(out))
    return made.report


def load_hours(path: str | Path, bars: Bars) -> pd.DataFrame:
    """An hours file of `backtest run` or `trader journal --jsonl` as a table: numbers as float64, with the close of each hour.
    Raises ConfigError where the file cannot be read, DataError for a line that is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"hours {path} cannot be read: {error}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows.append({**row, "close_time": row["close_time"]})
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{path}, line {number}: not a line of an hours file") from None
    return frame_of_hours(rows, bars)


def _register_shipped() -> None:
    """The feature presets of every command. Safe to repeat."""
    from trader.adapters.talib_features import register_shipped

    register_shipped()


def _hour(at: Hour) -> int:
    """UTC ms. Raises ConfigError for a datetime without a zone, and for a time that is not on the hour."""
    if isinstance(at, str):
        return parse_hour(at)
    if at.tzinfo is None:
        raise ConfigError(
            f"{at} has no zone; write a text such as '2024-01-01', or a datetime with tzinfo=UTC"
        )
    return parse_hour(iso(round(at.timestamp() * 1000)))


def _span(bars: Bars, start: Hour, stop: Hour) -> tuple[int, int]:
    first, last = _hour(start), _hour(stop)
    require_span(bars, first, last, SOURCE)
    return first, last


def _rules(bars: Bars, params: Params, first: int, filters: Filters | None) -> Rules:
    return Rules(params, filters or Filters.derived(float(bars.close[bars.row(first)])))
