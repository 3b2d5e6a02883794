"""`trader tick` tells its trackers after the record, from a process of their own, and pays for none of their troubles."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tests.observers.conftest import START
from tests.support.forked_programs import programs
from tests.support.rig import NOTHING_LEFT_BEHIND, Venue, venue
from trader.app.journal import Journal
from trader.commands import tracker
from trader.config import EMBEDDED_SECRET, load_settings
from trader.core.errors import ConfigError
from trader.core.hours import line_text
from trader.core.types import HOUR_MS
from trader.observers import builders, process
from trader.observers import names as observer_names
from trader.wiring import make_journal

CANARY = "c4n4ry-9f2b7d"


@pytest.fixture
def bot(traded: Path, bars_file: Path, tmp_path: Path) -> Iterator[Venue]:
    """A bot before its first hour, with its trackers' folder beside its store."""
    shutil.copytree(traded, tmp_path / "state")
    for later in ("journal", "studies", "state/BTCUSDT/study"):
        shutil.rmtree(tmp_path / "state" / later)
    with venue(tmp_path, bars_file, START) as made:
        yield made


def tracked(made: Venue, names: str, **settings: str) -> None:
    """Set the trackers that commands find in their environment, and wait for: what they were told is looked at next."""
    made.settings = {
        "TRADER_TRACKERS": names,
        **NOTHING_LEFT_BEHIND,
        "TRADER_OBSERVER_PATIENCE_S": "250",
        "MPLCONFIGDIR": os.environ["MPLCONFIGDIR"],
        **settings,
    }


def records(made: Venue) -> list[str]:
    """The lines of its closed hours."""
    return [line_text(record.line) for record in journal(made).records()]


def journal(made: Venue) -> Journal:
    """Its journal."""
    return make_journal(load_settings(store=made.folder / "state"))


def with_database(made: Venue, database: Path) -> None:
    """Put a database into the place of that which the first telling makes."""
    (made.folder / "tracking").mkdir(exist_ok=True)
    shutil.copy(database, made.folder / "tracking")


def hours_told(made: Venue) -> list[int]:
    """Steps that MLflow's file holds."""
    with closing(sqlite3.connect(made.folder / "tracking" / "mlflow.db")) as rows:
        found = rows.execute("select step from metrics where key = 'equity_usdt' order by step").fetchall()
    return [step for (step,) in found]


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_tick_tells_and_its_own_process_imports_no_tracker_and_no_pandas(
    bot: Venue, mlflow_database: Path
) -> None:
    """Trackers are told, a dead Neptune server leaves offline files, and no key or token reaches any of their files."""
    token = base64.b64encode(json.dumps({"api_address": "http://127.0.0.1:9", "api_key": CANARY}).encode())
    address = {"TRADER_NEPTUNE_PROJECT": "me/bot", "TRADER_NEPTUNE_TOKEN": token.decode()}
    tracked(bot, "mlflow,neptune", **address)
    with_database(bot, mlflow_database)
    code = (  # whom it tells by a process of its own is told by one that is forked
        f"import sys; sys.argv = ['trader', 'tick']; sys.executable = {str(programs() / 'python')!r}\n"
        "from trader.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([name for name in ('mlflow', 'neptune', 'matplotlib', 'sqlalchemy', 'pandas') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=bot.folder,
        env=bot.environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert hours_told(bot) == [0]
    assert [*(bot.folder / "tracking" / "neptune").glob(".neptune/offline/*/data-1.log")]
    written = [path for path in bot.folder.rglob("*") if path.is_file()]
    secrets = (CANARY.encode(), EMBEDDED_SECRET.encode(), token, base64.b64encode(CANARY.encode()))
    assert not [path for path in written for secret in secrets if secret in path.read_bytes()]
    assert not [secret for secret in secrets if secret in (done.stdout + done.stderr).encode()]


def test_a_broken_tracker_costs_no_hour_and_hears_of_it_later(
    bot: Venue, traded: Path, mlflow_database: Path
) -> None:
    """A dead server, one that never answers, a disk that is full: the tick's exit code and record are the same as
    without any tracker, and the next tick with a working one tells every hour once."""
    with silent_server() as silent:
        troubles: list[tuple[dict[str, str], str]] = [
            ({"TRADER_MLFLOW_URI": "http://127.0.0.1:9"}, "observer mlflow: "),
            (
                {"TRADER_MLFLOW_URI": silent, "TRADER_OBSERVER_PATIENCE_S": "2"},
                ": stopped after 2 s; ",
            ),
        ]
        for hour, (settings, said) in enumerate(troubles):
            tracked(bot, "mlflow", **settings)
            bot.move_to(START + hour * HOUR_MS)
            done = bot.trader("tick")
            assert said in done.stderr
            assert "Traceback" not in done.stderr
            assert "already done" not in done.stdout
    bot.move_to(START + 2 * HOUR_MS)
    tracked(bot, "mlflow")
    full = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -f 64; exec {sys.executable} -m trader.cli tick"],
        cwd=bot.folder,
        env=bot.environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert "observer mlflow: " in full.stderr
    for left in (bot.folder / "tracking").glob("mlflow.db*"):
        left.unlink()
    with_database(bot, mlflow_database)
    never_troubled = [line_text(r.line) for r in make_journal(load_settings(store=traded)).records()]
    assert records(bot) == never_troubled[:3]

    done = bot.trader("tick")
    assert "already done" in done.stdout
    assert hours_told(bot) == [0, 1, 2]
    assert bot.trader("tick").stderr == ""
    assert hours_told(bot) == [0, 1, 2]


def test_a_service_never_waits_for_its_observers(bot: Venue) -> None:
    """They run beside it; when it is stopped they are ended too."""
    bot.trader("tick")
    assert not (bot.folder / "tracking").exists(), "a tick without trackers writes nothing for them"
    assert not (bot.folder / "state" / "observers").exists()
    with silent_server() as silent, pytest.MonkeyPatch.context() as patch:
        patch.chdir(bot.folder)
        patch.setattr(process, "GRACE_S", 0.1)
        patch.setenv("TRADER_TRACKERS", "mlflow")
        patch.setenv("TRADER_MLFLOW_URI", silent)
        with process.BackgroundObservers(load_settings(store="state")) as observers:
            observers.tell(journal(bot), START, closed=False)
            ((begun, _),) = observers._running
            while begun.child is None:
                time.sleep(0.01)
            assert begun.child.poll() is None
            observers.tell(journal(bot), START, closed=True)
            (_, (second, _)) = observers._running
            assert second.child is None, "one telling at a time"
        assert begun.child.poll() is not None
        assert second.child is None
        assert not (bot.folder / "state" / "observers").exists(), "a service that ends blames nobody"


def test_a_tracker_that_is_not_installed_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, it is an error with the way out; by default it is a note, and nothing is told."""
    monkeypatch.setattr(observer_names, "find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"pip install '\.\[neptune\]'"):
        builders.require_installed(load_settings(trackers="neptune"))
    settings = load_settings()
    builders.require_installed(settings)
    assert observer_names.names_of(settings) == ()
    assert "MLflow is not installed" in builders.note_of(settings)


def test_the_pages_need_the_full_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the small client is installed, the message says what to install."""

    def only_the_small_one(name: str) -> str:
        if name == "mlflow":
            raise PackageNotFoundError(name)
        return "3.17.2"

    monkeypatch.setattr(tracker, "version", only_the_small_one)
    with pytest.raises(ConfigError, match=r"pip install 'mlflow==3\.17\.2'"):
        tracker.ui_command(load_settings(), 5000)
