"""A study's workers: spawned processes that hold the task, or this process alone. Both answer the same.

The processes are born when the first window has to be fitted: a study whose folds are all cached needs none.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from backtest.study.work import Workshop

Submit = Callable[..., "Future[Any]"]


@contextmanager
def workers_of(shop: Workshop, count: int) -> Iterator[Submit]:
    """Yields submit(method of Workshop, *arguments) -> Future. An interrupt ends what is in flight and nothing more."""
    if count <= 1:
        yield lambda method, *given: _at_once(method, shop, *given)
        return
    workers = _Workers(shop, count)
    try:
        yield workers.submit
    finally:
        workers.end()


class _Workers:
    """The processes, once there is a window to fit; what is cached, and looks until then, this process does itself."""

    def __init__(self, shop: Workshop, count: int) -> None:
        self._shop, self._count = shop, count
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, method: Callable[..., Any], *given: Any) -> Future[Any]:
        if method is Workshop.predict:
            kept = self._shop.kept(*given)
            if kept is not None:
                return _done(kept)
            self._pool = self._pool or self._born()
        if self._pool is None:
            return _at_once(method, self._shop, *given)
        return self._pool.submit(_work, method.__name__, *given)

    def _born(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(
            self._count, mp_context=context, initializer=_begin, initargs=(self._shop,)
        )
        self._pool = pool  # so that it is ended even if what follows fails
        with _interrupts_ignored():
            for born in [pool.submit(os.getpid) for _ in range(self._count)]:
                born.result()
        return pool

    def end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def _at_once(method: Callable[..., Any], shop: Workshop, *given: Any) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(method(shop, *given))
    except Exception as error:  # as a process hands it over: to whoever asks for the result
        future.set_exception(error)
    return future


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process that is born now ignores Ctrl-C for good: the one who pressed it wants the study to end, and that is
    the parent's to do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_shop: Workshop | None = None  # a worker's own copy, set once when it starts


def _begin(shop: Workshop) -> None:
    global _shop  # the one way to hand a worker its data once instead of with every task
    _shop = shop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed leaves no worker behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(method: str, *given: Any) -> Any:
    if _shop is None:
        raise RuntimeError("a worker was asked before it was given its task")
    return getattr(_shop, method)(*given)
