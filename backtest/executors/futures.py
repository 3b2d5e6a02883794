"""What all executors and their callers do with futures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Generic, TypeVar

from backtest.executors.interrupts import raise_noted
from backtest.executors.protocol import Executor, Expecting, Task, WorkerLost

A = TypeVar("A")
B = TypeVar("B")

GIVEN_AGAIN = 3
_LOOK_EVERY_S = 0.1


def at_once(task: Task) -> Future[bytes]:
    """Compute a task here; its future is done when this returns."""
    future: Future[bytes] = Future()
    try:
        future.set_result(task.result())
    except Exception as error:  # it is raised to whoever asks for the result, as a worker's is
        future.set_exception(error)
    return future


class InProcess:
    """The simplest executor: `submit` computes the task and returns."""

    capacity = 1

    def submit(self, task: Task) -> Future[bytes]:
        """Done when it returns."""
        return at_once(task)

    def close(self) -> None:
        """There is nothing to end."""


def first_done(futures: Collection[Future[A]]) -> set[Future[A]]:
    """Those that are done, as soon as one is. Raises KeyboardInterrupt where one was noted (interrupts.py)."""
    while True:
        raise_noted()
        done, _ = wait(futures, _LOOK_EVERY_S, FIRST_COMPLETED)
        if done:
            return done


class InFlight(Generic[A]):
    """Futures that are waited for, each with what it is for. To take one costs the same however many are in flight, as `wait`
    does not: it looks at each of them every time."""

    def __init__(self) -> None:
        self._purposes: dict[Future[Any], A] = {}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._purposes)

    def add(self, future: Future[Any], purpose: A) -> None:
        """One more; it may be done already."""
        self._purposes[future] = purpose
        future.add_done_callback(self._done.put)

    def done(self) -> Iterator[tuple[Future[Any], A]]:
        """Those that are done, as soon as one is, each given once; none where none is in flight. What was not taken yet can
        still be cancelled. Raises KeyboardInterrupt where one was noted (interrupts.py)."""
        ended: list[Future[Any]] = []
        while self._purposes and not any(future in self._purposes for future in ended):
            raise_noted()
            try:
                ended = [self._done.get(timeout=_LOOK_EVERY_S)]
            except Empty:
                continue
            ended += [self._done.get_nowait() for _ in range(self._done.qsize())]
        for future in ended:
            if future in self._purposes:
                yield future, self._purposes.pop(future)

    def cancel(self, unwanted: Callable[[A], bool] = lambda _: True) -> list[tuple[Future[Any], A]]:
        """Cancel what is not wanted any more and forget it. Returns what was begun, and so ends all the same."""
        chosen = [(future, purpose) for future, purpose in self._purposes.items() if unwanted(purpose)]
        for future, _ in chosen:
            del self._purposes[future]
        return [(future, purpose) for future, purpose in chosen if not future.cancel()]


def in_order(executor: Executor, tasks: Iterable[Task]) -> Iterator[bytes]:
    """The tasks' results in their order, each as soon as it and all before it are there. What is not wanted any more,
    after an error or by a caller who stops, is cancelled."""
    waiting: deque[Future[bytes]] = deque()
    try:
        for task in tasks:
            waiting.append(executor.submit(task))
            while waiting and waiting[0].done():  # where `submit` computes, one at a time
                yield waiting.popleft().result()
        while waiting:
            first_done(list(waiting)[:1])
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


class Derived(Future[B]):
    """A function of another future's result, computed as soon as that is there. To cancel it is to cancel the other:
    what was begun ends, and the function sees it."""

    def __init__(self, source: Future[A], function: Callable[[A], B]) -> None:
        super().__init__()
        self._source: Future[Any] = source
        self._function: Callable[[Any], B] = function
        source.add_done_callback(self._take)

    def cancel(self) -> bool:
        """True where it was not begun."""
        return self._source.cancel()

    def _take(self, source: Future[Any]) -> None:
        if source.cancelled():
            _cancelled(self)
            return
        error = source.exception()
        if error is not None:
            self.set_exception(error)
            return
        try:
            result = self._function(source.result())
        except Exception as failed:  # it is raised to whoever asks for the result
            self.set_exception(failed)
        else:
            self.set_result(result)


class Gathered(Future[B]):
    """A function of the results of several futures, in their order, computed when all are there; the first error in that order is
    its own. To cancel it is to cancel all of them."""

    def __init__(self, sources: Sequence[Future[A]], function: Callable[[list[A]], B]) -> None:
        super().__init__()
        self._sources: list[Future[Any]] = list(sources)
        self._function: Callable[[list[Any]], B] = function
        self._missing, self._lock = len(self._sources), Lock()
        for source in self._sources:
            source.add_done_callback(self._take)

    def cancel(self) -> bool:
        """True where none was begun."""
        cancelled = [source.cancel() for source in self._sources]
        return all(cancelled)

    def _take(self, _: Future[Any]) -> None:
        with self._lock:
            self._missing -= 1
            if self._missing:
                return
        if any(source.cancelled() for source in self._sources):
            _cancelled(self)
            return
        try:
            result = self._function([source.result() for source in self._sources])
        except Exception as failed:  # it is raised to whoever asks for the result
            self.set_exception(failed)
        else:
            self.set_result(result)


class _Resubmitted(Future[bytes]):
    """A task that is given again while its workers are lost."""

    def __init__(self, executor: Executor, task: Task, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._executor, self._task, self._tell = executor, task, tell
        self._lost = 0
        self._given = executor.submit(task)
        self._given.add_done_callback(self._take)

    def cancel(self) -> bool:
        """True where it was not begun."""
        return self._given.cancel()

    def _take(self, given: Future[bytes]) -> None:
        if given.cancelled():
            _cancelled(self)
            return
        error = given.exception()
        if error is None:
            self.set_result(given.result())
        elif isinstance(error, WorkerLost):
            self._again(error)
        else:
            self.set_exception(error)

    def _again(self, error: WorkerLost) -> None:
        self._lost += 1
        if self._lost > GIVEN_AGAIN:
            self.set_exception(
                WorkerLost(
                    f"{self._task}: {error}. It was given {self._lost} times, and its worker was lost each time, perhaps for "
                    f"want of memory: fewer --workers need less. What has ended is kept; the same command goes on"
                )
            )
            return
        self._tell(f"{self._task}: {error}; it is given again")
        try:
            self._given = self._executor.submit(self._task)
            self._given.add_done_callback(self._take)
        except Exception as failed:  # closed since: whoever waits must not wait for ever
            self.set_exception(failed)


def _cancelled(future: Future[A]) -> None:
    Future.cancel(future)
    future.set_running_or_notify_cancel()


class Resubmitting:
    """An executor whose lost tasks are given again, three times at most. `tell` is told of each."""

    def __init__(self, inner: Executor, tell: Callable[[str], None]) -> None:
        self._inner, self._tell = inner, tell

    @property
    def capacity(self) -> int:
        """The inner one's."""
        return self._inner.capacity

    def submit(self, task: Task) -> Future[bytes]:
        """The inner one's result; WorkerLost, naming the task, after the last time. Raises KeyboardInterrupt where one
        was noted."""
        raise_noted()
        return _Resubmitted(self._inner, task, self._tell)

    def expect(self, modules: Sequence[str]) -> None:
        """The inner one may begin."""
        if isinstance(self._inner, Expecting):
            self._inner.expect(modules)

    def close(self) -> None:
        """The inner one."""
        self._inner.close()
