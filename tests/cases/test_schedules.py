"""A schedule is read as every other cron reads it, and one that a person edited badly is refused by file and line, by day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from trader.adapters.scheduler import crontab
from trader.app.run import CronJob, parse_cron_jobs
from trader.cli import asked
from trader.commands.schedule import schedule_of
from trader.core.errors import ConfigError

# A Thursday.
NOW = datetime(2026, 11, 26, tzinfo=UTC)
SUN, MON, FRI, SAT = "2026-11-29", "2026-11-30", "2026-11-27", "2026-11-28"


@pytest.mark.parametrize(
    ("weekday", "next_day"),
    [
        ("0", SUN),
        ("7", SUN),
        ("1", MON),
        ("5", FRI),
        ("6", SAT),
        ("1-3", MON),
        ("5-7", FRI),
        ("6-1", SAT),
        ("*/6", SAT),
        ("1-5/2", FRI),
        ("sun", SUN),
        ("Mon", MON),
        ("fri-sun", FRI),
        ("0,1", SUN),
    ],
)
def test_days_of_the_week_are_crons(weekday: str, next_day: str) -> None:
    """0 and 7 are Sunday, 1 is Monday; names, ranges, steps and lists of them mean the same days."""
    found = crontab(f"15 3 * * {weekday}").get_next_fire_time(None, NOW)
    assert f"{found:%Y-%m-%d %H:%M}" == f"{next_day} 03:15"


def fires(when: str, count: int) -> list[str]:
    """The next days on which a crontab comes."""
    trigger, at, found = crontab(when), NOW, []
    previous = None
    for _ in range(count):
        previous = at = trigger.get_next_fire_time(previous, at)
        found.append(f"{at:%m-%d}")
    return found


def test_a_day_of_the_month_or_of_the_week_suffices() -> None:
    """Where both are named cron runs on either; where one is `*`, or begins with it, on the other alone."""
    assert fires("0 0 1 * 1", 3) == ["11-30", "12-01", "12-07"]
    assert fires("0 0 1 * *", 2) == ["12-01", "01-01"]
    assert fires("0 0 */2 * 1", 2) == ["12-07", "12-21"]  # odd days that are Mondays


@pytest.mark.parametrize(
    "when", ["* * * * 8", "* * * * 1-9", "* * * * */0", "* * * * monday-", "* * * *", "60 * * * *"]
)
def test_what_no_cron_reads_is_refused(when: str) -> None:
    """A number beyond the field, a step of nothing, half a range."""
    with pytest.raises(ConfigError, match="is not a crontab expression"):
        crontab(when)


def test_a_day_that_never_comes_is_refused() -> None:
    """A retrain on 31 February would be waited for in vain."""
    with pytest.raises(ConfigError, match="'0 0 31 2 \\*' never comes"):
        crontab("0 0 31 2 *")


def test_what_a_hosts_own_cron_reads_too() -> None:
    """The program by its path, nicknames, cron's own settings, comments behind a command."""
    text = (
        "MAILTO=ops@example.org\nPATH = /usr/local/bin\nCRON_TZ=UTC\n\n"
        "0,1,3,10 * * * *  trader tick  # each hour\n@weekly /usr/local/bin/trader retrain --if-due\n"
    )
    assert parse_cron_jobs(text, "cron-job") == [
        CronJob("0,1,3,10 * * * *", ("tick",)),
        CronJob("0 0 * * 0", ("retrain", "--if-due")),
    ]


TICK = "0,1,3,10 * * * *  trader tick\n"
EDITED = {
    TICK + "15 9 * * * trader halt --reason it's": "line 2: no closing quotation; .*double quotes",
    "0,1 * * * *  trader tick >> bot.log 2>&1": "line 1: '>>' is the shell's, and no shell runs this",
    TICK + "0 0 * * * trader retrain && trader status": "line 2: '&&' is the shell's",
    "0,1 * * * *  trader tick --store x": "line 1: ticks have the options of trader run; .*trader run --store x",
    "# only this\n5 * * * * trader retrain": "no line runs 'trader tick'; nothing would be traded. Add",
    TICK + "60 * * * * trader retrain": r"line 2: '60 \* \* \* \*' is not a crontab expression",
    TICK + "5 * * * * trader retrian": "line 2: trader retrian: No such command 'retrian'",
    TICK + "5 * * * * trader retrain --if-do": "line 2: trader retrain --if-do: No such option: --if-do",
    TICK + "5 * * * * trader store": "line 2: trader store: ",
    TICK + "CRON_TZ=Europe/Berlin": "line 2: times of this file are UTC, not Europe/Berlin",
    TICK + "TRADER_STORE=x": "line 2: TRADER_STORE is not read from a schedule",
    TICK + "@reboot trader retrain": "line 2: write five crontab fields and a trader command",
    TICK + "0 * * * trader retrain": "line 2: write five crontab fields",
}


def root() -> typer.Context:
    """What `trader run` is called within."""
    return typer.Context(typer.main.get_command(asked(())), info_name="trader")


@pytest.mark.parametrize("text", EDITED)
def test_a_line_that_cannot_be_meant_is_refused_by_number(text: str, tmp_path: Path) -> None:
    """Before anything is started: a job that fails at night is found by day."""
    path = tmp_path / "cron-job"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"cron-job[,:] {EDITED[text]}"):
        schedule_of(path, root())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_schedule_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    """With a mark it is read; Latin-1 is refused by file and line, and not with a traceback."""
    path = tmp_path / "cron-job"
    path.write_bytes(f"\n# Zeitplan f\u00fcr den Bot\n{TICK}".encode(encoding))
    if encoding == "latin-1":
        with pytest.raises(
            ConfigError, match="cron-job, line 2: byte 0xfc is not UTF-8; save the file as UTF-8"
        ):
            schedule_of(path, root())
    else:
        assert [job.is_tick for job in schedule_of(path, root())[0]] == [True]


def test_the_schedule_that_ships_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without one of its own."""
    monkeypatch.chdir(tmp_path)
    assert len(schedule_of(None, root())[0]) == 2
