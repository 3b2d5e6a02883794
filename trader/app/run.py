"""What a long-lived process does with a schedule: ticks in this process, everything else beside it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from trader.core.errors import ConfigError

CRON_FIELDS = 5


@dataclass(frozen=True, slots=True)
class CronJob:
    """One line of a cron-job file: a crontab expression (UTC) and the arguments of `trader`."""

    when: str
    arguments: tuple[str, ...]

    @property
    def is_tick(self) -> bool:
        """True for the job that must never be late: it runs in this process, warm."""
        return self.arguments == ("tick",)


def parse_cron_jobs(text: str, source: str) -> list[CronJob]:
    """The jobs of a cron-job file. Raises ConfigError that names the line; `#` begins a comment line."""
    jobs = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        when, command = words[:CRON_FIELDS], words[CRON_FIELDS:]
        if len(when) < CRON_FIELDS or command[:1] != ["trader"] or len(command) < 2:
            raise ConfigError(
                f"{source}, line {number}: write five crontab fields and a trader command, such as "
                f"'0,1,3,10 * * * *  trader tick', not {line.strip()!r}"
            )
        jobs.append(CronJob(" ".join(when), tuple(command[1:])))
    if not any(job.is_tick for job in jobs):
        raise ConfigError(f"{source}: no line runs 'trader tick'; nothing would be traded")
    return jobs
