"""`backtest`: parse -> bars and parameters -> one function of the study room -> a table, JSON or a file."""

from __future__ import annotations

import gc

import typer

from backtest.commands.choices import choices
from backtest.commands.compare import compare
from backtest.commands.forecast import forecast
from backtest.commands.gc import gc as collect_garbage
from backtest.commands.lifecycle import lifecycle
from backtest.commands.lookahead import lookahead
from backtest.commands.model_check import model_check
from backtest.commands.params import params
from backtest.commands.pipeline import pipeline, status
from backtest.commands.predict import predict
from backtest.commands.reference import reproduce_reference
from backtest.commands.report import report
from backtest.commands.run import run
from backtest.commands.select import select
from backtest.commands.study import study
from backtest.commands.time_inference import time_inference
from backtest.commands.tune import tune
from trader import terminal
from trader.startup import Version, begin, one_value_each

# Verbs that fit models of a user's own features or family.
TRAINS = ("run", "tune", "report", "forecast", "choices", "select", "lookahead", "lifecycle", "pipeline")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Research on hourly bars: walk forward, trade with costs, tune. The bot runs this very code, one hour on. "
    "Exit codes: 0 done, 1 bug, 2 mend an option or file, or a look-ahead was found, 3 try again later, 130 interrupted.",
)


@app.callback()
def _root(context: typer.Context, version: Version = False) -> None:
    begin(context.invoked_subcommand, trains=context.invoked_subcommand in TRAINS)


for verb in (
    report,
    compare,
    forecast,
    choices,
    select,
    predict,
    lifecycle,
    lookahead,
    params,
    model_check,
    time_inference,
    tune,
    run,
    pipeline,
    status,
    reproduce_reference,
):
    app.command()(verb)
app.command("gc")(collect_garbage)
app.command("reproduce-seed", hidden=True)(reproduce_reference)  # its name in earlier versions
app.add_typer(study, name="study")
one_value_each(app)


def main() -> None:
    """The console command."""
    # Modules and results live to the end: to look through them for garbage again and again costs a twentieth.
    gc.set_threshold(50_000)
    terminal.run(app)


if __name__ == "__main__":
    main()
