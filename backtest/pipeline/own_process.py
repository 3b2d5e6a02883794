"""A person's own stage, run in a process of its own in a folder that holds its inputs, each under the name it was declared by."""

from __future__ import annotations

import importlib.util
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from backtest.pipeline.job import Job
from trader.core.errors import ConfigError, DataError

_LOOK_EVERY_S = 0.1
_LINES_SHOWN = 12
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_AN_ERROR = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning)\b.*")


class OwnStageFailed(DataError):
    """A person's own stage ended with an error. printed: the last lines that it printed."""

    def __init__(self, message: str, printed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.printed = printed


def run_own(job: Job, inputs: Mapping[str, Path], folder: Path, stop: threading.Event) -> dict[str, bytes]:
    """Its declared outputs. Raises OwnStageFailed where it fails, DataError where it makes less than it declared,
    ConfigError where a notebook cannot be run here, KeyboardInterrupt where it was stopped."""
    assert job.run is not None  # noqa: S101  # only such jobs come here
    # Another one each time: a process that outlived a kill of its run may still write in the folder that it had.
    shutil.rmtree(folder, ignore_errors=True)
    folder = folder / secrets.token_hex(4)
    folder.mkdir(parents=True)
    for name, path in inputs.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    for name in job.outputs:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    command = _command(job.run)
    log = folder / ".log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # noqa: S603  # this interpreter, the person's file
        try:
            code = _ended(process, stop)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code:
        printed = _last_lines(log)
        raise OwnStageFailed(f"{job.run.name} ended with {code}: {_reason(printed)}", printed)
    lacking = [name for name in job.outputs if not (folder / name).is_file()]
    if lacking:
        raise DataError(
            f"{job.run.name} ended well and did not make {', '.join(lacking)}, which [stage.{job.name}] "
            "outputs declares; it must write that file below the folder it is run in"
        )
    return {name: (folder / name).read_bytes() for name in job.outputs}


def _command(run: Path) -> list[str]:
    if run.suffix != ".ipynb":
        return [sys.executable, "-B", str(run.resolve())]
    for library in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(library) is None:
            raise ConfigError(
                f"{run.name} is a notebook, and {library} is not installed: python -m pip install nbclient ipykernel"
            )
    return [sys.executable, "-m", "backtest.pipeline.notebook_process", str(run.resolve())]


def _ended(process: subprocess.Popen[bytes], stop: threading.Event) -> int:
    while True:
        try:
            return process.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                raise KeyboardInterrupt from None


def _reason(printed: tuple[str, ...]) -> str:
    """The line that names an exception, else the last one."""
    named = [it for it in printed if _AN_ERROR.fullmatch(it)]
    return [*printed[-1:], *named][-1] if printed else "it printed nothing"


def _last_lines(log: Path) -> tuple[str, ...]:
    lines = _COLOUR.sub("", log.read_text(encoding="utf-8", errors="replace")).rstrip().splitlines()
    return tuple(lines[-_LINES_SHOWN:])
