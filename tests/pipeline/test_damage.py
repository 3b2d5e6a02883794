"""Faults in a pipeline's folder: each is named with the way out, or does no harm."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backtest.study.results_folder import ResultsFolder
from tests.pipeline.kit import Kitchen
from trader.core.errors import ConfigError


def test_a_damaged_record_of_a_single_stage_is_named(finished: Kitchen) -> None:
    """Status and a run say which file, and that its stage runs again without it."""
    folder = finished.out / "records"
    folder.mkdir(exist_ok=True)
    (folder / "x.json").write_text("{")
    for verb in ("status p.toml", "pipeline p.toml"):
        code, _, err = finished.ask(verb)
        assert code == 2
        assert "records/x.json cannot be read" in err
        assert "Remove it: its stage runs again" in err
    (folder / "x.json").unlink()
    assert finished.run() == []


def test_a_clock_that_went_back_makes_nothing_old(finished: Kitchen) -> None:
    """A stage that ran by itself is newer than the lines of the journal, whatever its time says: gc keeps what is in current/."""
    finished.edit("enter_edge = 0.001", "enter_edge = 0.2")
    for stage in ("backtest/BTCUSDT/naive", "publish"):
        assert finished.ask(f"pipeline p.toml --workers 1 --stage {stage}")[0] == 0
    for path in (finished.out / "records").iterdir():
        told = json.loads(path.read_text())
        path.chmod(0o644)
        path.write_text(json.dumps({**told, "at": "2001-01-01T00:00:00+00:00"}))
    finished.edit("enter_edge = 0.2", "enter_edge = 0.3")
    assert finished.status()["backtest/BTCUSDT/naive"] == "parameter decisions.enter_edge 0.2, now 0.3"
    finished.edit("enter_edge = 0.3", "enter_edge = 0.2")
    before = finished.outputs()
    assert finished.ask("gc p.toml --budget-gb 0")[0] == 0
    assert finished.outputs() == before
    assert finished.status() == {}


def test_gc_keeps_what_is_in_current(finished: Kitchen) -> None:
    """After a way back to earlier parameters and without manifests, the newest lines name other outputs than current/ does."""
    finished.edit("enter_edge = 0.001", "enter_edge = 0.2")
    finished.run()
    finished.edit("enter_edge = 0.2", "enter_edge = 0.001")
    assert finished.run() == []
    shutil.rmtree(finished.out / "manifests")
    before = finished.outputs()
    assert finished.ask("gc p.toml")[0] == 0
    assert finished.outputs() == before
    assert finished.status() == {}


def test_gc_removes_what_a_kill_left_unfinished(finished: Kitchen) -> None:
    """Half-written outputs, manifests, links; no output goes with them."""
    before = finished.outputs()
    left = [
        finished.out / it for it in ("objects/ab/x.1234.tmp", "manifests/7.json.tmp", "cache/code.json.9.tmp")
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    link = finished.out / "current" / "publish" / ".table.csv.0a1b2c3d"
    link.symlink_to("../../objects/nowhere")
    other = finished.out / ".link-0a1b2c3d"
    other.symlink_to("objects/nowhere")
    assert finished.ask("gc p.toml")[0] == 0
    assert not any(it.exists() for it in left)
    assert not link.is_symlink()
    assert not other.is_symlink()
    assert finished.outputs() == before


def test_a_run_that_has_finished_everything_leaves_no_work(finished: Kitchen) -> None:
    """What a stage kept that was interrupted under other parameters, and that nobody asks for any more."""
    old = finished.out / "work" / "0123"
    old.mkdir(parents=True)
    (old / "window").write_text("kept")
    left = finished.out / ".link-0a1b2c3d"
    left.symlink_to("nowhere")
    assert finished.run() == []
    assert left.is_symlink(), "a stage that runs by itself may be making it"
    os.utime(left, (0, 0), follow_symlinks=False)
    assert finished.run() == []
    assert not left.is_symlink()
    assert list((finished.out / "work").iterdir()) == []


def test_manifests_that_cannot_be_listed_forget_nothing(finished: Kitchen) -> None:
    """What they name must not be removed as if no manifest named it."""
    finished.edit("enter_edge = 0.001", "enter_edge = 0.2")
    finished.run()
    there = sorted((finished.out / "objects").glob("*/*"))
    shutil.move(finished.out / "manifests", finished.out / "elsewhere")
    (finished.out / "manifests").touch()
    code, _, err = finished.ask("gc p.toml --budget-gb 0")
    assert code == 2
    assert "out/manifests cannot be read: Not a directory" in err
    assert sorted((finished.out / "objects").glob("*/*")) == there


@pytest.mark.parametrize("place", ["current", "objects", "work"])
def test_what_stands_in_the_way_is_named(place: str, finished: Kitchen) -> None:
    """A file where a folder belongs, by its own name; once it is moved away the same command goes on."""
    shutil.rmtree(finished.out / place, ignore_errors=True)
    (finished.out / place).touch()
    finished.edit("step_days = 5", "step_days = 4")
    code, err = finished.fails()
    assert code == 2
    assert f"a file is in the place of the folder out/{place}. Move it away" in err
    (finished.out / place).unlink()
    assert "publish" in finished.run()
    assert finished.status() == {}


def test_a_link_that_leads_nowhere_is_named(kitchen: Kitchen) -> None:
    """As to a disk that is not there."""
    kitchen.out.symlink_to(kitchen.folder / "nowhere")
    code, err = kitchen.fails()
    assert code == 2
    assert "a link to" in err
    assert "nowhere, which is not there, is in its place" in err


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: as on a full disk, a write takes what fits and says how much that was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_fits_in_part_is_not_there(tmp_path: Path) -> None:
    """A disk that is full in the middle of a line: the error is told, and the next line does not stand behind a half one."""
    folder = ResultsFolder(tmp_path)
    folder.append_lines([{"key": "one"}])
    journal = tmp_path / "journal.jsonl"
    before = journal.read_bytes()
    with room_for(len(before) + 8), pytest.raises(ConfigError, match="cannot be written"):
        folder.append_lines([{"key": "two"}])
    assert journal.read_bytes() == before
    folder.append_lines([{"key": "three"}])
    assert [it["key"] for it in folder.lines()] == ["one", "three"]


@pytest.mark.parametrize("damage", ["", '{"stages": [', '{"stages": []}', "[]", "no outputs"])
def test_a_damaged_newest_manifest_is_written_anew(damage: str, finished: Kitchen) -> None:
    """It is left as it is, for a person; the next one describes what is there."""
    newest = finished.out / "manifests" / "1.json"
    told = json.loads(newest.read_text())["stages"]
    if damage == "no outputs":
        damage = json.dumps({"stages": [{**it, "outputs": {}} for it in told]})
    newest.write_text(damage)
    assert finished.run() == []
    assert newest.read_text() == damage
    assert json.loads((finished.out / "manifests" / "2.json").read_text())["stages"] == told
    assert finished.run() == []
    assert len(list((finished.out / "manifests").iterdir())) == 2
