"""Nothing the bot can say is missing from the runbook."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from trader import terminal
from trader.config import Settings, load_settings
from trader.core import errors, hours
from trader.core.book import BOOK_HALT, BookReason
from trader.core.events import AnyEvent, Cause
from trader.core.policy import HaltReason
from trader.core.records import OutcomeKind

ROOT = Path(__file__).resolve().parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def section(title: str) -> set[str]:
    """The names in the first cells of the tables under a heading."""
    text = RUNBOOK.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return {
        name
        for cell in cells[1:]
        for name in re.findall(r"`([^`]+)`|(?<!\S)(\d+)(?!\S)", cell)
        for name in name
        if name
    }


def calls(name: str) -> Iterator[ast.Call]:
    """Every call of a function or class of this name."""
    for file in sorted((ROOT / "trader").rglob("*.py")):
        text = file.read_text()
        if f"{name}(" not in text:  # most files: parsing them all takes seconds
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == name
            ):
                yield node


def argument(call: ast.Call, position: int) -> set[str]:
    """A text that stands in a call at a position, none where it is computed."""
    found = call.args[position] if len(call.args) > position else None
    return {found.value} if isinstance(found, ast.Constant) and isinstance(found.value, str) else set()


def halt_reasons() -> set[str]:
    """Doubts that raise Halt, commands and limits that announce one."""
    raised = [argument(call, 0) for call in calls("Halt")]
    announced = [argument(call, 2) for call in calls("announce")]
    return set().union(*raised, *announced, get_args(HaltReason))


def hour_reasons() -> set[str]:
    """What a line of the journal can say."""
    sized = [argument(call, 0) for call in calls("NoOrder")]
    words = {hours.GAP, hours.VENUE_CLOSED, hours.MISSED, hours.WARM_UP, hours.PRICE_BAND}
    words |= {hours.ADOPTED, hours.NOT_IN_ACCOUNT}
    tree = (
        ast.parse((ROOT / "trader/core/hours.py").read_text()),
        ast.parse((ROOT / "trader/core/sizing.py").read_text()),
    )
    chosen = {"enter", "leave", "complete", "halt", "halted"}
    constants = {node.value for part in tree for node in ast.walk(part) if isinstance(node, ast.Constant)}
    assert chosen <= constants, "a reason was renamed; name it here anew"
    return set().union(*sized, words, chosen)


def test_every_word_of_a_book_stands_in_the_runbook() -> None:
    """What a book can say of an hour."""
    assert section("What a book says of an hour") == set(get_args(BookReason)) - {""}


def test_every_exit_code_stands_in_the_runbook() -> None:
    """Those of the errors, of a bug, of an interruption, and success; and no other."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    codes = {0, terminal.EXIT_INTERRUPTED, *(kind.exit_code for kind in kinds)}
    assert section("Exit codes") == {str(code) for code in codes}


def test_every_reason_of_a_halt_stands_in_the_runbook() -> None:
    """Read from the code: whoever adds a halt says here what a person does."""
    found = halt_reasons()
    assert {"cumulative_return", "drawdown", "person", "foreign_order", "permission"} <= found
    assert section("Reasons of a halt") == found | {BOOK_HALT}


def test_every_reason_of_an_hour_stands_in_the_runbook() -> None:
    """Orders, refusals and hours without a chance."""
    assert section("Reasons of an hour") == hour_reasons()


def test_every_outcome_of_an_order_stands_in_the_runbook() -> None:
    """Also those that need nobody."""
    assert section("What became of an order") == set(get_args(OutcomeKind))


def test_every_event_stands_in_the_runbook() -> None:
    """The names that the journal is given, and why a model was trained."""
    names = {kind.name for kind in get_args(AnyEvent)}
    assert section("Events") == names | set(get_args(Cause)) | {"resume"}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings without a file and without an environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TRADER_")]:
        monkeypatch.delenv(name)
    return load_settings()


def test_every_setting_stands_in_the_runbook_with_its_default(plain: Settings) -> None:
    """By name; where the default is a number or a word the row says it."""
    assert section("Settings") >= set(Settings.model_fields)
    rows = [line for line in RUNBOOK.split("\n## Settings\n")[1].splitlines() if line.startswith("| `")]
    for name in Settings.model_fields:
        row = next(line for line in rows if f"`{name}`" in line.split("|")[1])
        default: Any = getattr(plain, name)
        if isinstance(default, str | int | float) and not isinstance(default, bool) and default != "":
            said = row.split("|")[2].strip().strip("`")
            assert said == (default if isinstance(default, str) else f"{default:g}")
