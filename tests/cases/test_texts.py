"""Text as terminals and editors leave it is repaired or refused where it comes in; what was stored before does not break a
page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import MemoryStore
from tests.support.rig import quick_params
from trader import terminal
from trader.adapters.exchange_info import read_filters
from trader.adapters.user_features import load
from trader.app.halts import announce, newest_event
from trader.app.journal import Journal
from trader.cli import asked
from trader.commands.common import params_from
from trader.core.errors import ConfigError
from trader.core.types import Filters
from trader.simulation.markets import write_info_row

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-mark", "utf-32"]


def encoded(text: str, encoding: str) -> bytes:
    """As an editor saves it."""
    return b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-mark" else text.encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_files_that_a_person_writes_may_begin_with_a_mark(encoding: str, tmp_path: Path) -> None:
    """Parameters, filters of a symbol: the same values whatever Notepad and PowerShell save."""
    path = tmp_path / "P.json"
    text = json.dumps(quick_params())
    path.write_text(text)
    meant = params_from(path, None)
    path.write_bytes(encoded(text, encoding))
    assert params_from(path, None) == meant
    filters = write_info_row(tmp_path / "filters.json", None, Filters.derived(100.0), "BTCUSDT")
    written = read_filters(filters)
    filters.write_bytes(encoded(filters.read_text(), encoding))
    assert read_filters(filters) == written


LATIN = "a = 'B\u00f6rse'\n".encode("latin-1")
DOORS: dict[str, Callable[[Path], Any]] = {
    "parameters": lambda path: params_from(path, None),
    "schedule": lambda path: terminal.read_text(path, "schedule"),
    "filters": read_filters,
    "features_module": lambda path: load(path, check=False),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_file_of_another_encoding_is_refused_in_words(door: str, tmp_path: Path) -> None:
    """By its name and with the way out; no traceback."""
    path = tmp_path / "file.py"
    path.write_bytes(LATIN)
    with pytest.raises(ConfigError, match=rf"{door} .*file\.py.*not UTF-8"):
        DOORS[door](path)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("B\udcf6rse zu", "is not UTF-8; set the terminal to UTF-8"),
        ("stop\x1b[2J", "holds a control character"),
        ("stop\nnow", "holds a control character"),
        ("stop\x00", "holds a control character"),
    ],
)
@pytest.mark.parametrize("verb", [("halt",), ("resume",), ("flatten",), ("store", "repair"), ("adopt", "x")])
def test_a_reason_is_text(
    verb: tuple[str, ...], reason: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be shown is not stored, by no verb that stores a person's words."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=why):
        asked(verb)([*verb, "--reason", reason], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_half_a_character_in_a_stored_event_breaks_no_page() -> None:
    """Events of before this was refused are never changed; they are read so that every page can be written."""
    journal = Journal(MemoryStore(), "BTCUSDT")
    announce(journal, 0, "person", freeze=True, by="person", message="B\udcf6rse zu")
    newest = newest_event(Journal(journal.store, "BTCUSDT"))
    assert newest is not None
    assert newest.content.message.encode() == b"B?rse zu"
