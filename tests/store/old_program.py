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

from tests.rig_bars import made_bars

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
