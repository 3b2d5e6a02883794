"""`backtest pipeline` and `backtest status`: what runs, what is kept, what is published."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backtest.evidence.ledger import EvidenceLedger, count, data_hash
from tests.pipeline.kit import Kitchen
from tests.support.bars_made import bars_made
from trader.adapters.files import read_bars, write_bars

ONE = ["collect", "tune", "predict", "train", "check", "backtest", "publish"]


def kinds(stages: list[str] | dict[str, str]) -> set[str]:
    """The kinds of stages."""
    return {it.split("/")[0] for it in stages}


def test_status_a_run_and_a_repeat_that_runs_nothing(kitchen: Kitchen) -> None:
    """Before, everything has never run, and status writes nothing; after, everything is up to date; a repeat keeps all, and one
    manifest describes both."""
    assert set(kitchen.status().values()) == {"it has never run"}
    assert not kitchen.out.exists()
    ran = kitchen.run()
    assert sorted(it.split("/")[0] for it in ran) == sorted(ONE)
    assert kitchen.status() == {}
    assert kitchen.run() == []
    assert [it.name for it in (kitchen.out / "manifests").iterdir()] == ["1.json"]


def test_the_hours_are_those_of_backtest_run(kitchen: Kitchen) -> None:
    """The pipeline trades what `backtest run` trades with the same parameters: hours.jsonl has equal bytes, for a family of rows
    and for one that reads the series."""
    kitchen.write(families=("naive", "xgboost"))
    kitchen.run()
    for family in ("naive", "xgboost"):
        folder = f"out/current/backtest/BTCUSDT/{family}"
        words = (
            f"run --bars data/BTCUSDT-1h.parquet --params {folder}/P.json --from 2021-02-20 --to 2021-03-12"
        )
        assert kitchen.ask(f"{words} --hours-out {family}.jsonl --workers 1 --json")[0] == 0
        mine = (kitchen.folder / folder / "hours.jsonl").read_bytes()
        assert mine == (kitchen.folder / f"{family}.jsonl").read_bytes()


def test_what_is_published_can_be_read(kitchen: Kitchen) -> None:
    """A table, forecasts, a page, and models that `backtest predict` asks; lines of a screen within 80 columns."""
    kitchen.write("\n[publish]\nhours = 3\n[model.naive]\nforecast_hours = 3\n")
    code, out, _ = kitchen.ask("pipeline p.toml --workers 1")
    assert code == 0
    assert [line for line in out.splitlines() if len(line) > 80] == []
    folder = kitchen.out / "current" / "publish"
    assert (folder / "table.csv").read_text().startswith("symbol,family,net_return")
    assert len((folder / "forecasts.csv").read_text().splitlines()) == 4
    page = (folder / "forecasts.html").read_text()
    assert "<polygon" in page
    assert "http" not in page
    # Chromium shows the source of a page that a link leads to under another ending.
    assert (folder / "forecasts.html").resolve().suffix == ".html"
    code, out, _ = kitchen.ask("predict --out out/current/publish --hours 3 --json")
    assert code == 0
    told = json.loads(out)[0]
    rows = (folder / "forecasts.csv").read_text().splitlines()[1:]
    assert [f"{it:g}" for row in told["forecast"] for it in row["prices"]] == [
        f"{float(it):g}" for row in rows for it in row.split(",")[7:]
    ]


def test_a_changed_threshold_runs_decisions_only(finished: Kitchen) -> None:
    """A threshold is a parameter of `backtest` alone: status names it, models and predictions stay, the table follows."""
    finished.edit("enter_edge = 0.001", "enter_edge = 0.1")
    assert finished.status() == {
        "backtest/BTCUSDT/naive": "parameter decisions.enter_edge 0.001, now 0.1",
        "publish": "backtest/BTCUSDT/naive runs before",
    }
    assert kinds(finished.run()) == {"backtest", "publish"}


def test_going_back_to_an_earlier_threshold_computes_nothing(finished: Kitchen) -> None:
    """Outputs are kept by what they follow from, so that the earlier ones are put back."""
    before = finished.outputs()
    finished.edit("enter_edge = 0.001", "enter_edge = 0.1")
    finished.run()
    finished.edit("enter_edge = 0.1", "enter_edge = 0.001")
    assert "is of another run" in finished.status()["backtest/BTCUSDT/naive"]
    assert finished.run() == []
    assert finished.outputs() == before


def test_one_symbol_more_runs_that_symbol(finished: Kitchen) -> None:
    """What others have is not computed again."""
    finished.write(symbols=("BTCUSDT", "ETHUSDT"))
    ran = finished.run()
    assert {it for it in ran if "BTCUSDT" in it} == set()
    assert kinds(ran) == set(ONE)


def test_newer_bars_that_nobody_reads_stop_at_collect(kitchen: Kitchen) -> None:
    """A file of bars that grew is collected again; the hours are the same bytes, so nothing after it runs."""
    file, bars = kitchen.folder / "data" / "BTCUSDT-1h.parquet", bars_made(76 * 24, 1)
    write_bars(file, bars.rows(0, 75 * 24))
    kitchen.run()
    write_bars(file, bars)
    assert kitchen.status()["collect/BTCUSDT"].endswith("BTCUSDT-1h.parquet changed")
    assert kitchen.run() == ["collect/BTCUSDT"]


def test_a_renamed_file_of_bars_runs_nothing(finished: Kitchen) -> None:
    """It is known by its content."""
    (finished.folder / "data").rename(finished.folder / "bars")
    finished.edit('bars = "data"', 'bars = "bars"')
    assert finished.status() == {}


def test_a_search_chooses_on_earlier_hours(kitchen: Kitchen) -> None:
    """Trials are counted in the ledger of the bars over the hours before the backtest, the backtest once over those after; a
    repeat counts nothing."""
    write_bars(kitchen.folder / "data" / "BTCUSDT-1h.parquet", bars_made(255 * 24, 1))
    kitchen.write(families=("xgboost",), trials=2)
    kitchen.edit('from = "2021-02-20"\nto = "2021-03-12"', 'from = "2021-08-01"\nto = "2021-08-21"')
    kitchen.run()
    bars = read_bars(kitchen.out / "current" / "collect" / "BTCUSDT" / "bars.parquet", "BTCUSDT")
    entries = EvidenceLedger(kitchen.folder / "evidence", data_hash(bars)).entries()
    looks = [it for it in entries if it.kind == "look"]
    assert len(looks) == 1
    searched = [it for it in entries if it.by == "backtest pipeline, seed 0"]
    assert len([it for it in searched if it.kind != "swept"]) == 2
    assert {it.stop for it in searched} == {looks[0].start}
    assert count(entries, bars.first, bars.last).configurations > 2
    assert kitchen.run() == []
    assert EvidenceLedger(kitchen.folder / "evidence", data_hash(bars)).entries() == entries


@pytest.mark.long
def test_workers_change_no_byte(kitchen: Kitchen) -> None:
    """Three stages at a time in processes of their own give what one after the other gives."""
    kitchen.write(symbols=("BTCUSDT", "ETHUSDT"), families=("naive", "xgboost"))
    kitchen.run()
    alone = kitchen.outputs()
    shutil.rmtree(kitchen.out)
    code, _, err = kitchen.ask("pipeline p.toml --workers 3 --json")
    assert code == 0, err
    assert kitchen.outputs() == alone


def killed_when(kitchen: Kitchen, lines: int) -> bytes:
    """The journal after a run that was ended by SIGKILL as soon as so many stages had finished, or that was faster."""
    words = [sys.executable, "-m", "backtest.cli", "pipeline", "p.toml", "--workers", "1", "--json"]
    journal = kitchen.out / "journal.jsonl"
    process = subprocess.Popen(words, cwd=kitchen.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.communicate()
    return journal.read_bytes()


def test_killed_the_same_command_goes_on(first_run: Kitchen, kitchen: Kitchen) -> None:
    """SIGKILL in the middle: finished stages stay, and the outputs are those of a run that was left alone."""
    kept = killed_when(kitchen, 3)
    done = kept.count(b"\n")
    assert done >= 3
    assert len(kitchen.run()) == 7 - done
    assert (kitchen.out / "journal.jsonl").read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert kitchen.outputs() == first_run.outputs()


@pytest.mark.long
def test_killed_at_every_stage_the_same_command_goes_on(first_run: Kitchen, kitchen: Kitchen) -> None:
    """SIGKILL after each stage, one after the other: none runs twice that had finished."""
    kept = b""
    for lines in range(1, 7):
        now = killed_when(kitchen, lines)
        assert now.startswith(kept)
        kept = now[: now.rfind(b"\n") + 1]
    assert len(kitchen.run()) == 7 - kept.count(b"\n")
    assert kitchen.outputs() == first_run.outputs()


def test_a_torn_line_of_the_journal_is_a_stage_that_has_not_finished(finished: Kitchen) -> None:
    """A crash in the middle of a line costs that stage."""
    journal = finished.out / "journal.jsonl"
    data = journal.read_bytes()
    os.truncate(journal, len(data) - 20)
    assert list(finished.status()) == ["publish"]
    assert finished.run() == ["publish"]
    assert journal.read_bytes().count(b"\n") == data.count(b"\n")


def test_a_manifest_says_what_reproduces_the_run(finished: Kitchen) -> None:
    """File, program, and of every stage: key, inputs, parameters, code, versions, seconds, and outputs by their hash."""
    told = json.loads((finished.out / "manifests" / "1.json").read_text())
    assert told["file"] == finished.file.read_text()
    assert told["program"]["numpy"] == np.__version__
    by_stage = {it["stage"]: it for it in told["stages"]}
    assert kinds(list(by_stage)) == set(ONE)
    one = by_stage["backtest/BTCUSDT/naive"]
    assert (
        one["basis"]["inputs"]["predictions.parquet"]
        == by_stage["predict/BTCUSDT/naive"]["outputs"]["predictions.parquet"]
    )
    assert one["basis"]["params"]["decisions"] == {"enter_edge": 0.001}
    assert one["basis"]["libraries"]["numpy"] == np.__version__
    assert (finished.out / "code" / f"{one['basis']['code']}.json").is_file()
    assert one["seconds"] >= 0


def test_the_graph_is_drawn_for_people(kitchen: Kitchen) -> None:
    """Mermaid in the terminal, Graphviz on request, a page that asks no network; what would run is marked."""
    out = kitchen.ask("status p.toml")[1]
    assert '["predict/BTCUSDT/naive"]:::old' in out
    assert "0 of 7 stages up to date" in out
    kitchen.run()
    out = kitchen.ask("status p.toml --why")[1]
    assert "7 of 7 stages up to date. Nothing would run." in out
    assert ":::old" not in out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert '"predict/BTCUSDT/naive" -> "backtest/BTCUSDT/naive";' in kitchen.ask("status p.toml --dot")[1]
    page = (kitchen.out / "index.html").read_text()
    assert page.count("<rect") == 7
    assert "http" not in page
    assert 'href="current/publish/table.csv"' in page
    assert Path(kitchen.out / "current/publish/table.csv").is_file()


def test_a_run_that_has_nothing_to_do_imports_no_stage(finished: Kitchen) -> None:
    """Nor another verb, nor a library that only stages use: most of its time would be theirs."""
    code = (
        "import sys\nfrom backtest.cli import main\nsys.argv = ['backtest', 'pipeline', 'p.toml', '--json']\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = ('xgboost', 'optuna', 'pyarrow', 'talib', 'backtest.pipeline.stage_run', 'backtest.certificate')\n"
        "print([it for it in sys.modules if it.startswith(heavy)])\n"
        "print(sorted(it for it in sys.modules if it.startswith('backtest.commands.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=finished.folder, capture_output=True, text=True, check=True
    )
    told, heavy, verbs = done.stdout.splitlines()
    assert json.loads(told)["ran"] == []
    assert heavy == "[]"
    assert "tune" not in verbs
