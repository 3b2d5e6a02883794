"""A study in Optuna's own storage: all of it, once, whoever exports how often; a file of SQLite here, PostgreSQL in
tests/system."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backtest.study.export import export_study
from backtest.study.storage import Storage
from tests.support.exported_study import assert_exported, study_made
from trader.core.errors import ConfigError, DataError, Retry

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A study and its rows; nobody changes it."""
    folder = tmp_path_factory.mktemp("made") / "study"
    return folder, study_made(folder)


@pytest.fixture
def study(made: tuple[Path, Rows], tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(made[0], tmp_path / "study"))


def at(folder: Path) -> Storage:
    """A database beside the study."""
    return Storage.at(f"sqlite:///{folder.parent / 'studies.db'}")


def test_every_trial_is_there_and_a_second_export_adds_nothing(study: Path, made: tuple[Path, Rows]) -> None:
    """Complete, pruned and failed, each under its number; the folder is left as it was."""
    before = {it: it.read_bytes() for it in study.rglob("*") if it.is_file()}
    first, second = export_study(study, at(study)), export_study(study, at(study))
    assert (first.added, first.known, first.later) == (10, 0, 0)
    assert (second.name, second.added, second.known) == (first.name, 0, 10)
    assert first.name.startswith("study-")
    assert_exported(str(at(study)), first.name, made[1])
    assert {it: it.read_bytes() for it in study.rglob("*") if it.is_file()} == before


def test_a_running_study_is_added_to_as_it_goes_on(study: Path, made: tuple[Path, Rows]) -> None:
    """A trial that ended before an earlier one waits for it, so that numbers agree; a line being written is left alone."""
    journal, (_, rows) = study / "journal.jsonl", made
    lines = [json.dumps(row) + "\n" for row in rows]
    journal.write_text("".join([lines[0], lines[1], lines[3], lines[2][:40]]))
    first = export_study(study, at(study))
    assert (first.added, first.later) == (2, 1)
    assert journal.read_text().endswith(lines[2][:40])
    journal.write_text("".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    second = export_study(study, at(study))
    assert (second.added, second.known, second.later) == (8, 2, 0)
    assert_exported(str(at(study)), second.name, rows)


def test_two_exports_at_once_add_each_trial_once(study: Path, made: tuple[Path, Rows]) -> None:
    """Into a database that neither has found there."""
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: export_study(study, at(study)), range(2)))
    assert sorted(it.added for it in both) == [0, 10]
    assert_exported(str(at(study)), both[0].name, made[1])


def test_a_name_belongs_to_one_study(study: Path) -> None:
    """Two studies lie side by side in one database; the same name for both is refused, and nothing is added."""
    journal = study / "journal.jsonl"
    journal.write_text(journal.read_text().partition("\n")[0] + "\n")
    assert export_study(study, at(study), "mine").name == "mine"
    other = study.parent / "other" / "study"
    shutil.copytree(study, other)
    identity = json.loads((other / "study.json").read_text())
    (other / "study.json").write_text(json.dumps({**identity, "seed": 6}))
    with pytest.raises(ConfigError, match=r"holds another study named 'mine'. Choose another --name"):
        export_study(other, at(study), "mine")
    assert export_study(other, at(study)).name != export_study(study, at(study)).name


def test_what_cannot_be_exported_is_a_sentence(study: Path, tmp_path: Path) -> None:
    """No study, a damaged one, no folder for the database, a URL of another kind, a server that is not there."""
    with pytest.raises(ConfigError, match=r"holds no study: study.json is not there"):
        export_study(tmp_path, at(study))
    with pytest.raises(ConfigError, match=r"cannot be opened .*make that folder first"):
        export_study(study, Storage.at(f"sqlite:///{tmp_path}/nowhere/studies.db"))
    for text in ("studies.db", "mysql://host/db", "sqlite://", "redis://host/1", "postgresql://host"):
        with pytest.raises(ConfigError, match="give sqlite:///FILE or postgresql://USER@HOST/DATABASE"):
            Storage.at(text)
    (tmp_path / "text.db").write_text(
        "no database, but some text that is long enough to be read as a header" * 20
    )
    with pytest.raises(ConfigError, match="cannot be used: file is not a database"):
        export_study(study, Storage.at(f"sqlite:///{tmp_path}/text.db"))
    journal = study / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"look_back_days": ', '"look_back_days": 99', 1))
    with pytest.raises((DataError, ConfigError), match=r"trial|line"):
        export_study(study, at(study))


def test_a_password_is_never_said(study: Path) -> None:
    """Not where the driver is missing, nor where the server does not answer, nor of a URL that is refused."""
    url = "postgresql://me:s3cret@127.0.0.1:1/studies?password=s3cret"
    with pytest.raises((ConfigError, Retry)) as told:
        export_study(study, Storage.at(url))
    assert "s3cret" not in str(told.value)
    assert "postgresql://127.0.0.1:1/studies" in str(told.value) or "[postgresql]" in str(told.value)
    with pytest.raises(ConfigError) as refused:
        Storage.at("mysql://me:s3cret@host/db")
    assert "s3cret" not in str(refused.value)
