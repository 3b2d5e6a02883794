"""The program of version 0.1.0, which kept one symbol's events beneath `state/` and its models as `model.ubj`.

It lies in fixtures/program-0.1.0.zip as its sources were, and runs on this interpreter with this project's dependencies,
in processes of its own. The store that it made lies in fixtures/store-0.1.0.tar.gz.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.rig_bars import made_bars

FIXTURES = Path(__file__).parent / "fixtures"
PROGRAM = FIXTURES / "program-0.1.0.zip"
STORE = FIXTURES / "store-0.1.0.tar.gz"


def unpacked(folder: Path) -> Path:
    """The old program's sources in a folder."""
    shutil.unpack_archive(PROGRAM, folder)
    return folder


def old_environment(program: Path, **more: str) -> dict[str, str]:
    """The environment in which `trader` is the old program."""
    return {"PATH": os.defpath, "PYTHONPATH": str(program), "TRADER_TRACKERS": "none", **more}


def old_trader(
    program: Path, *arguments: str, cwd: Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one verb of the old program in a folder, which holds no other `trader`."""
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", *arguments],
        cwd=cwd,
        env=old_environment(program, **environment),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def old_bars(folder: Path) -> Path:
    """The market that the old store was made on."""
    return made_bars(folder, "2019-11-01", "2021-03-20")


def old_store(folder: Path) -> Path:
    """The old store's files: `state` (the store), `venue.jsonl` (what the exchange remembers), `P.json`."""
    shutil.unpack_archive(STORE, folder, filter="data")
    return folder / "state"


# What the old program does in hours to come, in one process: each is ticked once, as the schedule would, and its line is told.
TICKS = """
import sys
from contextlib import suppress
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.tick import tick
from trader.config import load_settings
from trader.core.errors import Retry
from trader.core.hours import line_text
first, hours = map(int, sys.argv[1:])
settings = load_settings()
with wiring.open_bot(settings, SimClock(settings.exchange_url)) as bot:
    for i in range(hours):
        bot.clock.move_to(first + i * 3_600_000)
        with suppress(Retry):
            tick(bot)
    for record in bot.journal.records(first):
        print(line_text(record["line"]))
"""


def old_lines(program: Path, folder: Path, url: str, first: int, hours: int) -> list[str]:
    """The old program's lines of hours from `first` on (UTC ms), traded at an exchange in a folder's store."""
    done = subprocess.run(
        [sys.executable, "-c", TICKS, str(first), str(hours)],
        cwd=folder,
        env=old_environment(program, **at_venue(url)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def at_venue(url: str) -> dict[str, str]:
    """Where either program finds an embedded exchange."""
    return {"TRADER_VENUE": "embedded", "TRADER_VENUE_URL": url, "TRADER_DATA_URL": url}
