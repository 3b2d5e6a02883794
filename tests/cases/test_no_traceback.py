"""What a file, a machine or a foreign server did wrong is said in words, theirs where they have some; none is a traceback."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support.bars_made import bars_made
from trader import terminal
from trader.adapters.store_s3 import S3Store, _refused
from trader.adapters.tracker_mlflow import MlflowBackend
from trader.core.errors import ConfigError
from trader.core.params import parse_params
from trader.core.tracking import Title


@pytest.fixture(autouse=True)
def _sigterm_as_before() -> Iterator[None]:
    """`run` takes SIGTERM; the tests after it do not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "this machine has not enough memory for it"),
        (
            OSError(errno.ENOSPC, "No space left on device", "page/index.html"),
            "page/index.html: No space left",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "demo-run"), "demo-run: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
    ],
)
def test_what_lacks_on_this_machine_is_a_persons(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and one line, wherever it was met."""

    def fails() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        terminal.run(fails)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(said)


def test_another_trouble_of_the_system_stays_a_bug() -> None:
    """A descriptor that was closed too early is nobody's disk."""

    def fails() -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        terminal.run(fails)


def test_json_as_deep_as_a_well_is_refused() -> None:
    """By the file's name."""
    with pytest.raises(ConfigError, match=r"P\.json: not valid JSON"):
        parse_params('{"a":' * 100_000, "P.json")


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (400, "InvalidTag"), (403, "SomethingOfMinIO")]
)
def test_the_own_words_of_an_s3_server_are_passed_on(status: int, code: str) -> None:
    """The code alone does not say which policy or key it is."""
    own = "User: arn:aws:iam::1:user/bot is not authorized\nby a policy"
    answer = {"Error": {"Code": code, "Message": own}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert "user/bot is not authorized by a policy" in str(_refused(answer))


def test_a_link_without_credentials_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A link is signed here, so nobody else would say it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="s3://bucket/page: link: no credentials"):
        S3Store("bucket", region="us-east-1").link("page", 60, "text/html")


def damaged(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def of_another_version(path: Path) -> None:
    """As a newer MLflow leaves it: a revision of the schema that this one does not know."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('from-the-future')")
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    connection.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [damaged, of_another_version])
def test_a_database_that_mlflow_refuses(make: Any, tmp_path: Path) -> None:
    """Its own words, the file, and the way out."""
    make(tmp_path / "mlflow.db")
    backend = MlflowBackend(tmp_path)
    title = Title("group", "name", "key", bars_made(1).first, finished=False)
    with (
        pytest.raises(
            ConfigError, match=r"tracker mlflow: .*mlflow\.db: .*move the file aside, and: trader tracker"
        ),
        backend.run(title),
    ):
        pass


@pytest.mark.parametrize("said_by_the_verb", [False, True])
def test_an_interrupt_in_a_verb_is_said_once(
    said_by_the_verb: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library of the command line makes a silent exit of it; a verb that knows more says that instead."""
    app = typer.Typer()

    def pressed() -> None:
        raise KeyboardInterrupt

    @app.command()
    def verb() -> None:
        try:
            pressed()
        except KeyboardInterrupt:
            if not said_by_the_verb:
                raise
            terminal.say("interrupted: two of five are kept")
            raise SystemExit(terminal.EXIT_INTERRUPTED) from None

    monkeypatch.setattr(sys, "argv", ["backtest"])
    with pytest.raises(SystemExit) as ended:
        terminal.run(app)
    assert ended.value.code == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "interrupted: two" if said_by_the_verb else "interrupted; nothing that was written is lost"
    )
