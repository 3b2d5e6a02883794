"""Text that came from elsewhere: no terminal obeys it, and no spreadsheet computes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.core.text import cell, visible, write_csv_rows


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\r\n\tb\x00", r"a\r\n\tb\x00"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("one\u2028two\u2029three\x85", r"one\u2028two\u2029three\x85"),
        ("\ud800", r"\ud800"),
        ("P(up) 0.5 → grün, 5\\6 'x'", "P(up) 0.5 → grün, 5\\6 'x'"),
    ],
)
def test_what_is_not_printable_is_shown_as_its_code(text: str, seen: str) -> None:
    """Controls, C1, marks of direction, other line ends, half characters; everything else stays."""
    assert visible(text) == seen


@given(st.text())
def test_nothing_but_printable_characters_is_left(text: str) -> None:
    """Of any text, and a second time changes nothing; only where lines are asked for does a line feed stay."""
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)
    assert visible(text, lines=True).replace("\n", "").isprintable()
    assert visible(text, lines=True).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "=", "-"]
)
def test_a_text_that_would_be_a_formula_stays_text(text: str) -> None:
    """It begins with an apostrophe."""
    assert cell(text) == "'" + visible(text)


@pytest.mark.parametrize(
    "value", [-5.3, "-5.3", "+1", "-1e-05", "-.5", 7, "BUY", "", "a=b", "2022-01-01T00:00:00Z"]
)
def test_numbers_and_other_texts_stay_as_they_are(value: object) -> None:
    """Whatever their sign."""
    assert cell(value) == str(value)
    assert cell(None) == ""


def test_rows_are_read_back_as_they_were_written() -> None:
    """A cell that got its apostrophe keeps the one when it is written again."""
    rows: Sequence[Sequence[str | None]] = [["time", "reason"], ["1", "=HYPERLINK(A1)"], ["2", None]]
    for _ in range(2):
        file = io.StringIO()
        write_csv_rows(file, rows)
        rows = list(csv.reader(io.StringIO(file.getvalue())))
    assert rows == [["time", "reason"], ["1", "'=HYPERLINK(A1)"], ["2", ""]]
