"""Each thing that can be wrong ends with a message that says what, where and the way out; what was finished stays."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backtest.pipeline import folder as folder_of
from backtest.pipeline import stages_fitted
from tests.pipeline.kit import Kitchen

WRONG = {
    "no pipeline": ("[pipeline]", "[pipelines]", "there is no table [pipelines]"),
    "no bars": ('bars = "data"\n', "", "[pipeline] bars is missing"),
    "a family that is none": ('["naive"]', '["naiv"]', "there is no family of models 'naiv'"),
    "a symbol that is none": ('["BTCUSDT"]', '["btc/usdt"]', "must be a trading pair"),
    "a key that is none": ("trials = 0", "trial = 0", "[tune] trial is not known; the keys are"),
    "hours that end early": ('to = "2021-03-12"', 'to = "2021-02-20"', "at least two days later"),
    "a number that is none": ("trials = 0", "trials = -1", "a whole number of at least 0"),
    "a threshold that cannot be": ("enter_edge = 0.001", "enter_edge = 0.7", "[backtest]: 'enter_edge'"),
    "a threshold in another table": (
        "enter_edge = 0.001",
        "look_back_days = 3",
        "[backtest] look_back_days is not known",
    ),
    "one file for two symbols": (
        'bars = "data"\nsymbols = ["BTCUSDT"]',
        'bars = "data/x.csv"\nsymbols = ["BTCUSDT", "ETHUSDT"]',
        "'data/x.csv' is one file, and symbols names 2",
    ),
    "no TOML": ("[pipeline]", "[pipeline", "is no TOML"),
    "a symbol named twice": ('["BTCUSDT"]', '["BTCUSDT", "BTCUSDT"]', "names 'BTCUSDT' twice"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_cannot_be_is_refused(what: str, kitchen: Kitchen) -> None:
    """The message names the table and the key, the exit code is 2, and no folder is made."""
    old, new, said = WRONG[what]
    kitchen.edit(old, new)
    for verb in ("status p.toml", "pipeline p.toml"):
        code, _, err = kitchen.ask(verb)
        assert code == 2
        assert said in err
    assert not kitchen.out.exists()


def test_a_cycle_is_named(kitchen: Kitchen) -> None:
    """Two stages that wait for each other."""
    stage = '\n[stage.{0}]\nrun = "x.py"\ninputs = ["{1}/y"]\noutputs = ["y"]\n'
    kitchen.write(stage.format("one", "two") + stage.format("two", "one"))
    code, err = kitchen.fails()
    assert code == 2
    assert "stages wait for each other in a circle: one <- two <- one" in err.replace(
        "two <- one <- two", "one <- two <- one"
    )


def test_an_output_named_twice_is_refused(kitchen: Kitchen) -> None:
    """In one list, and as a folder of another."""
    kitchen.write('\n[stage.mine]\nrun = "x.py"\noutputs = ["y", "y"]\n')
    assert "[stage.mine] outputs names 'y' twice" in kitchen.fails()[1]
    kitchen.write('\n[stage.mine]\nrun = "x.py"\noutputs = ["y", "y/z"]\n')
    assert "outputs names 'y/z', and mine/y is made already" in kitchen.fails()[1]


def test_an_input_that_vanished_is_named(finished: Kitchen) -> None:
    """Status says it, a run ends with 2; what was finished stays, and once the file is back nothing runs."""
    before = finished.outputs()
    bars = finished.folder / "data" / "BTCUSDT-1h.parquet"
    data = bars.read_bytes()
    bars.unlink()
    assert finished.status()["collect/BTCUSDT"].endswith("BTCUSDT-1h.parquet is not there")
    code, err = finished.fails()
    assert code == 2
    assert "BTCUSDT-1h.parquet is not there; put it back" in err
    assert "6 that need them did not run" in err
    assert finished.outputs() == before
    bars.write_bytes(data)
    assert finished.run() == []


def test_a_full_disk_keeps_what_was_finished(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that cannot be written ends the run with 2 and the way out; with room again the same command goes on."""
    put = folder_of.PipelineFolder._put

    def full(self: folder_of.PipelineFolder, path: Path, data: bytes) -> None:
        with self.errors():
            if b'"net_return"' in data:
                raise OSError(errno.ENOSPC, "No space left on device")
        put(self, path, data)

    monkeypatch.setattr(folder_of.PipelineFolder, "_put", full)
    code, err = kitchen.fails()
    assert code == 2
    assert "cannot be written: No space left on device. Stages that have finished are kept: make room" in err
    kept = len((kitchen.out / "journal.jsonl").read_text().splitlines())
    assert kept >= 3
    monkeypatch.setattr(folder_of.PipelineFolder, "_put", put)
    ran = kitchen.run()
    assert len(ran) == 7 - kept
    assert "backtest/BTCUSDT/naive" in ran


def test_a_file_in_the_folder_s_place_is_named(kitchen: Kitchen) -> None:
    """Nothing is removed; the message says both ways out."""
    kitchen.out.write_text("mine")
    code, err = kitchen.fails()
    assert code == 2
    assert (
        "pipeline folder out cannot be made: a file is in its place. Move it away, or name another folder"
        in err
    )
    assert kitchen.out.read_text() == "mine"


def test_a_stage_that_raises_is_named_and_hinders_no_other(finished: Kitchen) -> None:
    """Bars that begin too late for one symbol: the other symbol's stages run to their end and are kept."""
    from tests.support.bars_made import bars_made
    from trader.adapters.files import write_bars

    finished.write(symbols=("BTCUSDT", "ETHUSDT"))
    finished.edit("enter_edge = 0.001", "enter_edge = 0.002")
    young = bars_made(40 * 24, 2, symbol="ETHUSDT", start="2021-02-10")
    write_bars(finished.folder / "data" / "ETHUSDT-1h.parquet", young)
    code, err = finished.fails()
    assert code == 2
    assert "stage predict/ETHUSDT/naive failed: look_back 20 d + gap 1 h needs 481 bars" in err
    assert "did not run" in err
    told = json.loads((finished.out / "current/backtest/BTCUSDT/naive/P.json").read_text())
    assert told["enter_edge"] == 0.002
    write_bars(finished.folder / "data" / "ETHUSDT-1h.parquet", bars_made(75 * 24, 2, symbol="ETHUSDT"))
    assert {it for it in finished.run() if "BTCUSDT" in it} == set()


def test_a_search_that_needs_older_bars_names_the_ways_out(kitchen: Kitchen) -> None:
    """Its trials look back further than the parameters in the file, so shortening those is no way out."""
    kitchen.write(families=("xgboost",), trials=2)
    code, err = kitchen.fails()
    assert code == 2
    assert (
        "stage tune/BTCUSDT/xgboost failed: a search tries look_back_days up to 180, whatever [params]" in err
    )
    assert "BTCUSDT/bars.parquet begins at 2021-01-" in err
    assert "or search nothing: [tune] trials = 0" in err


def test_a_bug_in_a_stage_shows_itself(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of this project's own is raised as it is, after the others have ended."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(stages_fitted, "tune_stage", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        kitchen.ask("pipeline p.toml --workers 1")
    assert (kitchen.out / "current/collect/BTCUSDT/bars.parquet").is_file()


@pytest.mark.parametrize("how", ["written through", "replaced", "removed"])
def test_an_edited_output_is_noticed_and_made_again(how: str, finished: Kitchen) -> None:
    """By its hash, whichever way an editor saves; nothing else runs, since what is made is what was there."""
    before = finished.outputs()
    path = finished.out / "current/backtest/BTCUSDT/naive/summary.json"
    if how == "written through":
        path.resolve().chmod(0o644)
        path.write_text("{}")
    else:
        path.unlink()
        if how == "replaced":
            path.write_text("{}")
    said = "is not in current/" if how == "removed" else "was edited"
    assert finished.status()["backtest/BTCUSDT/naive"] == f"output summary.json {said}"
    assert finished.run() == (["backtest/BTCUSDT/naive"] if how == "written through" else [])
    assert finished.outputs() == before
    assert finished.status() == {}


def test_a_lost_object_is_made_again(finished: Kitchen) -> None:
    """Whoever tidies up by hand costs one stage."""
    path = finished.out / "current/predict/BTCUSDT/naive/predictions.parquet"
    path.resolve().unlink()
    assert finished.status()["predict/BTCUSDT/naive"] == "output predictions.parquet is lost"
    assert finished.run() == ["predict/BTCUSDT/naive"]


def test_the_second_of_two_runs_ends_with_three(finished: Kitchen) -> None:
    """It names the first one, by its process."""
    finished.write('\n[stage.slow]\nrun = "slow.py"\noutputs = ["x"]\n')
    (finished.folder / "slow.py").write_text("import time\ntime.sleep(200)\n")
    words = [sys.executable, "-m", "backtest.cli", "pipeline", "p.toml", "--workers", "1", "--json"]
    first = subprocess.Popen(words, cwd=finished.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while (finished.out / "lock").read_text() != f"{first.pid}\n":
            assert time.monotonic() < deadline
            assert first.poll() is None
            time.sleep(0.02)
        code, err = finished.fails()
        assert code == 3
        assert f"pipeline folder {Path('out')} is being written by process {first.pid}" in err
    finally:
        first.kill()
        first.wait()
