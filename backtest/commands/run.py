"""`backtest run`: walk forward over stored bars, trade every hour, count the look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from backtest.commands.computing import Computing, computed
from backtest.commands.counting import ledger_in, of_run
from backtest.commands.inputs import EVIDENCE, AsJson, EvidenceDir, Given, on_hours, writable
from trader import terminal

HoursOut = Annotated[
    Path | None, typer.Option("--hours-out", "--out", help="write every hour here, as JSON Lines")
]


@on_hours
@computed
def run(
    given: Given,
    computing: Computing,
    hours_out: HoursOut = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Walk forward over stored bars and trade every hour, with costs. A run is one look at its hours, and counted.

    Example: backtest run --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --hours-out hours.jsonl
    """
    from backtest.engine.outcome import note, run_backtest
    from trader.forecasters.registry import forecaster_of

    ledger = ledger_in(evidence, given.bars)
    writable(hours_out)
    with computing.opened() as executor, terminal.progress("windows", quiet=as_json) as update:
        outcome = run_backtest(
            forecaster_of(given.rules.params.model.family),
            given.bars,
            given.rules,
            given.start,
            given.stop,
            source=given.source,
            executor=executor,
            progress=update,
            began=given.began,
        )
    ledger.append(of_run(given.rules.params, given.start, given.stop, outcome.run.equity, "backtest run"))
    if hours_out:
        terminal.write_lines(hours_out, iter(["\n".join(outcome.run.track.texts())]))
    if as_json:
        terminal.emit(outcome.summary)
    else:
        _show(outcome.summary, given.title, note(outcome.summary))


def _show(summary: dict[str, Any], title: str, note: str) -> None:
    seen = {name: _short(value) for name, value in terminal.summary_rows(summary["in_sample"])}
    rows = [(name, value, seen[name]) for name, value in terminal.summary_rows(summary)]
    terminal.show(terminal.table(title, rows, ("", "out of sample", "in sample")))
    terminal.show(note)
    terminal.show(
        f"tick {summary['filters']['tick_size']}, step {summary['filters']['step_size']}, "
        f"least order {summary['filters']['min_notional']} USDT; {summary['seconds']:.1f} s"
    )


def _short(value: str) -> str:
    """A figure of a model that knows the answers may have forty digits; the first three say it."""
    number, _, unit = value.partition(" ")
    if len(number) <= 16 or number[:1] not in "+-0123456789" or number[4:5] == "-":
        return value
    return f"{float(number.replace(',', '')):.3g} {unit}".strip()
