"""The installed commands start; what tests put in their place on a shell's path differs from them in nothing but its speed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import INSTALLED
from tests.support.forked_programs import programs

PATIENCE_S = 120


@pytest.fixture
def forked() -> Path:
    """Both programs, for a shell's path; each call is forked and imports nothing anew."""
    return programs()


def said(place: Path, words: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a line that a shell runs, with these programs on its path."""
    surroundings = {"PATH": f"{place}{os.pathsep}{os.defpath}", "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(
        ["sh", "-c", words],
        cwd=cwd,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("trader journal --store nowhere", 0),
        ("TRADER_TIMEOUT_S=x backtest params", 2),
    ],
)
def test_the_installed_scripts_and_the_forked_ones_say_the_same(
    words: str, code: int, forked: Path, tmp_path: Path
) -> None:
    """Exit code, both streams, the folder that they work in and the environment: of both, for results and for errors."""
    installed = said(INSTALLED, words, tmp_path)
    assert installed[0] == code, installed
    assert said(forked, words, tmp_path) == installed


def exchange(place: Path, cwd: Path) -> subprocess.Popen[str]:
    """`trader exchange`, once it is ready, its standard output a pipe."""
    begun = subprocess.Popen(
        [place / "trader", "exchange", "--synthetic", "7", "--port", "0"],
        cwd=cwd,
        env={"PATH": os.defpath},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert begun.stdout
    assert "http://" in begun.stdout.readline()
    return begun


def test_a_signal_ends_a_forked_command_as_it_ends_any(forked: Path, tmp_path: Path) -> None:
    """It goes on to the command, whose exit code comes back: that of an installed one, whichever signal asks it to stop."""
    codes = []
    for place, number in ((INSTALLED, signal.SIGTERM), (forked, signal.SIGTERM), (forked, signal.SIGINT)):
        with exchange(place, tmp_path) as running:
            running.send_signal(number)
            codes.append(running.wait(PATIENCE_S))
    assert len(set(codes)) == 1, codes


def test_a_forked_command_dies_with_its_client(forked: Path, tmp_path: Path) -> None:
    """Whoever kills the program on the path leaves nothing behind: its end of the pipe is closed."""
    with exchange(forked, tmp_path) as running:
        running.kill()
        assert running.stdout
        assert running.stdout.read() == ""
