"""`backtest`: parse -> bars and parameters -> one function of the study room -> a table, JSON or a file."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import typer

from trader import terminal
from trader.startup import Program

PROGRAM = Program(
    help="Research on hourly bars: walk forward, trade with costs, tune. The bot runs this very code, one hour on. "
    "Exit codes: 0 done, 1 bug, 2 mend an option or file, or a look-ahead was found, 3 try again later, 130 interrupted.",
    verbs={
        "report": "backtest.commands.report:report",
        "compare": "backtest.commands.compare:compare",
        "forecast": "backtest.commands.forecast:forecast",
        "choices": "backtest.commands.choices:choices",
        "select": "backtest.commands.select:select",
        "predict": "backtest.commands.predict:predict",
        "lifecycle": "backtest.commands.lifecycle:lifecycle",
        "lookahead": "backtest.commands.lookahead:lookahead",
        "params": "backtest.commands.params:params",
        "model-check": "backtest.commands.model_check:model_check",
        "time-inference": "backtest.commands.time_inference:time_inference",
        "tune": "backtest.commands.tune:tune",
        "run": "backtest.commands.run:run",
        "pipeline": "backtest.commands.pipeline:pipeline",
        "status": "backtest.commands.pipeline:status",
        "reproduce-reference": "backtest.commands.reference:reproduce_reference",
        "gc": "backtest.commands.gc:gc",
        "reproduce-seed": "backtest.commands.reference:reproduce_reference",
        "study": "backtest.commands.study:study",
    },
    trains=("run", "tune", "report", "forecast", "choices", "select", "lookahead", "lifecycle", "pipeline"),
    earlier_names=("reproduce-seed",),
    early={"pipeline": "backtest.commands.pipeline_early:begin_workers"},
)


def asked(words: Sequence[str]) -> typer.Typer:
    """The command line for these words."""
    return PROGRAM.asked(words)


def main() -> None:
    """The console command."""
    # Modules and results live to the end: to look through them for garbage again and again costs a twentieth.
    gc.set_threshold(50_000)
    terminal.run(lambda: asked(sys.argv[1:])())


if __name__ == "__main__":
    main()
