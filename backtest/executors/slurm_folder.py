"""The folder that a coordinator and its Slurm workers share, seen from both ends (docs/executors.md).

    coordinator.json  who coordinates, its program, its Python path, for how long its workers wait for it; created if absent
    results/<key>     a task's answer; the coordinator's heartbeat lies beside them
    tasks/<chunk>     packed tasks that no worker has begun; the workers' heartbeats lie beside them
    claimed/<chunk>@<worker>  tasks that a worker has taken
    shared/<hash>     arrays that many tasks read
    workers/<worker>  a worker's first words: where it runs, and which program it is
    ended/<worker>    the exit code of its process, written by the shell that started it
    log/              what Slurm's jobs print
    end               the workers' leave to end

A file is written beside its place and renamed, so that it is whole or not there; a task is taken by renaming it, which one
worker can. Nothing is locked: locks over NFS are not to be relied on. A heartbeat lies where its writer looks for news, since
a client of NFS looks anew at a folder that it has changed itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backtest.executors.packing import packed, unpacked
from backtest.executors.protocol import Array, Arrays, SharedArrays
from trader.core.errors import ConfigError, Retry

_FOLDERS = ("results", "tasks", "claimed", "shared", "workers", "ended", "log")
# Before an answer: the seconds that it took, and its length. One that is not whole yet is not there yet.
_HEAD = struct.Struct("<dQ")
FULL = (errno.ENOSPC, errno.EDQUOT)


class SlurmFolder:
    """Paths and atomic steps; nothing here waits."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.log = self.path / "log"
        self._shared: set[str] = set()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn an OSError of the block into Retry where the disk is full, else into ConfigError; both name the folder."""
        try:
            yield
        except OSError as error:
            raise self.named(error) from None

    def named(self, error: OSError) -> Exception:
        """The same, of one error."""
        if error.errno in FULL:
            return Retry(full(self.path))
        return ConfigError(
            f"the Slurm folder {self.path} cannot be used: {error.strerror or error}. Choose another --slurm-folder"
        )

    def make(self) -> None:
        """Its subfolders."""
        for name in _FOLDERS:
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def write(self, place: str, data: bytes) -> None:
        """A whole file, in the place of an earlier one."""
        self._beside(place, data).replace(self.path / place)

    def create(self, place: str, data: bytes) -> bool:
        """A whole file where there is none. False where somebody was first."""
        file = self._beside(place, data)
        try:
            os.link(file, self.path / place)
        except FileExistsError:
            # A client of NFS may repeat a link that went through: the second name says whose it is.
            return file.stat().st_nlink == 2
        finally:
            file.unlink(missing_ok=True)
        return True

    def read(self, place: str) -> bytes | None:
        """A file's bytes, None where it is not there, or was replaced this moment."""
        try:
            return (self.path / place).read_bytes()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return None
            raise

    def read_json(self, place: str) -> dict[str, Any] | None:
        """The same as JSON. None for what is no object, too: a folder may be seen in parts."""
        try:
            found = json.loads(self.read(place) or b"null")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def remove(self, place: str) -> None:
        """Safe to repeat."""
        (self.path / place).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """What lies in a subfolder, ascending; no heartbeat, and nothing unfinished."""
        try:
            return sorted(it.name for it in (self.path / folder).iterdir() if not it.name.startswith("."))
        except FileNotFoundError:
            return []

    # Tasks: put out by the coordinator, taken by workers.

    def put_out(self, chunk: str, tasks: Mapping[str, bytes]) -> None:
        """Packed tasks by their keys, for the next worker that is free."""
        arrays = {key: np.frombuffer(task, np.uint8) for key, task in tasks.items()}
        self.write(f"tasks/{chunk}", packed({}, arrays))

    def withdraw(self, chunk: str) -> bool:
        """Take back what no worker has taken. False where one has."""
        taken = self._renamed(f"tasks/{chunk}", f"tasks/.withdrawn.{chunk}")
        if taken:
            self.remove(f"tasks/.withdrawn.{chunk}")
        return taken

    def claim(self, worker: str) -> str | None:
        """Take the oldest chunk; None where there is none."""
        for chunk in self.names("tasks"):
            if self._renamed(f"tasks/{chunk}", f"claimed/{chunk}@{worker}"):
                return chunk
        return None

    def tasks(self, chunk: str, worker: str) -> dict[str, Array]:
        """The packed tasks of a taken chunk, in their order; none where they are not seen (any more)."""
        data = self.read(f"claimed/{chunk}@{worker}")
        return unpacked(data)[1] if data else {}

    def claims(self) -> dict[str, str]:
        """Which worker has taken a chunk."""
        split = (name.partition("@") for name in self.names("claimed"))
        return {chunk: worker for chunk, _, worker in split}

    # Answers.

    def answer(self, key: str, seconds: float, answer: bytes) -> None:
        """Keep a task's answer by its key."""
        self.write(f"results/{key}", _HEAD.pack(seconds, len(answer)) + answer)

    def answered(self, key: str) -> tuple[float, bytes] | None:
        """How long a task took and its answer; None while it is not there, or not whole."""
        data = self.read(f"results/{key}")
        if data is None or len(data) < _HEAD.size:
            return None
        seconds, length = _HEAD.unpack_from(data)
        return (seconds, data[_HEAD.size :]) if len(data) == _HEAD.size + length else None

    def has_answer(self, key: str) -> bool:
        """Whether there is one already: a worker does not compute it again."""
        return (self.path / "results" / key).exists()

    # Shared arrays.

    def share(self, shared: SharedArrays) -> None:
        """Write arrays where they are not there yet."""
        if shared.name in self._shared:
            return
        if not (self.path / "shared" / shared.name).exists():
            self.write(f"shared/{shared.name}", packed({}, shared.arrays))
        self._shared.add(shared.name)

    def shared(self, name: str) -> Arrays:
        """Arrays that were shared: mapped, so that workers on one machine hold them once."""
        with (self.path / "shared" / name).open("rb") as file:
            return unpacked(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))[1]

    def beat(self, place: str, count: int) -> None:
        """A sign of life: whoever looks compares it with what it saw before, by its own clock."""
        self.write(place, str(count).encode())

    def clear(self, *, results: bool) -> None:
        """Remove what an ended session leaves; its answers only where all of them were wanted and read. Logs stay."""
        kept = {"log"} if results else {"log", "results"}
        for folder in set(_FOLDERS) - kept:
            for file in (self.path / folder).iterdir():
                file.unlink(missing_ok=True)
        self.remove("coordinator.json")

    def _beside(self, place: str, data: bytes) -> Path:
        folder, _, name = place.rpartition("/")
        own = f"{os.uname().nodename}-{os.getpid()}-{threading.get_ident()}"
        file = self.path / folder / f".{name.lstrip('.')}.{own}"
        try:
            file.write_bytes(data)
        except OSError:
            file.unlink(missing_ok=True)
            raise
        return file

    def _renamed(self, before: str, after: str) -> bool:
        """Whether this call has moved a file. A client of NFS may repeat a rename that went through, and be told that there
        is nothing to move."""
        try:
            (self.path / before).rename(self.path / after)
        except FileNotFoundError:
            return (self.path / after).exists()
        return True


def full(path: Path) -> str:
    """What a person is told of a folder without space."""
    return (
        f"no space is left in the Slurm folder {path}. Nothing is lost: make room, and the same command goes on from the "
        f"answers that lie there"
    )
