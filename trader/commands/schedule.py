"""Which schedule `trader run` follows: a file in crontab syntax."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import terminal

if TYPE_CHECKING:
    from trader.app.run import CronJob

NAME = "cron-job"
CronJobFile = Annotated[
    Path | None,
    typer.Option(
        help=f"the schedule, crontab syntax, UTC; default: {NAME} in this folder, else the one that ships"
    ),
]


def schedule_of(given: Path | None) -> tuple[list[CronJob], str]:
    """The jobs of the file that was given, else of the one in this folder, else of the one that ships; and its path.

    Raises ConfigError that names the file and the line.
    """
    from trader.app.run import parse_cron_jobs

    path = given or (Path(NAME) if os.path.lexists(NAME) else shipped())
    return parse_cron_jobs(terminal.read_text(path, "schedule").decode(), str(path)), str(path)


def shipped() -> Path:
    """The schedule that ships: within the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / NAME
    return inside if inside.exists() else package.parent / NAME
