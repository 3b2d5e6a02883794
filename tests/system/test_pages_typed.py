"""The pages that take a while, typed as they stand: the README after its demo, the parity of architecture.md, and book.md."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs.blocks import ROOT, type_page
from tests.support.rig import command


def test_the_readme_types_true(tmp_path: Path) -> None:
    """Every block ends well: the study and the report are written, and `trader run` has decided and closed hours of the
    exchange in time, none of them missed."""
    command("trader", "demo", cwd=tmp_path)
    type_page(ROOT / "README.md", tmp_path, timeout_s=280)
    assert (tmp_path / "study" / "P.json").exists()
    lines = command("trader", "journal", "--jsonl", cwd=tmp_path, TRADER_TRACKERS="none").stdout
    hours = [json.loads(line) for line in lines.splitlines()]
    assert len([hour for hour in hours if hour["p_up"] is not None]) >= 2, lines
    assert [hour["reason"] for hour in hours[1:] if hour["reason"] == "missed"] == []


def test_the_parity_that_architecture_shows_is_there(tmp_path: Path) -> None:
    """The backtest, the replay and the loop of ticks write equal bytes, typed by hand."""
    type_page(ROOT / "docs" / "architecture.md", tmp_path, timeout_s=280)


def test_a_book_that_its_page_shows_is_there(tmp_path: Path) -> None:
    """Bars of three symbols, the backtest of a book, and its replay, whose files are equal bytes."""
    type_page(ROOT / "docs" / "book.md", tmp_path, timeout_s=280)
