"""What the demo tells its reader to type next."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from trader.commands.demo import next_commands


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executable of the name `trader` that runs now, and no other of that name on the path."""
    path = tmp_path / "a b" / "trader"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    return path


def typed(store: str = "demo-run/store") -> list[list[str]]:
    """The words of every command, as a shell splits them."""
    return [shlex.split(line[30:]) for line in next_commands(store, [{"at": "2023-12-18T12:00:00Z"}])]


def test_a_path_is_told_where_the_shell_would_not_find_the_name(program: Path) -> None:
    """Spaces in program and store are quoted."""
    status, _, explain = typed("demo run/store")
    assert status == [str(program), "status", "--store", "demo run/store"]
    assert explain == [str(program), "explain", "2023-12-18T12:00:00Z", "--store", "demo run/store"]


def test_the_bare_name_is_told_where_it_means_this_program(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another program of that name, first on the path, is not meant."""
    monkeypatch.setenv("PATH", str(program.parent))
    assert typed()[0][0] == "trader"
    other = tmp_path / "trader"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{program.parent}")
    assert typed()[0][0] == str(program)


def test_a_module_is_told_with_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m trader.cli demo` goes on as it began."""
    monkeypatch.setattr(sys, "argv", ["/anywhere/trader/cli.py", "demo"])
    assert typed()[1][:4] == [sys.executable, "-m", "trader.cli", "journal"]
