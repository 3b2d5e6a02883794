"""`backtest reproduce-reference`: the published study, trial by trial, beside what is left of it after costs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import s3_access
from backtest.commands.options import AsJson, BarsFile, Symbol
from trader import terminal

HEAD = ("", "published", "reproduced", "other seeds", "changes of mind", "net of 0.1 %", "reopened hourly")
NOTE = (
    "published and reproduced know no costs; net pays 0.1 % a side at each change of mind, reopened hourly pays "
    "it as the reference trades"
)


@computed
def reproduce_reference(
    bars: BarsFile,
    computing: Computing,
    symbol: Symbol = None,
    more_seeds: Annotated[
        bool, typer.Option("--more-seeds", help="three more seeds of XGBoost; takes four times as long")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Repeat the published study this project starts from, on its own terms, and say what its scores are worth.

    Example: backtest reproduce-reference --bars BTCUSDT-1h.parquet --json
    """
    from backtest.reference.reproduce import MORE_SEEDS, SEED, reproduce, rows_of
    from trader.adapters.bar_folder import BarSources

    sources = BarSources.of([bars], symbol, access=s3_access)
    rows = rows_of(sources.read(sources.traded, terminal.say), sources.said)
    seeds = (SEED, *MORE_SEEDS) if more_seeds else (SEED,)
    with computing.opened() as executor, terminal.progress("windows", quiet=as_json) as update:
        report = reproduce(rows, seeds=seeds, executor=executor, progress=update)
    if as_json:
        terminal.emit(report)
    else:
        terminal.show(_table(report))


def _table(report: dict[str, Any]) -> str:
    rows = []
    for row in report["trials"]:
        others = row["other_seeds"]
        spread = f"{min(others):.2f} to {max(others):.2f}" if others else "-"
        rows.append(
            (
                f"trial {row['trial']}",
                *(f"{row[key]:.2f}" for key in ("published", "reproduced")),
                spread,
                f"{row['changes']:,}",
                *(f"{row[key]:.2f}" for key in ("net", "net_reopened")),
            )
        )
    correlation = report["correlation"]
    return "\n".join(
        (
            terminal.table("The published study, in sample; returns are additive, in stakes", rows, HEAD),
            f"{report['rows']:,} rows; correlation "
            f"{'-' if correlation is None else format(correlation, '.3f')}; {report['seconds']:.1f} s",
            NOTE,
        )
    )
