"""An executor whose results are kept in a folder by their key, so that a stage that was killed goes on."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

from backtest.executors.futures import Derived
from backtest.executors.protocol import Executor, Task
from backtest.study.cache import FoldCache


class CachedTasks:
    """What is kept is not computed again. A key digests the program and all that a task is given, so nothing is stale."""

    def __init__(self, inner: Executor, folder: Path) -> None:
        self._inner, self._kept = inner, FoldCache(folder)

    @property
    def capacity(self) -> int:
        """The inner one's."""
        return self._inner.capacity

    def submit(self, task: Task) -> Future[bytes]:
        """The kept result, else the inner one's, kept as soon as it is there."""
        there = self._kept.read(task.key)
        if there is not None:
            known: Future[bytes] = Future()
            known.set_result(there)
            return known
        return Derived(self._inner.submit(task), lambda result: self._keep(task.key, result))

    def close(self) -> None:
        """The inner one is its owner's."""

    def _keep(self, key: str, result: bytes) -> bytes:
        self._kept.keep(key, result)
        return result
