"""This machine: threads of this process, processes beside it, or the caller alone.

A process is started when the first task that needs one is waiting and all others are busy. So a study whose windows are
all cached starts none, and one window starts one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from backtest.executors.futures import at_once
from backtest.executors.protocol import Executor, Task
from backtest.executors.registry import Setup

if TYPE_CHECKING:
    from backtest.executors.local_process import WorkerProcesses


def open_executor(setup: Setup) -> Executor:
    """What the registry calls."""
    return LocalExecutor(setup.workers)


class LocalExecutor:
    """`workers` tasks at the same time; with one worker `submit` computes and returns."""

    def __init__(self, workers: int) -> None:
        self.capacity = max(1, workers)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._processes: WorkerProcesses | None = None

    def submit(self, task: Task) -> Future[bytes]:
        """By the task's placement."""
        if self.capacity == 1 or (task.placement == "caller" and not self._is_ready):
            return at_once(task)
        with self._lock:
            if task.placement == "thread":
                self._threads = self._threads or ThreadPoolExecutor(self.capacity)
                return self._threads.submit(task.result)
            return self._begun(()).submit(task)

    def expect(self, modules: Sequence[str]) -> None:
        """A server of worker processes imports them; a process is started as soon as a task needs it."""
        if self.capacity > 1:
            with self._lock:
                self._begun(modules)

    @property
    def _is_ready(self) -> bool:
        """Whether a process need not be waited for."""
        return self._processes is not None and self._processes.is_ready

    def _begun(self, modules: Sequence[str]) -> WorkerProcesses:
        if self._processes is None:
            from backtest.executors.local_process import WorkerProcesses

            self._processes = WorkerProcesses(self.capacity, modules)
        return self._processes

    def close(self) -> None:
        """What was begun ends first, so that its result can be kept."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        if self._processes is not None:
            self._processes.close()
