"""`backtest lookahead`: proof, not promise, that nothing here knows the future."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from backtest.commands.inputs import (
    AsJson,
    BarsFile,
    FiltersFile,
    From,
    ParamsFile,
    Symbol,
    To,
    filters_of,
    load,
)
from trader import terminal
from trader.core.errors import ConfigError


def lookahead(
    bars: BarsFile,
    start: From,
    stop: To,
    params: ParamsFile = None,
    features: Annotated[
        str | None, typer.Option("--features", help="a preset, in place of the parameters' own")
    ] = None,
    symbol: Symbol = None,
    filters: FiltersFile = None,
    as_json: AsJson = False,
) -> None:
    """Cut off and poison the future, and compare every feature, label, prediction and decision to the bit.

    Exit 0 where nothing looks ahead, else 2, the guilty column named.
    Example: backtest lookahead --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --features mine
    """
    from backtest.engine.lookahead import examine
    from trader.core.hours import Rules
    from trader.core.presets import preset_named
    from trader.core.windows import require_span
    from trader.forecasters.xgboost import XGBoostForecaster

    series, chosen, first, last = load(bars, symbol, params, start, stop)
    require_span(series, first, last, str(bars))
    if features is not None:
        chosen = chosen.model_copy(update={"features": preset_named(features).name})
    rules = Rules(chosen, filters_of(filters, series, first))
    checks = examine(XGBoostForecaster(), series, rules, first, last, str(bars))
    if as_json:
        terminal.emit([asdict(check) for check in checks])
    else:
        rows = [
            (check.what, f"{check.looked_at:,}", "clean" if not check.found else "LOOKS AHEAD")
            for check in checks
        ]
        print(terminal.table(f"{series.symbol}, features {chosen.features}", rows, ("", "looked at", "")))
        for check in checks:
            for sentence in check.found[:10]:
                print(f"  {sentence}")
    if any(check.found for check in checks):
        raise SystemExit(ConfigError.exit_code)
