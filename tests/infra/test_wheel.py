"""The wheel that is built from the checkout, in an environment of its own, in a folder that holds nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.rig import Venue, quick_params, venue
from tests.support.rig_bars import made_bars
from trader.core.types import HOUR_MS, parse_hour

ROOT = Path(__file__).resolve().parents[2]
START = parse_hour("2021-03-05")


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel in it, and the wheel."""

    wheel: Path
    bin: Path

    def start(self, *words: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
        """One of its commands."""
        return subprocess.Popen(
            [self.bin / words[0], *words[1:]],
            cwd=cwd,
            env={"PATH": os.defpath, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, cwd: Path, **environment: str) -> str:
        """What one of its commands prints; it must succeed."""
        process = self.start(*words, cwd=cwd, **environment)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, out + err
        return out

    @property
    def package(self) -> Path:
        """Where `trader` lies."""
        (found,) = self.bin.parent.glob("lib/python3*/site-packages/trader")
        return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this checkout, installed beside the dependencies that the tests have."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    fresh = folder / "fresh"
    venv.create(fresh)
    python = fresh / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*pip, "--no-compile", str(wheel)], check=True, capture_output=True)
    (site,) = fresh.glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(wheel, fresh / "bin")


def test_the_wheel_holds_every_file_of_both_packages(installed: Installed) -> None:
    """Templates, styles, the published study and the schedule too; nothing of tests."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for package in ("trader", "backtest")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == there | {"trader/cron-job"}


def test_it_runs_the_bot_in_a_folder_without_a_schedule(installed: Installed, tmp_path: Path) -> None:
    """`trader run` follows the schedule that ships, says so, and closes the hour."""
    bot, elsewhere = tmp_path / "bot", tmp_path / "elsewhere"
    bot.mkdir()
    elsewhere.mkdir()
    (elsewhere / "P.json").write_text(json.dumps(quick_params()))
    with venue(elsewhere, made_bars(elsewhere, "2020-12-01", "2021-03-20"), START - HOUR_MS) as at:
        begun = Venue(at.url, bot)  # what prepares and looks is the checkout's, which starts faster
        begun.trader("retrain", "--params", str(elsewhere / "P.json"))
        at.move_to(START)
        running = installed.start("trader", "run", cwd=bot, **begun.environment)
        assert running.stderr is not None
        said = [running.stderr.readline()]
        while not said[-1].startswith("BTCUSDT 2021-03-05T00:00:00Z"):
            said.append(running.stderr.readline())
            assert said[-1], "".join(said)
        running.send_signal(signal.SIGTERM)
        rest = running.communicate(timeout=200)[1]
        assert running.returncode == 0, (said, rest)
        hours = begun.journal()
    assert said[0] == f"the schedule is {installed.package / 'cron-job'}, after a first tick now\n"
    assert len(hours) == 1


@pytest.mark.long
def test_its_demo_is_the_demo(installed: Installed, tmp_path: Path) -> None:
    """`trader demo` prints the README's table and leaves its page."""
    table = installed.run("trader", "demo", cwd=tmp_path)
    assert table.strip() in (ROOT / "README.md").read_text()
    assert (tmp_path / "demo-run" / "page" / "index.html").exists()
