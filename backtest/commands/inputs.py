"""What the verbs of `backtest` are given: bars, parameters, a span, filters."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal
from trader.core.errors import ConfigError
from trader.core.params import DEFAULT_PARAMS, Params, params_of, parse_params
from trader.core.types import Bars, Filters, Floats, parse_hour

if TYPE_CHECKING:
    from backtest.evidence.ledger import Entry

CORES = os.cpu_count() or 1

BarsFile = Annotated[
    Path, typer.Option("--bars", help="hourly bars: Parquet, CSV or a zip of the public archive")
]
From = Annotated[str, typer.Option("--from", help="first hour, UTC: 2022-01-01 or 2022-01-01T09:00Z")]
To = Annotated[str, typer.Option("--to", help="the hour after the last")]
ParamsFile = Annotated[
    Path | None, typer.Option("--params", help="P.json; without it the documented defaults")
]
Symbol = Annotated[str | None, typer.Option(help="default: the file's name up to the first '-'")]
FiltersFile = Annotated[
    Path | None, typer.Option("--filters", help="an exchangeInfo row; default: from the price")
]
Workers = Annotated[int, typer.Option(min=1, help="processes; changes the time and nothing else")]
AsJson = Annotated[bool, typer.Option("--json", help="one line of JSON instead of a table")]
EvidenceDir = Annotated[
    Path, typer.Option("--evidence", help="folder that counts everything ever tried on these bars")
]


def load(
    bars: Path, symbol: str | None, params: Path | None, start: str, stop: str
) -> tuple[Bars, Params, int, int]:
    """Bars, parameters, and the hours start <= T < stop (UTC ms). Raises ConfigError or DataError."""
    from trader.adapters.files import read_bars

    chosen = (
        params_of(DEFAULT_PARAMS, "the defaults")
        if params is None
        else parse_params(terminal.read_text(params, "parameters"), str(params))
    )
    first, last = parse_hour(start), parse_hour(stop)
    if last <= first:
        raise ConfigError(f"--to {stop} must be later than --from {start}")
    return read_bars(bars, symbol), chosen, first, last


def filters_of(path: Path | None, series: Bars, start: int) -> Filters:
    """The file's filters, else those that suit the price at `start`."""
    if path is not None:
        from trader.adapters.exchange_info import read_filters

        return read_filters(path)
    return Filters.derived(float(series.close[series.row(start)]))


def looked_at(params: Params, start: int, stop: int, equity: Floats, by: str) -> list[Entry]:
    """A configuration that a person ran, and the look at its hours, for the ledger. equity: (n,) after each hour."""
    from backtest.evidence.ledger import Entry, config_hash
    from backtest.evidence.significance import Moments
    from trader.core.metrics import hourly_returns

    now = round(time.time() * 1000)
    sharpe = Moments.of(hourly_returns(equity, float(params.allocation_usdt))).sharpe
    config = config_hash(params)
    return [
        Entry("run", config, start, stop, sharpe, by, now),
        Entry("look", config, start, stop, None, by, now),
    ]
