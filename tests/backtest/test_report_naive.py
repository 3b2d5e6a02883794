"""A report on the naive forecast says that its own baseline is the strategy over again."""

from __future__ import annotations

import json
from pathlib import Path

from backtest.report.data import notes_of
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from tests.support.screens import unwrapped
from trader.core.params import params_of


def test_the_page_the_figures_and_the_terminal_say_it(tmp_path: Path) -> None:
    """And the baseline is the strategy indeed, to the last digit."""
    bars = made_bars(tmp_path, "2020-12-01", "2021-05-01")
    (tmp_path / "P.json").write_text(json.dumps({**quick_params(), "model": {"family": "naive"}}))
    given = ("--bars", str(bars), "--from", "2021-03-01", "--to", "2021-04-01", "--params", "P.json")
    said = unwrapped(command("backtest", "report", *given, "--out", "naive.html", cwd=tmp_path).stdout)
    told = json.loads((tmp_path / "naive.json").read_text())
    (note,) = told["notes"]
    assert "is the naive forecast itself" in note
    assert note in said
    assert note in (tmp_path / "naive.html").read_text()
    naive = next(it for it in told["evidence"]["baselines"] if it["name"] == "naive forecast")
    assert {**naive, "name": "strategy"} == told["evidence"]["strategy"]


def test_other_families_have_no_such_note() -> None:
    """Their baseline is another strategy."""
    assert notes_of(params_of(quick_params(), "tests")) == []
