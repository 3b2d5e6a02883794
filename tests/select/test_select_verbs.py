"""`backtest select` and `backtest predict` as a person meets them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from backtest.cli import main
from backtest.evidence.ledger import EvidenceLedger, count, data_hash
from tests.support.bars_made import bars_made
from trader.adapters.files import write_bars

BARS = {
    name: bars_made(100 * 24 + 5, seed, symbol=name) for seed, name in enumerate(("AUSDT", "BUSDT"), start=1)
}


def ask(words: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Run `backtest` with these words, in the folder."""
    monkeypatch.setattr(sys, "argv", ["backtest", *words.split()])
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two series' bars."""
    (tmp_path / "bars").mkdir()
    for name, bars in BARS.items():
        write_bars(tmp_path / "bars" / f"{name}-1h.parquet", bars)
    return tmp_path


def test_days_are_selected_counted_kept_and_predicted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables within 80 columns, a page, an entry of the ledger each; a repeat adds none; a forecast of every series as a table,
    CSV and JSON."""
    select = "select --bars bars --families naive --freq 1d --out out --workers 1"
    assert ask(select, monkeypatch, folder) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert "2 computed, 0 kept" in shown
    assert (folder / "out" / "page.html").read_text().count("<svg") == 2
    for _ in range(2):
        entries = EvidenceLedger(folder / "evidence", data_hash(BARS["AUSDT"])).entries()
        assert count(entries, BARS["AUSDT"].first, BARS["AUSDT"].last).configurations == 1
        assert [entry.kind for entry in entries] == ["run", "look"]
        assert ask(f"{select} --json", monkeypatch, folder) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["computed"], told["kept"], told["failed"]) == (0, 2, 0)
    assert ask("predict --out out --hours 7 --csv out.csv", monkeypatch, folder) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    rows = list(csv.reader((folder / "out.csv").read_text().splitlines()))
    assert (len(rows), rows[0][:4], rows[1][0]) == (
        1 + 2 * 7,
        ["symbol", "candidate", "from", "step"],
        "AUSDT",
    )
    (folder / "bars" / "BUSDT-1h.parquet").unlink()
    assert ask("predict --out out --json", monkeypatch, folder) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert len(one["forecast"]) == 24
    assert "BUSDT-1h.parquet" in other["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--freq 1d --score net_sharpe --families naive", "which is research, choose pinball"),
        ("--freq 1w --families naive", "choose 1h or 1d"),
        ("--score sharpe --families naive", "choose pinball or net_sharpe"),
        ("--freq 1d --to 2030-01-01 --families naive", "is later than the newest close"),
        ("--freq 1d --families nothing", "there is no 'nothing'"),
        ("--bars none --families naive", "there is no such file or folder"),
    ],
)
def test_options_that_cannot_be_meant_end_with_a_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """Before the first fit, with exit 2."""
    assert ask(f"select --bars bars --out out {words}", monkeypatch, folder) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list((folder / "out").rglob("results/*"))


def test_a_folder_without_models_predicts_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says where they come from."""
    assert ask("predict --out bars", monkeypatch, folder) == 2
    assert "backtest select --out bars" in capsys.readouterr().err
