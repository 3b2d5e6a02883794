"""`trader`: parse -> settings -> build adapters -> one verb -> exit code. Every verb is listed here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from trader import terminal
from trader.startup import Program

PROGRAM = Program(
    help="An hourly trading bot. Exit codes: 0 done, 1 bug, or a model that failed its certificate, 2 mend a setting or file, "
    "3 try again later, 4 halted, 130 interrupted.",
    verbs={
        "exchange": "trader.commands.venue:exchange",
        "collect": "trader.commands.bars:collect",
        "retrain": "trader.commands.bot:retrain",
        "check": "trader.commands.check:check",
        "tick": "trader.commands.bot:tick",
        "run": "trader.commands.bot:run",
        "halt": "trader.commands.bot:halt",
        "resume": "trader.commands.bot:resume",
        "adopt": "trader.commands.account:adopt",
        "ignore": "trader.commands.account:ignore",
        "close-attempt": "trader.commands.account:close_attempt",
        "flatten": "trader.commands.account:flatten",
        "epoch": "trader.commands.account:epoch",
        "release": "trader.commands.account:release",
        "replay": "trader.commands.hours:replay",
        "journal": "trader.commands.hours:journal",
        "status": "trader.commands.hours:status",
        "health": "trader.commands.health:health",
        "dashboard": "trader.commands.dashboard:dashboard",
        "forecast": "trader.commands.forecast:forecast",
        "serve": "trader.commands.serve:serve",
        "export": "trader.commands.export:export",
        "explain": "trader.commands.models:explain",
        "doctor": "trader.commands.doctor:doctor",
        "config": "trader.commands.config:config",
        "demo": "trader.commands.demo:demo",
        "observe": "trader.commands.tracker:observe",
        "models": "trader.commands.models:models",
        "store": "trader.commands.store:app",
        "tracker": "trader.commands.tracker:app",
    },
    # `trader run` trains in a process of its own.
    trains=("retrain", "replay", "demo", "check"),
    reads_schedule=("run", "doctor"),
)


def asked(words: Sequence[str]) -> typer.Typer:
    """The command line for these words."""
    return PROGRAM.asked(words)


def main() -> None:
    """The console command."""
    terminal.run(lambda: asked(sys.argv[1:])())


if __name__ == "__main__":
    main()
