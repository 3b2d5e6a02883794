"""Every screen fits a terminal of eighty columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.rig import command
from trader.terminal import WIDTH, labelled, narrowed, paragraph, table

LOOKS = [
    "status",
    "journal",
    "explain",
    "models list",
    "models card",
    "models compare",
    "models families",
    "store verify",
]


@pytest.mark.parametrize("verb", LOOKS)
def test_what_looks_at_a_store_fits(week: Path, verb: str) -> None:
    """The answers of the verbs that look, over a week with outages, orders and three models."""
    listed = json.loads(command("trader", "models", "list", "--store", "store", "--json", cwd=week).stdout)
    models = {"models card": 1, "models compare": 2}.get(verb, 0)
    words = [*verb.split(), *(row["model_id"] for row in listed[:models])]
    store = () if verb == "models families" else ("--store", "store")
    shown = command("trader", *words, *store, cwd=week).stdout
    assert shown
    assert [line for line in shown.splitlines() if len(line) > WIDTH] == []


def test_a_table_gives_up_the_columns_that_matter_least() -> None:
    """As many as it must, in the order it is told, and none where all fit."""
    head, rows = ("hour", "note", "amount"), [("2022-01-01T00:00Z", "x" * 60, "1")]
    assert narrowed(head, rows, ("note", "amount")) == (("hour", "amount"), [("2022-01-01T00:00Z", "1")])
    assert narrowed(head, [("a", "b", "c")], ("note",)) == (head, [("a", "b", "c")])
    columns, fitting = narrowed(head, rows, ("note",))
    assert max(map(len, table("", fitting, columns).splitlines())) <= WIDTH


def test_prose_goes_on_below_its_first_word() -> None:
    """Broken between words only: an address stays whole, however long; a control character cannot break a line."""
    text = paragraph("state         " + "word " * 30 + "/a" * 60 + "\x1b[2J", 14)
    assert all(len(line) <= WIDTH or "/a/a" in line for line in text.splitlines())
    assert all(line.startswith(" " * 14) for line in text.splitlines()[1:])
    assert "/a" * 60 in text
    assert "\x1b" not in text
    assert labelled([("a", "1"), ("long name", "2")]).splitlines() == ["a          1", "long name  2"]
