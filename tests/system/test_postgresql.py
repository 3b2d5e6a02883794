"""A study in a PostgreSQL server: exported once by two at a time, read by Optuna, its password never said."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtest.study.export import export_study
from backtest.study.storage import Storage
from tests.support.exported_study import assert_exported, done, export, study_made
from tests.system.postgresql_served import PASSWORD, postgresql
from trader.core.errors import ConfigError, Retry

Made = tuple[Path, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for the file."""
    with postgresql() as served:
        yield served


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study and the lines of its journal."""
    folder = tmp_path_factory.mktemp("made") / "study"
    return folder, study_made(folder)


def test_two_exports_at_once_into_an_empty_database(url: str, made: Made) -> None:
    """One makes the tables and adds the trials, the other adds nothing; a third finds all of them."""
    folder, rows = made
    answers = [done(it) for it in [export(folder, url, "--json") for _ in range(2)]]
    assert sorted(it["added"] for it in answers) == [0, 10]
    again = export_study(folder, Storage.at(url))
    assert (again.added, again.known) == (0, 10)
    assert_exported(url, again.name, rows)


def test_what_the_server_refuses_is_named_without_the_password(url: str, made: Made) -> None:
    """A wrong password and a database that is not there are a person's; a server that is gone heals by itself."""
    for changed, kind, told in (
        (url.replace(PASSWORD, "wrong-word"), ConfigError, "password authentication failed"),
        (url.replace("/postgres", "/nowhere"), ConfigError, 'database "nowhere" does not exist'),
        (url.rpartition(":")[0] + ":1/postgres", Retry, "does not answer"),
    ):
        with pytest.raises(kind, match=told) as refused:
            export_study(made[0], Storage.at(changed))
        said = "".join(traceback.format_exception(refused.value))
        assert PASSWORD not in said
        assert "wrong-word" not in said
