"""A selection on disk.

    lock            held by the process that writes
    files.json      what each file of bars holds, by the hash of its bytes
    journal.jsonl   a line a candidate and series, appended and flushed when it has ended; a failed one with its reason
    results/        its forecast, what came, and its model's bytes, by its key
    models/         the winners' models and cards, by symbol; best/ their parameters
    candidates.jsonl, selection.json, page.html   what follows from the journal

A key is the hash of all that a result follows from, so whatever is asked again is found, and a line that a crash cut short is
a candidate that has not ended.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backtest.executors.packing import unpacked
from backtest.executors.protocol import Array
from trader.core.errors import ConfigError, DataError, Retry

SCHEMA = "selection/1"


class SelectionFolder:
    """One selection's folder. Only its holder writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "journal.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one process at a time. Raises Retry, naming the other, while somebody else holds it."""
        with _errors_of(self.path):
            for name in ("", "results", "models", "best"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                other = os.read(handle, 32).decode(errors="replace").strip() or "another one"
                raise Retry(
                    f"{self.path} is being written by process {other}. Wait until it has ended, or choose another --out folder"
                ) from None
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(handle)

    def rows(self) -> dict[str, dict[str, Any]]:
        """What has ended, by key; an incomplete last line is cut off the file. Raises DataError for a damaged one within it."""
        if not self._journal.exists():
            return {}
        data = self._journal.read_bytes()
        whole, _, torn = data.rpartition(b"\n")
        if torn:
            with _errors_of(self.path):
                os.truncate(self._journal, len(data) - len(torn))
        found = {}
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = json.loads(line)
                found[str(row["key"])] = row
            except (ValueError, TypeError, KeyError):
                raise DataError(
                    f"{self._journal}, line {number} is damaged. Remove that line: its candidate is evaluated again"
                ) from None
        return found

    def append(self, row: Mapping[str, Any], result: bytes = b"") -> None:
        """An ended candidate. Its result is there before its line, so that every line has its file."""
        with _errors_of(self.path):
            if result:
                _write_whole(self._result(row["key"]), result)
            handle = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, (json.dumps(row) + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)

    def result(self, key: str) -> dict[str, Array]:
        """The arrays of an ended candidate. Raises DataError without them."""
        try:
            return unpacked(self._result(key).read_bytes())[1]
        except OSError as error:
            raise DataError(
                f"{self._result(key)} cannot be read ({error.strerror}); choose another --out folder"
            ) from None

    def read(self, name: str) -> dict[str, Any]:
        """A file of JSON; {} where there is none, or no object in it."""
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, name: str, content: str | bytes) -> None:
        """A file, moved to its place whole."""
        with _errors_of(self.path):
            _write_whole(self.path / name, content.encode() if isinstance(content, str) else content)

    def _result(self, key: str) -> Path:
        return self.path / "results" / key[:40]


def _write_whole(file: Path, content: bytes) -> None:
    unfinished = file.with_name(file.name + ".tmp")
    unfinished.write_bytes(content)
    unfinished.replace(file)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}. Choose another --out folder"
        ) from None
