"""Which schedule `trader run` follows: a file in crontab syntax, looked through as a whole before anything is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from trader import terminal
from trader.core.errors import ConfigError

if TYPE_CHECKING:
    from trader.app.run import CronJob

NAME = "cron-job"
CronJobFile = Annotated[
    Path | None,
    typer.Option(
        help=f"schedule in crontab syntax, UTC; default: {NAME} in this folder, else the one that is installed"
    ),
]


def schedule_of(given: Path | None, context: typer.Context) -> tuple[list[CronJob], str]:
    """The jobs of the file that was given, else of the one in this folder, else of the one that ships; and its path.

    Every line is looked through: times that come, verbs and options that `trader` has. Raises ConfigError that names the file
    and the line.
    """
    from trader.adapters.scheduler import crontab
    from trader.app.run import parse_cron_jobs

    path = given or (Path(NAME) if os.path.lexists(NAME) else shipped())
    jobs = parse_cron_jobs(terminal.read_text(path, "schedule"), str(path))
    for job in jobs:
        try:
            crontab(job.when)
            _require_known(job.arguments, context)
        except ConfigError as error:
            raise ConfigError(f"{path}, line {job.line}: {error}") from None
    return jobs, str(path)


def shipped() -> Path:
    """The schedule that ships: within the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / NAME
    return inside if inside.exists() else package.parent / NAME


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
