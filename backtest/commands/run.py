"""`backtest run`: walk forward over stored bars, trade every hour, count the look."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest.commands.book import or_book, run_of_book
from backtest.commands.computing import Computing, computed
from backtest.commands.inputs import Given, on_hours, writable
from backtest.commands.options import EVIDENCE, AsJson, EvidenceDir
from backtest.commands.run_screen import show_run
from backtest.evidence.looks import ledger_in, of_run
from trader import terminal

if TYPE_CHECKING:
    from backtest.engine.simulate import Run
    from trader.core.hours import Rules

HoursOut = Annotated[
    Path | None,
    typer.Option("--hours-out", "--out", help="write every hour here, as JSON Lines; with --book a folder"),
]

TradesOut = Annotated[
    Path | None, typer.Option("--trades-out", help="write every trade here, as CSV; the last one may be open")
]


@or_book(run_of_book, "trades_out")
@on_hours
@computed
def run(
    given: Given,
    computing: Computing,
    hours_out: HoursOut = None,
    trades_out: TradesOut = None,
    evidence: EvidenceDir = EVIDENCE,
    as_json: AsJson = False,
) -> None:
    """Walk forward over stored bars and trade every hour, with costs. Each run is counted as one look at its hours.

    Example: backtest run --bars BTCUSDT-1h.parquet --from 2022-01-01 --to 2022-03-01 --hours-out hours.jsonl
    """
    from backtest.engine.outcome import note, run_backtest
    from trader.forecasters.registry import forecaster_of

    ledger = ledger_in(evidence, given.bars)
    writable(hours_out)
    writable(trades_out)
    with computing.opened() as executor, terminal.progress("windows", quiet=as_json) as update:
        outcome = run_backtest(
            forecaster_of(given.rules.params.model.family),
            given.bars,
            given.rules,
            given.start,
            given.stop,
            source=given.source,
            others=given.others,
            executor=executor,
            progress=update,
            began=given.began,
        )
    ledger.append(of_run(given.rules.params, given.start, given.stop, outcome.run.equity, "backtest run"))
    if hours_out:
        terminal.write_lines(hours_out, iter(["\n".join(outcome.run.track.texts())]))
    if trades_out:
        write_trades(trades_out, outcome.run, given.bars.symbol, given.rules)
    if as_json:
        terminal.emit(outcome.summary)
    else:
        show_run(outcome.summary, given.title, note(outcome.summary))


def write_trades(path: Path, run: Run, symbol: str, rules: Rules) -> None:
    """A CSV of a run's trades: TRADE_KEYS after the symbol, empty where an open trade has nothing. Raises ConfigError."""
    from trader.core.text import write_csv_rows
    from trader.core.trades import TRADE_KEYS, trades_of

    trades = trades_of(run.track.fills(), rules.filters.min_notional)
    text = io.StringIO()
    write_csv_rows(text, [("symbol", *TRADE_KEYS)])
    write_csv_rows(text, ([symbol, *trade.as_json().values()] for trade in trades))
    terminal.write_lines(path, iter(text.getvalue().splitlines()))
