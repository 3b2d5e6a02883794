"""One worker: the process of an element of a Slurm job array. It takes tasks from the shared folder until it is told to end,
or until its coordinator has been silent for too long."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import OrderedDict
from json import dumps
from pathlib import Path

from backtest.executors.packing import computed
from backtest.executors.program import program
from backtest.executors.protocol import Array, Arrays
from backtest.executors.slurm_folder import FULL, SlurmFolder

# Exit codes that the coordinator reads: the folder is full, and for how long a worker waits for room.
EXIT_FULL = 75
ROOM_S = 60.0
BEAT_S = 2.0
# A search within a lifecycle shares other arrays than the one before: what was not used for longest is let go.
_HELD = 4
_LONGEST_PAUSE_S = 0.5
_SEEN_S = 60.0
# Until the folder says for how long a coordinator may be silent.
_SILENT_S = 60.0


def main(place: str, name: str) -> int:
    """The exit code: 0 where it was told to end or its coordinator is gone. name: the element of the array, as squeue has it."""
    try:
        return Worker(SlurmFolder(Path(place)), name).work()
    except OSError as error:
        if error.errno in FULL:
            return EXIT_FULL
        raise


class Worker:
    """Computes what it takes, in order; each answer is kept before the next task is begun."""

    def __init__(self, folder: SlurmFolder, name: str, room_s: float = ROOM_S) -> None:
        self._folder, self._name, self._room_s = folder, name, room_s
        self._held: OrderedDict[str, Arrays] = OrderedDict()
        self._idle_since = time.monotonic()
        self._seen, self._seen_at, self._silent_s = b"", time.monotonic(), _SILENT_S

    def work(self) -> int:
        """Until it is told to end."""
        told = {"host": socket.gethostname(), "pid": os.getpid(), "program": program()}
        self._folder.write(f"workers/{self._name}", dumps(told).encode())
        threading.Thread(target=self._beat, daemon=True).start()
        while True:
            chunk = self._folder.claim(self._name)
            if chunk is not None:
                self._compute(chunk)
                self._idle_since = time.monotonic()
            elif self._is_over():
                return 0
            else:
                # What waits for long is looked for less often, and found a twentieth later.
                time.sleep(min(_LONGEST_PAUSE_S, max(0.01, (time.monotonic() - self._idle_since) / 20)))

    def _compute(self, chunk: str) -> None:
        for key, task in self._tasks_of(chunk).items():
            if not self._folder.has_answer(key):
                began = time.perf_counter()
                answer = computed(task.data, self._shared)
                self._keep(key, time.perf_counter() - began, answer)
        self._folder.remove(f"claimed/{chunk}@{self._name}")

    def _tasks_of(self, chunk: str) -> dict[str, Array]:
        """What this worker has taken may be seen here a moment later than it was renamed."""
        stop = time.monotonic() + _SEEN_S
        while not (tasks := self._folder.tasks(chunk, self._name)):
            if time.monotonic() > stop:
                raise RuntimeError(
                    f"chunk {chunk} was taken and is not there: the coordinator gave this worker up"
                )
            time.sleep(0.1)
        return tasks

    def _keep(self, key: str, seconds: float, answer: bytes) -> None:
        """A full disk may have room in a moment; what was computed is worth waiting for."""
        stop = time.monotonic() + self._room_s
        while True:
            try:
                return self._folder.answer(key, seconds, answer)
            except OSError as error:
                if error.errno not in FULL or time.monotonic() > stop:
                    raise
                time.sleep(1)

    def _shared(self, name: str) -> Arrays:
        if name not in self._held:
            if len(self._held) == _HELD:
                self._held.popitem(last=False)
            self._held[name] = self._folder.shared(name)
        self._held.move_to_end(name)
        return self._held[name]

    def _is_over(self) -> bool:
        if (self._folder.path / "end").exists():
            return True
        now, seen = time.monotonic(), self._folder.read("results/.beat") or b""
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
            return False
        told = self._folder.read_json("coordinator.json") or {}
        self._silent_s = float(told.get("silent_s", self._silent_s))
        return now - self._seen_at > self._silent_s

    def _beat(self) -> None:
        count = 0
        while True:
            count += 1
            with contextlib.suppress(OSError):  # full, or away for a moment: silence says the same
                self._folder.beat(f"tasks/.beat-{self._name}", count)
            time.sleep(BEAT_S)
