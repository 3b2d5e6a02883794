"""This machine: threads of this process, processes beside it, or the caller alone.

A process is started when the first task that needs one is waiting and all others are busy. So a study whose windows are
all cached starts none, and one window starts one.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from backtest.executors.futures import at_once
from backtest.executors.local_process import WorkerProcess
from backtest.executors.packing import opened
from backtest.executors.protocol import Executor, Task, WorkerLost
from backtest.executors.registry import Setup


def open_executor(setup: Setup) -> Executor:
    """What the registry calls."""
    return LocalExecutor(setup.workers)


class LocalExecutor:
    """`workers` tasks at the same time; with one worker `submit` computes and returns."""

    def __init__(self, workers: int) -> None:
        self.capacity = max(1, workers)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._processes: _Processes | None = None

    def submit(self, task: Task) -> Future[bytes]:
        """By the task's placement."""
        if self.capacity == 1 or (task.placement == "caller" and self._processes is None):
            return at_once(task)
        with self._lock:
            if task.placement == "thread":
                self._threads = self._threads or ThreadPoolExecutor(self.capacity)
                return self._threads.submit(task.result)
            self._processes = self._processes or _Processes(self.capacity)
            return self._processes.submit(task)

    def close(self) -> None:
        """What was begun ends first, so that its result can be kept."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        if self._processes is not None:
            self._processes.close()


class _Processes:
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
