"""The schedule file, looked through as a whole before anything is started: a line that would fail at night is found by day."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from trader import terminal
from trader.app.run import CronJob, parse_cron_jobs
from trader.core.errors import ConfigError


def jobs_of(cron_job: Path, context: typer.Context) -> list[CronJob]:
    """The jobs of a file: times that come, verbs and options that `trader` has. Raises ConfigError that names file and line."""
    from trader.adapters.scheduler import crontab

    jobs = parse_cron_jobs(terminal.read_text(cron_job, "schedule"), str(cron_job))
    for job in jobs:
        try:
            crontab(job.when)
            _require_known(job.arguments, context)
        except ConfigError as error:
            raise ConfigError(f"{cron_job}, line {job.line}: {error}") from None
    return jobs


def _require_known(arguments: tuple[str, ...], context: typer.Context) -> None:
    """Parse a command line of `trader` as it would be parsed, and run nothing. Raises ConfigError."""
    parent, rest = context.find_root(), list(arguments)
    command = parent.command
    try:
        while isinstance(command, TyperGroup):
            _, found, rest = command.resolve_command(parent, rest)
            if found is None or (not rest and isinstance(found, TyperGroup)):
                raise ConfigError(f"trader {' '.join(arguments)}: names no command; see its --help")
            command = found
        command.make_context("trader", rest, parent=parent)
    except TyperException as error:
        raise ConfigError(f"trader {' '.join(arguments)}: {error}") from None
