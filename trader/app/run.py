"""What a long-lived process does with a schedule: ticks in this process, everything else beside it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from trader.core.errors import ConfigError

CRON_FIELDS = 5
EXAMPLE = "'0,1,3,10 * * * *  trader tick'"
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# Lines that set what only a host's own cron needs.
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")
_OF_CRON = ("MAILTO", "MAILFROM", "SHELL", "PATH", "HOME", "LOGNAME")
_ZONES = ("CRON_TZ", "TZ")
_SHELL = re.compile(r"[();<>|&]+")


@dataclass(frozen=True, slots=True)
class CronJob:
    """One line of a cron-job file: a crontab expression (UTC) and the arguments of `trader`. line: its number, from 1."""

    when: str
    arguments: tuple[str, ...]
    line: int = field(default=0, compare=False)

    @property
    def is_tick(self) -> bool:
        """True for the job that must never be late: it runs in this process, warm."""
        return self.arguments == ("tick",)


def parse_cron_jobs(text: str, source: str) -> list[CronJob]:
    """The jobs of a cron-job file. Raises ConfigError that names the line; `#` begins a comment line."""
    jobs = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = _words(line, f"{source}, line {number}")
        if words:
            jobs.append(_job(words, line, f"{source}, line {number}", number))
    if not any(job.is_tick for job in jobs):
        raise ConfigError(f"{source}: no line runs 'trader tick'; nothing would be traded. Add {EXAMPLE}")
    return jobs


def _words(line: str, where: str) -> list[str]:
    """The words of a line, none for a comment or a setting of cron's own. Raises ConfigError for what no shell could split."""
    assigned = _ASSIGNMENT.fullmatch(line.strip())
    if assigned:
        _require_harmless(assigned[1], assigned[2].strip("\"' "), where)
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        return list(lexer)
    except ValueError as error:
        raise ConfigError(
            f"{where}: {str(error).lower()}; put a text with an apostrophe in double quotes: {line.strip()!r}"
        ) from None


def _require_harmless(name: str, value: str, where: str) -> None:
    if name in _OF_CRON or (name in _ZONES and value.upper() in ("UTC", "ETC/UTC", "GMT")):
        return
    if name in _ZONES:
        raise ConfigError(
            f"{where}: times of this file are UTC, not {value}; rewrite the hours and leave {name} out"
        )
    raise ConfigError(
        f"{where}: {name} is not read from a schedule; set it in the environment or in trader.toml"
    )


def _job(words: list[str], line: str, where: str, number: int) -> CronJob:
    nickname = NICKNAMES.get(words[0].lower())
    when = nickname or " ".join(words[:CRON_FIELDS])
    command = words[1:] if nickname else words[CRON_FIELDS:]
    if (
        len(when.split()) < CRON_FIELDS
        or not command
        or command[0].rpartition("/")[2] != "trader"
        or len(command) < 2
    ):
        raise ConfigError(
            f"{where}: write five crontab fields and a trader command, such as {EXAMPLE}, not {line.strip()!r}"
        )
    operator = next((word for word in command if _SHELL.fullmatch(word)), None)
    if operator is not None:
        raise ConfigError(
            f"{where}: {operator!r} is the shell's, and no shell runs this; leave it out, and redirect what trader run prints"
        )
    if command[1] == "tick" and len(command) > 2:
        raise ConfigError(
            f"{where}: ticks have the options of trader run; write only 'trader tick' here, and: trader run "
            f"{shlex.join(command[2:])}"
        )
    return CronJob(when, tuple(command[1:]), number)
