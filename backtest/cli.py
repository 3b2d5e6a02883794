"""`backtest`: parse -> bars and parameters -> one function of the study room -> a table, JSON or a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from backtest.commands import lifecycle, lookahead, report, tune
from backtest.commands.inputs import (
    CORES,
    AsJson,
    BarsFile,
    EvidenceDir,
    FiltersFile,
    From,
    ParamsFile,
    Symbol,
    To,
    Workers,
    filters_of,
    load,
    looked_at,
)
from trader import terminal
from trader.commands.common import begin
from trader.core.hours import Rules
from trader.core.types import iso

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Research on hourly bars: walk forward, trade with costs, tune. The bot runs this very code, one hour on. "
    "Exit codes: 0 done, 1 bug, 2 mend an option or file, or a look-ahead was found, 3 try again later, 130 interrupted.",
)


@app.callback()
def _root(context: typer.Context) -> None:
    begin(context.invoked_subcommand)


app.command()(report.report)
app.command()(report.compare)
app.command()(lifecycle.lifecycle)
app.command()(lookahead.lookahead)
app.command()(tune.tune)


@app.command("run")
def run_command(
    bars: BarsFile,
    start: From,
    stop: To,
    params: ParamsFile = None,
    symbol: Symbol = None,
    filters: FiltersFile = None,
    hours_out: Annotated[
        Path | None, typer.Option("--hours-out", "--out", help="write every hour here, as JSON Lines")
    ] = None,
    evidence: EvidenceDir = Path("evidence"),
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Walk forward over stored bars and trade every hour, with costs. A run is one look at its hours, and counted.

    Example: backtest run --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --hours-out hours.jsonl
    """
    from backtest.engine.outcome import note, run_backtest
    from backtest.evidence.ledger import EvidenceLedger, data_hash
    from trader.core.windows import require_span
    from trader.forecasters.xgboost import XGBoostForecaster

    began = time.perf_counter()
    series, chosen, first, last = load(bars, symbol, params, start, stop)
    require_span(series, first, last, str(bars))
    rules = Rules(chosen, filters_of(filters, series, first))
    ledger = EvidenceLedger(evidence, data_hash(series))
    ledger.append([])  # a folder that cannot be written is found before the work
    if hours_out:
        terminal.write_lines(hours_out, iter(()))  # a folder that cannot be written is found before the work
    with terminal.progress("windows", quiet=as_json) as update:
        outcome = run_backtest(
            XGBoostForecaster(),
            series,
            rules,
            first,
            last,
            source=str(bars),
            workers=workers,
            progress=update,
            began=began,
        )
    ledger.append(looked_at(chosen, first, last, outcome.run.equity, "backtest run"))
    if hours_out:
        terminal.write_lines(hours_out, iter(["\n".join(outcome.run.track.texts())]))
    _show(outcome.summary, f"{series.symbol}, {iso(first)} to {iso(last)}", note(outcome.summary), as_json)


@app.command("reproduce-seed")
def reproduce_seed_command(
    bars: BarsFile,
    symbol: Symbol = None,
    more_seeds: Annotated[
        bool, typer.Option("--more-seeds", help="three more seeds of XGBoost; takes four times as long")
    ] = False,
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Repeat the published study this project starts from, on its own terms, and say what its scores are worth.

    Example: backtest reproduce-seed --bars BTCUSDT-1h.parquet --json
    """
    from backtest.seed.reproduce import MORE_SEEDS, SEED, reproduce, rows_of
    from trader.adapters.files import read_bars

    rows = rows_of(read_bars(bars, symbol), str(bars))
    seeds = (SEED, *MORE_SEEDS) if more_seeds else (SEED,)
    with terminal.progress("windows", quiet=as_json) as update:
        report = reproduce(rows, seeds=seeds, workers=workers, progress=update)
    if as_json:
        terminal.emit(report)
    else:
        print(_study_table(report))


def _short(value: str) -> str:
    """A figure of trees that know the answers may have forty digits; the first three say it."""
    number, _, unit = value.partition(" ")
    if len(number) <= 16 or number[:1] not in "+-0123456789" or number[4:5] == "-":
        return value
    return f"{float(number.replace(',', '')):.3g} {unit}".strip()


def _show(summary: dict[str, Any], title: str, note: str, as_json: bool) -> None:
    if as_json:
        terminal.emit(summary)
        return
    seen = {name: _short(value) for name, value in terminal.summary_rows(summary["in_sample"])}
    rows = [(name, value, seen[name]) for name, value in terminal.summary_rows(summary)]
    print(terminal.table(title, rows, ("", "out of sample", "in sample")))
    print(note)
    print(
        f"tick {summary['filters']['tick_size']}, step {summary['filters']['step_size']}, "
        f"least order {summary['filters']['min_notional']} USDT; {summary['seconds']:.1f} s"
    )


def _study_table(report: dict[str, Any]) -> str:
    """The report as a table for a person."""
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
    head = (
        "",
        "published",
        "reproduced",
        "other seeds",
        "changes of mind",
        "net of 0.1 %",
        "reopened hourly",
    )
    correlation = report["correlation"]
    return "\n".join(
        (
            terminal.table("The published study, in sample; returns are additive, in stakes", rows, head),
            f"{report['rows']:,} rows; correlation "
            f"{'-' if correlation is None else format(correlation, '.3f')}; {report['seconds']:.1f} s",
            "published and reproduced know no costs; net pays 0.1 % a side at each change of mind, reopened hourly pays "
            "it as the reference trades",
        )
    )


def main() -> None:
    """The console command."""
    terminal.run(app)


if __name__ == "__main__":
    main()
