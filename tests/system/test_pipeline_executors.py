"""Stages of a pipeline that a real Ray and a real Slurm compute: the outputs are those of one machine, to the bytes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest.executors import local
from tests.pipeline.kit import Kitchen
from tests.system.slurm_served import Served, slurm

pytestmark = pytest.mark.timeout(900)  # a Ray that starts beside other work takes a minute


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A Slurm; its folder's path is short, for the socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with slurm(folder) as up, pytest.MonkeyPatch.context() as patch:
            for name, value in up.environment.items():
                patch.setenv(name, value)
            yield up
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def kitchens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Kitchen, Kitchen]:
    """Two pipelines that are equal; the first has run on this machine. From then on nothing can be computed here."""
    alone, there = (Kitchen(tmp_path / it) for it in ("alone", "there"))
    for kitchen in (alone, there):
        kitchen.folder.mkdir()
        kitchen.write(families=("xgboost",))
    alone.run()

    def refused(_: object) -> None:
        raise AssertionError("this machine's own workers were asked")

    monkeypatch.setattr(local, "open_executor", refused)
    return alone, there


def require_equal(alone: Kitchen, there: Kitchen, words: str) -> None:
    """A run by this executor, then a status that has nothing to do."""
    code, out, err = there.ask(f"pipeline p.toml --json {words}")
    assert code == 0, err
    assert len(json.loads(out)["ran"]) == 8
    assert there.outputs() == alone.outputs()
    assert there.status() == {}


def test_a_ray_gives_the_bytes_of_one_machine(kitchens: tuple[Kitchen, Kitchen]) -> None:
    """Of a Ray of the command's own, with two workers."""
    require_equal(*kitchens, "--executor ray --workers 2")


def test_a_slurm_gives_the_bytes_of_one_machine(kitchens: tuple[Kitchen, Kitchen], served: Served) -> None:
    """By job arrays; the jobs end with the command."""
    before = set(served.ask("squeue", "-h", "--states=all", "-o", "%F").split())
    require_equal(*kitchens, "--executor slurm --workers 2")
    assert set(served.ask("squeue", "-h", "--states=all", "-o", "%F").split()) - before
    assert not served.ask("squeue", "-h")
