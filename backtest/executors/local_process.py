"""Worker processes of this machine, seen from both ends of their pipes. What passes through is packed, not pickled.

A worker is a fresh interpreter that imports what its tasks name: the coordinator's main module is not imported again.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from backtest.executors.packing import computed, opened, packed, packed_task, unpacked
from backtest.executors.protocol import Arrays, SharedArrays, Task, WorkerLost

# A search within a lifecycle shares other arrays than the one before: what was not used for longest is dropped.
_HELD = 4
_PATIENCE_S = 10
_KEEP, _DROP, _TASK = b"K", b"D", b"T"
# What a worker's libraries would import for charts of their own, and do without: half of what Prophet's start takes.
_DRAWING = ("matplotlib", "plotly")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from backtest.executors.local_process import main; main(int(sys.argv[1]))"
)


class WorkerProcesses:
    """A thread for each process hands it one task after the other; a process that is lost costs that task alone."""

    def __init__(self, count: int) -> None:
        self._own = threading.local()
        self._all: list[WorkerProcess] = []
        self._pool = ThreadPoolExecutor(count, initializer=_without_signals)

    def submit(self, task: Task) -> Future[bytes]:
        """First come, first served."""
        return self._pool.submit(self._answered, task)

    def close(self) -> None:
        """Wait for what was begun; a second interrupt ends that as well."""
        try:
            self._pool.shutdown(cancel_futures=True)
        except KeyboardInterrupt:
            for process in self._all:
                process.kill()
            raise
        for process in self._all:
            process.end()

    def _answered(self, task: Task) -> bytes:
        process = getattr(self._own, "process", None)
        if process is None:
            process = self._own.process = WorkerProcess()
            self._all.append(process)
        try:
            answer = process.answer(task)
        except WorkerLost:
            self._all.remove(process)
            self._own.process = None
            raise
        return opened(answer, task)


def _without_signals() -> None:
    """Processes inherit this: Ctrl-C and `docker stop` are for their coordinator, which ends them in its own time."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


class WorkerProcess:
    """The coordinator's end. One thread uses it."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        words = [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)]
        self._process = subprocess.Popen(  # noqa: S603  # this very interpreter
            words, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),)
        )
        theirs.close()
        self._held: OrderedDict[str, None] = OrderedDict()

    def answer(self, task: Task) -> bytes:
        """A task's answer, still packed. Raises WorkerLost where the process ends before."""
        try:
            self._hand_over(task.shared)
            self._send(_TASK, packed_task(task))
            return self._pipe.recv_bytes()
        except (EOFError, OSError):
            raise WorkerLost(self._fate()) from None

    def _hand_over(self, shared: SharedArrays) -> None:
        if shared.name in self._held:
            self._held.move_to_end(shared.name)
            return
        if len(self._held) == _HELD:
            oldest, _ = self._held.popitem(last=False)
            self._send(_DROP, oldest.encode())
        self._send(_KEEP, packed({"name": shared.name}, shared.arrays))
        self._held[shared.name] = None

    def _send(self, what: bytes, body: bytes) -> None:
        self._pipe.send_bytes(what)
        self._pipe.send_bytes(body)  # alone, so that arrays lie in memory as they are packed

    def _fate(self) -> str:
        self.end()
        code = self._process.returncode
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"worker process {self._process.pid} ended {how}"

    def kill(self) -> None:
        """In the middle of its task."""
        self._process.kill()

    def end(self) -> None:
        """Its pipe is closed, so it ends; or it is ended."""
        self._pipe.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main(handle: int) -> None:
    """The process's end: tasks one after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    without_drawing()
    pipe, inbox = Connection(handle), queue.SimpleQueue[bytes]()
    threading.Thread(target=_listen, args=(pipe, inbox), daemon=True).start()
    held: dict[str, Arrays] = {}
    while True:
        what, body = inbox.get(), inbox.get()
        if what == _KEEP:
            head, arrays = unpacked(body)
            held[head["name"]] = arrays
        elif what == _DROP:
            del held[body.decode()]
        else:
            answer = computed(body, held.__getitem__)
            with contextlib.suppress(
                BrokenPipeError
            ):  # the coordinator is no more, and the other thread ends this
                pipe.send_bytes(answer)


def without_drawing() -> None:
    """From now on nothing that draws can be imported in this process."""
    sys.modules.update(dict.fromkeys(_DRAWING))  # type: ignore[arg-type]  # None says that there is no such module


def _listen(pipe: Connection, inbox: queue.SimpleQueue[bytes]) -> None:
    """A coordinator that ended, or was killed, closed its end of the pipe: then nobody wants what is computed here."""
    while True:
        try:
            inbox.put(pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
