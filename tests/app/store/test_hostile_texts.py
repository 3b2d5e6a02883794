"""A store whose texts were written by somebody else: escape sequences, forged lines, formulas, paths."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.core.test_model import CARD, MODEL
from tests.support.fakes import MemoryStore
from tests.support.screens import unwrapped
from trader import terminal
from trader.adapters.store_local import LocalStore
from trader.adapters.tracker_mlflow import MlflowRun
from trader.app.journal import Journal
from trader.commands import hours
from trader.core.errors import DataError
from trader.core.events import HaltEvent
from trader.core.hours import LINE_KEYS
from trader.core.tracking import require_within
from trader.observers.copies import merged
from trader.observers.messages import Message
from trader.observers.notices import Notifier

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nstate         fine\u202e\u2028"
SEEN = r"\x1b[2J\x1b]0;owned\x07\r\nstate         fine\u202e\u2028"


@pytest.fixture
def halted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of which the only event is a halt with such a message."""
    monkeypatch.chdir(tmp_path)
    store = LocalStore(tmp_path / "state", durable=False)
    Journal(store, "BTCUSDT").append(HaltEvent("BTCUSDT", 0, HOSTILE, True, "person", HOSTILE))
    return str(tmp_path / "state")


def test_no_verb_prints_what_a_terminal_obeys(halted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A halt's reason and message are one line of status and of the journal, every control character as its code."""
    hours.status(store=halted)
    hours.journal(store=halted)
    seen = capsys.readouterr().out
    assert unwrapped(seen).count(unwrapped(SEEN)) >= 2
    assert not any(line.startswith("state         fine") for line in seen.splitlines())
    assert seen.replace("\n", "").isprintable()


def test_errors_lines_tables_and_tracebacks_are_visible(capsys: pytest.CaptureFixture[str]) -> None:
    """What leaves through the terminal: an error's message, a cell, a title, and what a bug says."""

    def refuses() -> None:
        raise DataError(f"models/{HOSTILE} is incomplete")

    before = sys.excepthook
    with pytest.raises(SystemExit):
        terminal.run(refuses)
    sys.excepthook(ValueError, ValueError(HOSTILE), None)
    sys.excepthook = before
    terminal.show(terminal.table(HOSTILE, [(HOSTILE, "1"), ("b", "2")]))
    out, err = capsys.readouterr()
    assert f"DataError: models/{SEEN} is incomplete\n" in err
    assert out.count(SEEN) == 2
    assert out.count("\n") == 4
    assert (out + err).replace("\n", "").isprintable()


def test_a_notice_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Title and body reach a phone without control characters."""
    sent: list[dict[str, Any]] = []

    class Apprise:
        """Takes every address and keeps what it is told."""

        def add(self, address: str) -> bool:
            """Any."""
            return True

        def notify(self, **told: Any) -> bool:
            """Kept."""
            sent.append(told)
            return True

    import apprise

    monkeypatch.setattr(apprise, "Apprise", Apprise)
    Notifier(["json://localhost"], "info").send(Message("info", "halt", HOSTILE, HOSTILE))
    assert (sent[0]["title"], sent[0]["body"]) == (SEEN, SEEN)


def test_results_hold_no_formula() -> None:
    """A reason that begins like one gets an apostrophe; a negative number stays one; rows of before are mended."""
    old = ("2022-01-01", *["=1+1"] * (len(LINE_KEYS) - 1))
    there = ",".join(LINE_KEYS) + "\n" + ",".join(old) + "\n"
    row = ["2022-01-02", "-5.3", "@SUM(A1)", *[""] * (len(LINE_KEYS) - 3)]
    first, second = merged(there.encode(), LINE_KEYS, [row]).decode().splitlines()[1:]
    assert first.split(",")[1:] == ["'=1+1"] * (len(LINE_KEYS) - 1)
    assert second.split(",")[:3] == ["2022-01-02", "-5.3", "'@SUM(A1)"]


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b", "", "a/\n", "a\\..\\x"])
def test_no_file_of_a_tracker_leaves_its_folder(tmp_path: Path, path: str) -> None:
    """A card's format is a part of a file's name: one that leads elsewhere is refused, and nothing is written."""
    with pytest.raises(DataError, match="is no path within a run"):
        MlflowRun(None, "", tmp_path / "run").file(path, b"x")
    assert list(tmp_path.iterdir()) == []
    require_within("models/20210325T09-0123456789ab/model.ubjson")


def test_a_tracker_is_told_of_no_model_whose_card_was_changed() -> None:
    """The card is compared with the name that it lies under before its format names a file."""
    from types import SimpleNamespace

    from trader.observers.tracker_content import model_files

    store = MemoryStore()
    folder = f"models/{CARD.model_id}"
    store.objects = {f"{folder}/model": MODEL, f"{folder}/card": CARD.to_bytes()}
    news: Any = SimpleNamespace(store=store)
    assert [path for path, _ in model_files(news, CARD.model_id, "best")] == [
        "best/model.ubjson",
        "best/card.json",
    ]
    store.objects[f"{folder}/card"] = CARD.to_bytes().replace(b'"ubjson"', b'"/../../../x"')
    with pytest.raises(DataError, match="it was changed or replaced"):
        list(model_files(news, CARD.model_id, "best"))
