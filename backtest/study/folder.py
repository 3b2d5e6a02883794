"""A study on disk: what it is of, every trial as soon as it has ended, and what can be read from both.

    study.json      what must be the same when it goes on; written once
    journal.jsonl   a line a trial, appended and flushed when the trial has ended, in the order of their ends
    returns/        a complete trial's net hourly returns, (hours,) float64, by its number
    folds/          the cache, unless another folder was named
    trials.jsonl    a line a trial in the order of their numbers; P.json the best. Both follow from the journal

A line that a crash cut short is a trial that has not ended.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trader.core.errors import ConfigError, DataError, Retry
from trader.core.types import Floats

SCHEMA = "study/1"


class StudyFolder:
    """One study's folder. Only its holder writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "journal.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one process at a time. Raises Retry, naming the other, while somebody else holds it."""
        with _errors_of(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                other = os.read(handle, 32).decode(errors="replace").strip() or "another one"
                raise Retry(
                    f"study {self.path} is being run by process {other}. Wait until it has ended, or choose another "
                    f"--study folder"
                ) from None
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(handle)

    def begin(self, identity: dict[str, Any]) -> None:
        """Write the study's identity, or on resuming compare it with the stored one. Raises ConfigError where they differ."""
        file = self.path / "study.json"
        if not file.exists():
            self._write(file, json.dumps({"schema": SCHEMA, **identity}, indent=1) + "\n")
            return
        try:
            begun = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read ({error}); choose another --study folder") from None
        if not isinstance(begun, dict):
            raise DataError(f"{file} holds no JSON object; choose another --study folder")
        if begun.get("schema") != SCHEMA:
            raise DataError(f"{file}: schema {begun.get('schema')!r}, this program reads {SCHEMA!r}")
        if begun.get("data") != identity["data"]:
            raise ConfigError(
                f"study {self.path} was begun on bars with the hash {begun.get('data')}; the given bars have {identity['data']}. "
                f"Give the same bars, or choose another --study folder"
            )
        changed = [key for key, value in json.loads(json.dumps(identity)).items() if begun.get(key) != value]
        if changed:
            said = "; ".join(
                f"{key} {_short(begun.get(key))}, now {_short(identity[key])}" for key in changed
            )
            raise ConfigError(
                f"study {self.path} was begun with {said}. Use the same values, or choose another --study folder"
            )

    def rows(self) -> dict[int, dict[str, Any]]:
        """The trials that have ended, by their number; an incomplete last line is cut off the file. Raises DataError for a
        damaged line within it."""
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
                found[int(row["number"])] = row
            except (ValueError, TypeError, KeyError):
                raise DataError(
                    f"{self._journal}, line {number} is damaged. Remove that line: its trial is evaluated again"
                ) from None
        return found

    def append(self, row: dict[str, Any], returns: Floats | None) -> None:
        """Append an ended trial to the journal. Its returns are on the disk before, so every trial of the journal
        has its file."""
        if returns is not None:
            self._write_returns(int(row["number"]), returns)
        with _errors_of(self.path):
            handle = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, (json.dumps(row) + "\n").encode())
                os.fsync(handle)
            finally:
                os.close(handle)

    def returns(self, number: int) -> Floats:
        """A complete trial's net hourly returns, (hours,) float64. Raises DataError without them."""
        file = self._returns(number)
        try:
            found: Floats = np.load(file)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file} cannot be read ({error}); run the study again in another folder"
            ) from None
        return found

    def publish(self, rows: Sequence[dict[str, Any]], best: dict[str, Any] | None) -> None:
        """trials.jsonl, and P.json where there is a best one."""
        self._write(self.path / "trials.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        if best is not None:
            self._write(self.path / "P.json", json.dumps(best, indent=1) + "\n")

    def _returns(self, number: int) -> Path:
        return self.path / "returns" / f"{number:05d}.npy"

    def _write_returns(self, number: int, returns: Floats) -> None:
        file = self._returns(number)
        with _errors_of(self.path):
            file.parent.mkdir(exist_ok=True)
            unfinished = file.with_suffix(".tmp")
            with unfinished.open("wb") as out:
                np.save(out, returns)
                out.flush()
                os.fsync(out.fileno())
            unfinished.replace(file)

    def _write(self, file: Path, text: str) -> None:
        unfinished = file.with_name(file.name + ".tmp")
        with _errors_of(self.path):
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(file)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"study {path} cannot be written: {error.strerror or error}. Choose another --study folder"
        ) from None


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
