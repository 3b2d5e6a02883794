"""What `backtest pipeline` begins before its own imports, and when it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backtest.commands import pipeline_early
from backtest.executors.fork_server import HAS_FORKS
from backtest.pipeline.graph import CODE
from tests.pipeline.kit import Kitchen

WORDS = ("p.toml", "--workers", "2", "--json")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was begun, and is not begun here."""
    found: list[list[str]] = []
    monkeypatch.setattr(pipeline_early, "begin_early", lambda modules: found.append(list(modules)))
    monkeypatch.setattr(pipeline_early, "HAS_FORKS", True)
    return found


def test_workers_of_a_pipeline_that_never_ran_are_begun(
    kitchen: Kitchen, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the stages that they compute and the library of each family."""
    kitchen.write(families=("naive", "xgboost"))
    monkeypatch.chdir(kitchen.folder)
    pipeline_early.begin_workers(WORDS)
    (modules,) = begun
    stages = {it.partition(":")[0] for it in CODE.values()}
    assert {*modules} == {*stages, "trader.forecasters.naive", "trader.forecasters.xgboost", "xgboost"}


def test_nothing_is_begun_where_nothing_changed_since_the_last_run(
    finished: Kitchen, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of the file, or a stage that ended after the last whole run, begins them."""
    monkeypatch.chdir(finished.folder)
    pipeline_early.begin_workers(WORDS)
    assert begun == []
    newest = max(it.stat().st_mtime for it in Path("out/manifests").iterdir())
    for changed in ("p.toml", "out/journal.jsonl"):
        before = Path(changed).stat().st_mtime
        os.utime(changed, (newest + 1, newest + 1))
        pipeline_early.begin_workers(WORDS)
        assert len(begun) == 1, changed
        begun.clear()
        os.utime(changed, (before, before))


@pytest.mark.parametrize(
    "words",
    [
        ("p.toml", "--workers", "1"),
        ("p.toml", "--workers=1"),
        ("p.toml", "--workers"),
        ("p.toml", "--workers", "many"),
        pytest.param(("p.toml", "--workers", "9" * 5000), id="9 often"),
        ("p.toml", "--workers", "2", "--executor", "ray"),
        ("p.toml", "--workers=2", "--stage=publish"),
        ("p.toml", "--export", "snakemake"),
        ("--workers", "2"),
        ("other.toml", "--workers", "2"),
    ],
)
def test_nothing_is_begun_for_what_needs_no_worker(
    words: tuple[str, ...], kitchen: Kitchen, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker, others who compute, another errand, no file: the verb itself says what is wrong with the words."""
    monkeypatch.chdir(kitchen.folder)
    pipeline_early.begin_workers(words)
    assert begun == []


@pytest.mark.parametrize(
    "text", ["", "[pipeline]", "pipeline = 1", "[pipeline]\nout = 3\nfamilies = 4", "\xff", "[pipeline"]
)
def test_a_file_that_is_no_pipeline_is_left_to_the_verb(
    text: str, tmp_path: Path, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is wrong with it."""
    (tmp_path / "p.toml").write_bytes(text.encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    pipeline_early.begin_workers(WORDS)
    assert begun == []


def test_a_pipe_is_not_waited_for(
    tmp_path: Path, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes into it."""
    os.mkfifo(tmp_path / "p.toml")
    monkeypatch.chdir(tmp_path)
    pipeline_early.begin_workers(WORDS)
    assert begun == []


@pytest.mark.skipif(not HAS_FORKS, reason="workers of this system are fresh interpreters")
def test_the_command_begins_its_workers_once_and_leaves_none(kitchen: Kitchen) -> None:
    """The whole program, as a person types it: equal outputs with one worker and with two."""
    hashes = []
    for workers in ("1", "2"):
        words = [sys.executable, "-m", "backtest.cli", "pipeline", "p.toml", "--workers", workers, "--json"]
        done = subprocess.run(words, cwd=kitchen.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        found = kitchen.folder / "out" / "objects"
        hashes.append({it.name for it in found.rglob("*") if it.is_file()})
        (kitchen.folder / "out").rename(kitchen.folder / f"out-{workers}")
    assert hashes[0] == hashes[1]
