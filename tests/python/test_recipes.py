"""The recipes of docs/python.md: each is short, runs as it is printed, and prints what the page says."""

from __future__ import annotations

import linecache
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
# The one that needs a library of an extra is run beside the tests of that library's family.
ELSEWHERE = "<!-- run by tests/families/test_recipes.py -->"
TEXT = re.sub(
    rf"{ELSEWHERE}\n```python\n.*?^```\n\n```text\n.*?^```",
    "",
    PAGE.read_text(),
    flags=re.DOTALL | re.MULTILINE,
)
BLOCKS = re.findall(r"^```(python|text)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
MOST_LINES = 15


def lines_of(code: str) -> int:
    """Lines that are not blank."""
    return sum(1 for line in code.splitlines() if line.strip())


def run(code: str, names: dict[str, Any], number: int) -> None:
    """A cell, as a notebook runs it: what it defines is known to the next one, and its source can be looked up."""
    cell = f"<recipe {number}>"
    linecache.cache[cell] = (len(code), None, code.splitlines(keepends=True), cell)
    exec(compile(code, cell, "exec", dont_inherit=True), names)  # noqa: S102  # our own page


def test_there_are_seven_short_recipes() -> None:
    """One a section, none longer than fifteen lines."""
    sections = re.findall(r"^## \d\. (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(sections) == 7
    assert {
        code: lines_of(code) for kind, code in BLOCKS if kind == "python" and lines_of(code) > MOST_LINES
    } == {}


def test_the_recipes_print_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, in an empty folder. A block that begins with a file's name is that file. It takes some seconds, for a report and
    a walk-forward of the default trees are among them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    compared = 0
    for number, (kind, code) in enumerate(BLOCKS):
        if kind == "text":
            assert "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()) + "\n" == code
            compared += 1
        elif file := re.match(r"# (\w+\.py)\n", code):
            Path(file[1]).write_text(code)
        else:
            run(code, names, number)
    assert compared == 6
    assert {it.name for it in tmp_path.iterdir()} >= {"report.html", "report.json", "evidence"}
