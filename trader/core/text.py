"""Text from a store, a file or a server, as a person may see it.

Terminals obey what they print: an escape sequence in an event's message could clear the screen, write a line that was never
said, or set the window's title. So what is not printable is shown as its code.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), and what is a number nevertheless.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with every character that is not printable as an escape such as \x1b or \u202e: controls, DEL, C1, marks of
    direction, separators of lines and paragraphs, spaces but the usual one. lines: line feeds stay."""
    if text.isprintable():
        return text
    return "".join([it if it.isprintable() or (lines and it == "\n") else _escaped(it) for it in text])


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def plural(count: int, noun: str, nouns: str = "") -> str:
    """A number and its noun: 1 fill, 2 fills, 1,000 entries. nouns: the plural where it is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def how_to_install(extra: str) -> str:
    """The command that adds an extra of this project: from its checkout, for no index has it under this name."""
    return f"in the checkout, python -m pip install '.[{extra}]'"


def cell(value: Any) -> str:
    """A value as a cell of a table for a spreadsheet: nothing for None, and what would be a formula with an apostrophe before
    it, so that it stays text. A number is a number, whatever its sign."""
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return visible(text)


def write_csv_rows(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Rows as CSV, each value by `cell`."""
    csv.writer(file, lineterminator="\n").writerows([[cell(value) for value in row] for row in rows])
