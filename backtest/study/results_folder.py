"""A folder that a long work fills: one writer at a time, a journal to which a line is appended and flushed when something has
ended, and files that are moved to their place whole. A line that a crash cut short is something that has not ended."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trader.core.errors import ConfigError, DataError, Retry


class ResultsFolder:
    """Only its holder writes. A subclass gives the words of its messages: `named` what stands before the path, `option` that
    names the folder, `work` what the other process does, `unit` what a line of the journal is, `key` its name in the line."""

    named = ""
    option = "--out"
    work = "written"
    unit = "candidate"
    key = "key"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "journal.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one process at a time. Raises Retry, naming the other, while somebody else holds it."""
        with self._locked(fcntl.LOCK_EX, f", or choose another {self.option} folder") as handle:
            os.write(handle, f"{os.getpid()}\n".encode())
            yield

    @contextmanager
    def _locked(self, kind: int, way_out: str = "") -> Iterator[int]:
        """The lock, of a `kind` of fcntl.flock, and the file that names its holder. way_out: what else than waiting helps."""
        with self.errors():
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
            except OSError:
                holder = os.read(handle, 32).decode(errors="replace").strip()
                by = f"process {holder}" if holder else "another process"
                raise Retry(
                    f"{self.named}{self.path} is being {self.work} by {by}. Wait until it has ended{way_out}"
                ) from None
            os.ftruncate(handle, 0)  # who held it before holds it no more
            yield handle
        finally:
            os.close(handle)

    def ended(self) -> list[dict[str, Any]]:
        """The lines of the journal; an incomplete last one is cut off the file. Raises DataError for a damaged one within it."""
        whole, torn = self._read()
        if torn:
            with self.errors():
                os.truncate(self._journal, len(whole) + 1 if whole else 0)
        return [self._line(number, line) for number, line in enumerate(whole.splitlines(), start=1)]

    def lines(self) -> list[dict[str, Any]]:
        """The same for a reader, who changes nothing: a line that is being written is not there yet."""
        return [self._line(number, line) for number, line in enumerate(self._read()[0].splitlines(), start=1)]

    def _read(self) -> tuple[bytes, bytes]:
        """The whole lines, and what was cut short after them."""
        if not self._journal.exists():
            return b"", b""
        whole, _, torn = self._journal.read_bytes().rpartition(b"\n")
        return whole, torn

    def _line(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
            int(row[self.key]) if self.key == "number" else str(row[self.key])
        except (ValueError, TypeError, KeyError):
            raise DataError(
                f"{self._journal}, line {number} is damaged. Remove that line: its {self.unit} is evaluated again"
            ) from None
        return row

    def append_lines(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """On the disk when this returns, all or (after a crash) the first few of them."""
        if not rows:
            return
        text = "".join(json.dumps(row) + "\n" for row in rows)
        with self.errors():
            handle = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _append(handle, text.encode())
            finally:
                os.close(handle)

    def write(self, name: str, content: str | bytes) -> None:
        """A file of the folder, moved to its place whole."""
        file = f"{self.path}/{name}"  # a selection writes thousands: paths as text cost a fifth
        with self.errors():
            with open(f"{file}.tmp", "wb") as unfinished:  # noqa: PTH123
                unfinished.write(content.encode() if isinstance(content, str) else content)
            os.replace(f"{file}.tmp", file)  # noqa: PTH105

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn an OSError of the block into a ConfigError that names the folder."""
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"{self.named}{self.path} cannot be written: {error.strerror or error}. Choose another {self.option} folder"
            ) from None


def _append(handle: int, data: bytes) -> None:
    """Whole and on the disk, or not at all: a disk that fills up in the middle of a line takes a part of it without an error, and
    the next line would stand behind that part."""
    before = os.fstat(handle).st_size
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except OSError:
        with suppress(OSError):
            os.ftruncate(handle, before)
        raise
