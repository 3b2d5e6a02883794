"""A Slurm cluster: job arrays whose elements live as long as the command and take tasks from a folder that all machines see.

Nothing is submitted before the first task that needs a worker. A thread of the coordinator puts tasks out, reads answers and
keeps the workers at their number; a coordinator that was killed is replaced by the same command, which finds the answers, the
workers and the queued jobs of the one before.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from backtest.executors.futures import at_once
from backtest.executors.program import program
from backtest.executors.protocol import Executor, Task, WorkerLost
from backtest.executors.registry import Setup
from backtest.executors.slurm_fleet import Fleet
from backtest.executors.slurm_folder import SlurmFolder
from backtest.executors.slurm_jobs import SlurmJobs, require_commands
from backtest.executors.slurm_queue import TaskQueue
from backtest.executors.slurm_settings import SlurmSettings, slurm_settings
from trader.core.errors import ConfigError, Retry

# So long a worker waits for a coordinator that is silent: whoever comes back within it finds its workers.
SILENT_S = 600.0
_BEAT_S = 2.0
_LONGEST_PAUSE_S = 0.05
_END_S = 20.0
# A coordinator that lives beats within it.
_TAKE_OVER_S = 8.0
_LOSSES = 3


def open_executor(setup: Setup) -> Executor:
    """What the registry calls. Raises ConfigError without Slurm's commands, or without a folder."""
    settings = slurm_settings(setup.options, Path.cwd())
    require_commands()
    if settings.folder is None and setup.folder is None:
        raise ConfigError(
            "--executor slurm needs a folder that all machines of the cluster see: give --slurm-folder, or a folder that this "
            "command keeps its results in"
        )
    folder = Path(settings.folder) if settings.folder else Path(str(setup.folder)) / "slurm"
    return SlurmExecutor(setup.workers, SlurmFolder(folder), settings, setup.tell)


class SlurmExecutor:
    """`workers` elements of arrays. What fails for all of them is raised by whatever is waited for or given next."""

    def __init__(
        self, workers: int, folder: SlurmFolder, settings: SlurmSettings, tell: Callable[[str], None]
    ) -> None:
        self.capacity = max(1, workers)
        self._folder, self._settings, self._tell = folder, settings, tell
        self._queue = TaskQueue(folder, self.capacity)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failed: Exception | None = None
        self._closing = threading.Event()
        self._done = threading.Event()
        self._given = threading.Event()
        self._beats = self._losses = 0
        self._beat_at = 0.0

    def submit(self, task: Task) -> Future[bytes]:
        """Into the folder; what costs less than a job is computed here while there is none."""
        if self._closing.is_set():
            raise WorkerLost("the executor was closed")
        if task.placement == "caller" and self._thread is None:
            return at_once(task)
        with self._lock, self._folder.errors():
            if self._thread is None:
                self._fleet = self._begun()
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        with self._folder.errors():
            self._folder.share(task.shared)
            future = self._queue.add(task)
        self._given.set()
        return future

    def close(self) -> None:
        """What was begun ends and is handed over, then the workers do. A second interrupt cancels the jobs at once."""
        with self._lock:  # never while waiting: a lost task is given again by the thread that is waited for
            self._closing.set()
            thread = self._thread
        if thread is None:
            self._end_what_was_left()
        if thread is None or self._done.is_set():
            return
        try:
            whole = self._queue.stop()
            while self._failed is None and not self._queue.is_empty and thread.is_alive():
                self._done.wait(0.02)
            self._done.set()
            thread.join()
            with self._folder.errors():
                self._fleet.end(0 if self._failed else _END_S)
                self._folder.clear(results=whole and self._failed is None)
        except BaseException:
            self._done.set()
            self._fleet.cancel()
            raise

    def _begun(self) -> Fleet:
        """Hold the folder, with what an earlier coordinator left in it, and have workers."""
        fleet = self._held()
        self._queue.begin()
        self._lose_strangers(fleet)
        fleet.fill()
        return fleet

    def _held(self) -> Fleet:
        """The folder is this coordinator's, and so are the workers of one that is no more. Raises Retry for one that lives."""
        self._folder.make()
        before = self._taken_over()
        name = str(before.get("name") or f"backtest-{uuid.uuid4().hex[:12]}")
        told = {"name": name, "host": socket.gethostname(), "pid": os.getpid(), "silent_s": SILENT_S}
        more = {"program": program(), "path": [str(Path(it or ".").resolve()) for it in sys.path]}
        if not self._folder.create("coordinator.json", json.dumps({**told, **more}).encode()):
            raise Retry(self._in_use(self._folder.read_json("coordinator.json") or {}))
        self._folder.remove("end")
        self._beat()
        jobs = SlurmJobs(name, self._folder.path, self._settings)
        fleet = Fleet(self._folder, jobs, self.capacity, self._tell)
        if before:
            fleet.adopt(same_program=before.get("program") == program())
        return fleet

    def _end_what_was_left(self) -> None:
        """The workers of a coordinator that was killed, where this one had no task for them: else they would wait for minutes."""
        if self._folder.read_json("coordinator.json") is None:
            return
        with contextlib.suppress(Retry), self._folder.errors():  # a command that lives there ends its own
            self._held().end(0)
            self._folder.clear(results=True)

    def _taken_over(self) -> dict[str, Any]:
        """What a coordinator that is no more had written, nothing without one. Raises Retry for one that lives."""
        before = self._folder.read_json("coordinator.json")
        if before is None:
            return {}
        seen, stop = self._folder.read("results/.beat"), time.monotonic() + _TAKE_OVER_S
        while not _is_dead(before) and time.monotonic() < stop:
            if self._folder.read("results/.beat") != seen:
                raise Retry(self._in_use(before))
            time.sleep(0.1)
        taken = self._folder.take("coordinator.json", uuid.uuid4().hex)
        if (
            taken is not None and json.loads(taken) != before
        ):  # another one was faster; what is theirs stays theirs
            self._folder.create("coordinator.json", taken)
            raise Retry(self._in_use(json.loads(taken)))
        return before

    def _in_use(self, other: dict[str, Any]) -> str:
        return (
            f"the Slurm folder {self._folder.path} is in use by process {other.get('pid')} on {other.get('host')}. Wait until "
            f"it has ended, or choose another --slurm-folder"
        )

    def _run(self) -> None:
        """The thread: until it is closed, or until something fails for all."""
        moved = time.monotonic()
        try:
            while not self._done.is_set():
                if self._step():
                    moved = time.monotonic()
                self._given.wait(min(_LONGEST_PAUSE_S, max(0.005, (time.monotonic() - moved) / 20)))
                self._given.clear()
        except Exception as error:  # whoever waits for an answer must not wait for ever
            self._failed = self._folder.named(error) if isinstance(error, OSError) else error
            self._queue.fail(self._failed)

    def _step(self) -> bool:
        """Whether an answer came."""
        if time.monotonic() - self._beat_at > _BEAT_S:
            self._beat()
        self._queue.put_out()
        came = self._queue.collect()
        self._losses = 0 if came else self._losses
        lost = self._fleet.look()
        for name, why in lost.items():
            self._losses += 1
            self._queue.lose(name, why)
        if self._losses > _LOSSES * (self.capacity + 1):
            raise WorkerLost(
                f"{self._losses} Slurm jobs ended one after the other and none gave an answer; the last: {why}. What has ended "
                f"is kept; the same command goes on"
            )
        if lost or not self._fleet.names:
            self._lose_strangers(self._fleet)
        if not self._queue.is_empty:
            self._fleet.fill()
        return came

    def _lose_strangers(self, fleet: Fleet) -> None:
        """Tasks taken by workers that are not ours (any more)."""
        for worker in set(self._folder.claims().values()) - fleet.names:
            self._queue.lose(worker, f"Slurm job {worker} is no more")

    def _beat(self) -> None:
        self._beats += 1
        self._folder.beat("results/.beat", self._beats)
        self._beat_at = time.monotonic()


def _is_dead(coordinator: dict[str, Any]) -> bool:
    """Whether a process of this machine is no more; one of another machine is judged by its silence."""
    if coordinator.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(coordinator["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, KeyError, ValueError):
        return False
    return False
