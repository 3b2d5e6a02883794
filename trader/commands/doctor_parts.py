"""What `trader doctor` shows and looks at on this machine, of one symbol and of a book."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from trader import terminal
from trader.config import Settings
from trader.core.errors import ConfigError

if TYPE_CHECKING:
    from trader.app.bot import Bot
    from trader.app.doctor import Finding

MARKS = {"pass": "ok  ", "warn": "warn", "fail": "FAIL"}


def clock_finding(bot: Bot) -> Finding:
    """The embedded exchange's own clock is what a schedule follows there; elsewhere it is this machine's."""
    from trader.adapters.clocks import ExchangeClock
    from trader.app.doctor import clock_check

    if not isinstance(bot.clock, ExchangeClock) or bot.clock.speed is None:
        return clock_check(bot.exchange, bot.clock)
    whose = f"the embedded exchange's clock ({bot.clock.words})"
    return clock_check(bot.exchange, bot.clock, whose, bot.clock.rate)


def show_finding(finding: Finding) -> None:
    """Within 80 columns; what to do on lines of its own."""
    head = f"{MARKS[finding.verdict]}  {finding.check:<9} "
    terminal.show(terminal.paragraph(head + finding.said, len(head)))
    if finding.todo:
        terminal.show(terminal.paragraph(f"{'':<{len(head)}}→ {finding.todo}", len(head) + 2))


def report(findings: Iterable[Finding], as_json: bool) -> None:
    """Show every finding as it is found, for a machine all at the end. Exit 2 where one failed."""
    from trader.app.doctor import failing

    told: list[Finding] = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            show_finding(finding)
    if as_json:
        terminal.emit([asdict(finding) for finding in told])
    if failing(told):
        raise SystemExit(ConfigError.exit_code)


def disk_finding(settings: Settings) -> Finding:
    """Room at the store, where that is a folder."""
    from trader.app.doctor import Finding, disk_check

    if settings.bucket is not None:
        return Finding("disk", "pass", f"the store is {settings.store}")
    there = Path(settings.store).absolute()
    while not there.exists():
        there = there.parent
    return disk_check(shutil.disk_usage(there).free, str(there))


def how_to_start(settings: Settings) -> str:
    """What a person does where no exchange answers."""
    if settings.venue == "embedded":
        return "start it with: trader exchange (see its --help)"
    return "look at this machine's network, and at the exchange's own status page"
