"""`backtest lookahead`: checks that nothing which is decided at an hour depends on later bars."""

from __future__ import annotations

from dataclasses import asdict

from backtest.commands.inputs import Given, on_hours
from backtest.commands.options import AsJson
from trader import terminal
from trader.core.errors import ConfigError


@on_hours
def lookahead(given: Given, as_json: AsJson = False) -> None:
    """Remove or distort all later bars, and check that no feature, label, prediction or decision changes.

    Exit 0 where nothing looks ahead, else 2, and names the columns that do.
    Example: backtest lookahead --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --features mine
    """
    from backtest.engine.lookahead import examine
    from trader.forecasters.registry import forecaster_of

    checks = examine(
        forecaster_of(given.rules.params.model.family),
        given.bars,
        given.rules,
        given.start,
        given.stop,
        given.source,
        given.others,
    )
    if as_json:
        terminal.emit([asdict(check) for check in checks])
    else:
        rows = [
            (check.what, f"{check.looked_at:,}", "clean" if not check.found else "LOOKS AHEAD")
            for check in checks
        ]
        title = f"{given.bars.symbol}, features {given.rules.params.features}"
        terminal.show(terminal.table(title, rows, ("", "compared", "")))
        for check in checks:
            for sentence in check.found[:10]:
                terminal.show(f"  {sentence}")
    if any(check.found for check in checks):
        raise SystemExit(ConfigError.exit_code)
