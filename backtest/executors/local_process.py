"""Worker processes of this machine, seen from their coordinator. What passes through their pipes is packed, not pickled.

A worker is forked by a server that has imported what its tasks need, or is a fresh interpreter: the coordinator's main module is
not imported again.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from typing import Protocol

from backtest.executors.fork_server import HAS_FORKS, ForkServer, early_or_new_server, start_python
from backtest.executors.local_worker import DROP, KEEP, TASK
from backtest.executors.packing import opened, packed, packed_task
from backtest.executors.protocol import SharedArrays, Task, WorkerLost

# A search within a lifecycle shares other arrays than the one before: what was not used for longest is dropped.
_HELD = 4
_PATIENCE_S = 10
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from backtest.executors.local_worker import main; main(int(sys.argv[1]))"
)


class WorkerProcesses:
    """A thread for each process hands it one task after the other; a process that is lost costs that task alone."""

    def __init__(self, count: int, modules: Sequence[str]) -> None:
        """modules: what tasks will need, imported from now on; without any it is what the first task needs."""
        self._own = threading.local()
        self._all: list[WorkerProcess] = []
        self._pool = ThreadPoolExecutor(count)
        self._source = _WorkerSource(modules)
        self._has_tasks = False
        self._beginning = self._pool.submit(self._source.begin) if modules else None

    @property
    def is_ready(self) -> bool:
        """Whether what was to be imported is."""
        return self._beginning is None or self._beginning.done()

    def submit(self, task: Task) -> Future[bytes]:
        """First come, first served."""
        self._has_tasks = True
        return self._pool.submit(self._answered, task)

    def close(self) -> None:
        """Wait for what was begun; a second interrupt ends that as well."""
        if not self._has_tasks:
            self._source.kill()  # nobody waits for what it imports
        try:
            self._pool.shutdown(cancel_futures=True)
        except KeyboardInterrupt:
            self._source.kill()
            for process in self._all:
                process.kill()
            raise
        for process in self._all:
            process.end()
        self._source.close()

    def _answered(self, task: Task) -> bytes:
        process = getattr(self._own, "process", None)
        if process is None:
            process = self._own.process = self._source.worker(task.function.__module__)
            self._all.append(process)
            if self._source.is_killed:
                process.kill()
        try:
            answer = process.answer(task)
        except WorkerLost:
            self._all.remove(process)
            self._own.process = None
            raise
        return opened(answer, task)


class _WorkerSource:
    """Where workers come from: a server of forks, begun with the first, or fresh interpreters."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules, self._lock = tuple(modules), threading.Lock()
        self._server: ForkServer | None = None
        self.is_killed = False

    def begin(self) -> None:
        """Until the server has imported everything; workers are forked when tasks need them."""
        if HAS_FORKS:
            with self._lock:
                server = self._begun()
            server.wait()

    def worker(self, module: str) -> WorkerProcess:
        """A new one. module: that of its first task. Raises WorkerLost where none can be started."""
        if not HAS_FORKS:
            return WorkerProcess(_SpawnedWorker)
        with self._lock:
            self._modules = self._modules or (module,)
            for _ in range(2):
                try:
                    return WorkerProcess(self._begun().fork)
                except ConnectionError:  # it was killed: another one forks what comes
                    self._end()
        raise WorkerLost("the process that starts workers ended twice")

    def kill(self) -> None:
        """In the middle of its imports, or before it began; no worker begins any more. Waits for nobody."""
        self.is_killed = True
        if self._server is not None:
            self._server.kill()

    def close(self) -> None:
        """Its workers have ended."""
        with self._lock:
            self._end()

    def _begun(self) -> ForkServer:
        if self._server is None:
            self._server = early_or_new_server(self._modules)
        if self.is_killed:  # also where that came meanwhile
            self._end()
            raise WorkerLost("the executor was closed")
        return self._server

    def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class _StartedWorker(Protocol):
    """A worker, as whoever started it sees it."""

    pid: int

    def kill(self) -> None:
        """Now."""

    def exit_code(self, patience_s: float) -> int | None:
        """Once it has ended; after so long it is killed. None where nobody knows."""


class _SpawnedWorker:
    """A worker that is an interpreter of its own."""

    def __init__(self, handle: int) -> None:
        self._process = start_python(_START, handle)
        self.pid = self._process.pid

    def kill(self) -> None:
        """Now."""
        self._process.kill()

    def exit_code(self, patience_s: float) -> int:
        """As of a subprocess."""
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class WorkerProcess:
    """The coordinator's end. One thread uses it."""

    def __init__(self, start: Callable[[int], _StartedWorker]) -> None:
        """start: makes the process of its end of the pipe."""
        self._pipe, theirs = Pipe()
        try:
            self._process = start(theirs.fileno())
        finally:
            theirs.close()
        self._held: OrderedDict[str, None] = OrderedDict()

    def answer(self, task: Task) -> bytes:
        """A task's answer, still packed. Raises WorkerLost where the process ends before."""
        try:
            self._hand_over(task.shared)
            self._send(TASK, packed_task(task))
            return self._pipe.recv_bytes()
        except (EOFError, OSError):
            raise WorkerLost(self._fate()) from None

    def _hand_over(self, shared: SharedArrays) -> None:
        if shared.name in self._held:
            self._held.move_to_end(shared.name)
            return
        if len(self._held) == _HELD:
            oldest, _ = self._held.popitem(last=False)
            self._send(DROP, oldest.encode())
        self._send(KEEP, packed({"name": shared.name}, shared.arrays))
        self._held[shared.name] = None

    def _send(self, what: bytes, body: bytes) -> None:
        self._pipe.send_bytes(what)
        self._pipe.send_bytes(body)  # alone, so that arrays lie in memory as they are packed

    def _fate(self) -> str:
        code = self.end()
        how = (
            ""
            if code is None
            else f" by {signal.Signals(-code).name}"
            if code < 0
            else f" with exit code {code}"
        )
        return f"worker process {self._process.pid} ended{how}"

    def kill(self) -> None:
        """In the middle of its task."""
        self._process.kill()

    def end(self) -> int | None:
        """Its pipe is closed, so it ends; or it is ended. Its exit code, as of a subprocess."""
        self._pipe.close()
        return self._process.exit_code(_PATIENCE_S)
