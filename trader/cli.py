"""`trader`: parse -> settings -> build adapters -> one verb -> exit code. Every verb is listed here."""

from __future__ import annotations

import typer

from trader import terminal
from trader.commands import (
    account,
    bars,
    bot,
    check,
    config,
    dashboard,
    demo,
    doctor,
    export,
    forecast,
    health,
    hours,
    models,
    serve,
    store,
    tracker,
    venue,
)
from trader.startup import Version, begin, one_value_each

# Verbs that fit models in this process; `trader run` trains in a process of its own.
TRAINS = ("retrain", "replay", "demo", "check")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An hourly trading bot. Exit codes: 0 done, 1 bug, or a model that failed its certificate, 2 mend a setting or file, "
    "3 try again later, 4 halted, 130 interrupted.",
)


@app.callback()
def _root(context: typer.Context, version: Version = False) -> None:
    begin(context.invoked_subcommand, trains=context.invoked_subcommand in TRAINS)


VERBS = (
    venue.exchange,
    bars.collect,
    bot.retrain,
    check.check,
    bot.tick,
    bot.run,
    bot.halt,
    bot.resume,
    account.adopt,
    account.ignore,
    account.close_attempt,
    account.flatten,
    account.epoch,
    account.release,
    hours.replay,
    hours.journal,
    hours.status,
    health.health,
    dashboard.dashboard,
    forecast.forecast,
    serve.serve,
    export.export,
    models.explain,
    doctor.doctor,
    config.config,
    demo.demo,
    tracker.observe,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(models.models, name="models")
app.add_typer(store.app, name="store")
app.add_typer(tracker.app, name="tracker")
one_value_each(app)


def main() -> None:
    """The console command."""
    terminal.run(app)


if __name__ == "__main__":
    main()
