"""`backtest`: parse -> bars and parameters -> one function of the study room -> a table, JSON or a file.

A verb's module is imported when the verb is asked for: all of them together take longer than a short verb does.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

import typer

from trader import terminal
from trader.startup import Version, begin, one_value_each

# By name, in the order of the help: `module:name` of a function, or of an app of further verbs.
VERBS = {
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
}
EARLIER_NAMES = ("reproduce-seed",)
# Verbs that fit models of a user's own features or family.
TRAINS = ("run", "tune", "report", "forecast", "choices", "select", "lookahead", "lifecycle", "pipeline")


def _root(context: typer.Context, version: Version = False) -> None:
    begin(context.invoked_subcommand, trains=context.invoked_subcommand in TRAINS)


def app_of(names: Iterable[str] = VERBS) -> typer.Typer:
    """The command line with these verbs, all of them unless told otherwise."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Research on hourly bars: walk forward, trade with costs, tune. The bot runs this very code, one hour on. "
        "Exit codes: 0 done, 1 bug, 2 mend an option or file, or a look-ahead was found, 3 try again later, 130 interrupted.",
    )
    app.callback()(_root)
    for name in names:
        module, _, attribute = VERBS[name].partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name, hidden=name in EARLIER_NAMES)(found)
    one_value_each(app)
    return app


def asked(words: Sequence[str]) -> typer.Typer:
    """The command line for these words: with the verb that they begin with alone, with all where they begin with none."""
    return app_of(words[:1]) if words and words[0] in VERBS else app_of()


def main() -> None:
    """The console command."""
    # Modules and results live to the end: to look through them for garbage again and again costs a twentieth.
    gc.set_threshold(50_000)
    terminal.run(lambda: asked(sys.argv[1:])())


if __name__ == "__main__":
    main()
