"""Commands in processes of their own that need not import everything anew: a fork server has done that once.

A fresh interpreter spends a second on imports before it works for a tenth of one. What must be seen with its own
imports or its own hash seed (what a verb loads, whether two runs write the same bytes) is started as `python -m` by the
tests that look at it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from trader.adapters.talib_features import register_shipped

# A process has one fork server, and the last list it is given before its first fork is the one that counts: this one,
# for all tests. What is named here is imported there, and starts no thread.
crew = multiprocessing.get_context("forkserver")
crew.set_forkserver_preload(
    [
        "tests.support.forked",
        "tests.support.forked_programs",
        "tests.support.crew",
        "tests.support.book_crew",
        "tests.support.doom",
        "trader.cli",
        "trader.wiring",
        "trader.app.dry",
        "backtest.cli",
        "tests.support.built",
        "trader.app.status",
        "trader.forecasters.xgboost",
        "trader.observers.status_words",
        "pydantic.dataclasses",
        "boto3",
        "tests.support.forked_boto",
        "pyarrow.parquet",
        "talib",
        "xgboost",
        "_strptime",
        # Trackers, whose observers are processes of their own.
        "trader.adapters.tracker_mlflow",
        "mlflow",
        "neptune",
        "neptune.metadata_containers",
        # Half a second each, for studies, reports, pages, schedules, databases of bars, and errors of usage.
        "optuna",
        "matplotlib.figure",
        "matplotlib.backends.backend_svg",
        "backtest.report.make",
        "jinja2",
        "apscheduler.schedulers.blocking",
        "sqlalchemy.dialects.sqlite",
        "typer.rich_utils",
        # Seconds each; they are there only where `make families` tests them.
        "trader.forecasters.tft_training",
        "statsforecast.models",
        "prophet_batch",
        "tests.support.frozen",
    ]
)
register_shipped()  # for children that are no command and begin below `begin`

# Where the controller of pytest's workers says to them how its fork server is reached.
SHARED = "HOURLY_TRADER_TESTS_FORK_SERVER"
# Where the programs lie that a command of a test starts (`forked_programs`).
FOLDER = "HOURLY_TRADER_TESTS_PROGRAMS"
_server: Any = multiprocessing.forkserver._forkserver


def share() -> None:
    """Start the fork server of this process, for all workers of pytest that are started next: it imports while they collect."""
    _server.ensure_running()
    os.environ[SHARED] = _server._forkserver_address.encode().hex()


def share_programs() -> None:
    """Start the server of `forked_programs` in this process, for all workers of pytest that are started next. Nobody waits for
    it here: the fork server has to import everything first."""
    from tests.support.forked_programs import new_folder, serve

    folder = new_folder()
    os.environ[FOLDER] = str(folder)
    threading.Thread(target=serve, args=(folder,), daemon=True).start()


if "PYTEST_XDIST_WORKER" in os.environ and SHARED in os.environ:
    # A worker has no fork server to start, and none to wait for at its end.
    _server._forkserver_address = bytes.fromhex(os.environ[SHARED]).decode()
    _server._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)
    _server.ensure_running = multiprocessing.resource_tracker.ensure_running


def start(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path
) -> BaseProcess:
    """Start `trader ...` or `backtest ...` in a folder, with this environment and no other, its output into files."""
    from tests.support.forked_programs import programs

    child = crew.Process(target=_work, args=(arguments, cwd, environment, out, err, str(programs())))
    child.start()
    return child


def run(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` would give for the console command, its output as text."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        child = start(arguments, cwd, environment, out, err)
        try:
            child.join(timeout_s)
            if child.is_alive():
                raise subprocess.TimeoutExpired(arguments, timeout_s)
        finally:
            child.kill()
            child.join()
        code = child.exitcode
        assert code is not None
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


@contextmanager
def running(arguments: tuple[str, ...], cwd: Path, stderr: Path | None = None) -> Iterator[str]:
    """A command that works until it is ended: its first line on standard output. Ended as `docker stop` does. What it says
    to stderr is in the file, if one is given."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", stderr or Path(folder) / "err"
        child = start(arguments, cwd, {"PATH": os.defpath}, out, err)
        try:
            while not (out.exists() and out.read_text().endswith("\n")):
                assert child.is_alive(), err.read_text()
                time.sleep(0.01)
            yield out.read_text().splitlines()[0]
        finally:
            child.terminate()
            child.join(30)
            child.kill()
            child.join()


def _work(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], out: Path, err: Path, programs: str
) -> NoReturn:
    """The child: a process as a shell would have begun it, but for its imports."""
    for stream, file in ((1, out), (2, err)):
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(number, stream)
        os.close(number)
    begin(arguments, cwd, environment, programs)


def begin(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], programs: str) -> NoReturn:
    """Become this command, whose standard streams are 0, 1 and 2, as if its program had been started: `trader ...`,
    `backtest ...`, or `python -m MODULE ...`, `python -c TEXT ...`. The processes that it starts are forked as well."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the fork server hears none
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.executable = f"{programs}/python"
    program, *words = arguments
    if program == "python":
        _interpret(*words)
        sys.exit()
    sys.argv = list(arguments)
    sys.exit(importlib.import_module(f"{program}.cli").main())


def _interpret(kind: str, what: str, *words: str) -> None:
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if what in ("trader.cli", "backtest.cli"):
        command = importlib.import_module(what)
        sys.argv = [str(command.__file__), *words]
        command.main()
    elif kind == "-m":
        sys.argv = [what, *words]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *words]
        exec(what, {"__name__": "__main__"})  # noqa: S102  # as `python -c` does
