"""What a coordinator has been asked for and has no answer to: waiting here, put out in the folder, or taken by a worker."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from backtest.executors.packing import opened, packed_task
from backtest.executors.protocol import Task, TaskFunction, WorkerLost
from backtest.executors.slurm_folder import SlurmFolder

# A chunk is about so much work, and no more tasks than the second number: a worker that is lost loses one task, and what was
# put out with it is put out again.
CHUNK_S = 1.0
_CHUNK_TASKS = 64
# How much the newest cost of a function's tasks counts.
_NEWEST = 0.3


class Answer(Future[bytes]):
    """A task's result. To cancel it is to take the task back, where no worker has it."""

    def __init__(self, queue: TaskQueue, key: str) -> None:
        super().__init__()
        self._queue, self.key = queue, key

    def cancel(self) -> bool:
        """True where it was not begun."""
        return self.cancelled() or self._queue.take_back(self)

    def forget(self) -> None:
        """Cancelled, and whoever waits hears of it."""
        super().cancel()
        self.set_running_or_notify_cancel()


@dataclass(slots=True, eq=False)
class _Given:
    task: Task
    waiting_for: list[Answer] = field(default_factory=list)


class TaskQueue:
    """Safe to use from any thread. Futures are told outside of its lock: what they call may give new tasks."""

    def __init__(self, folder: SlurmFolder, capacity: int) -> None:
        self._folder, self._capacity = folder, capacity
        self._lock = threading.Lock()
        self._given: dict[str, _Given] = {}
        self._waiting: deque[str] = deque()
        self._out: dict[str, list[str]] = {}
        self._abandoned: dict[str, str] = {}
        self._costs: dict[TaskFunction, float] = {}
        self._numbers = itertools.count(time.time_ns() // 1_000)
        self._failed: Exception | None = None

    def begin(self) -> None:
        """Take back what an earlier coordinator had put out, and remember what its workers are computing."""
        for chunk in self._folder.names("tasks"):
            self._folder.withdraw(chunk)
        for chunk, worker in self._folder.claims().items():
            for key in self._folder.tasks(chunk, worker):
                self._abandoned[key] = chunk

    def add(self, task: Task) -> Answer:
        """A task's future. What has an answer already, or is being computed, is not put out again."""
        future = Answer(self, task.key)
        with self._lock:
            if self._failed is not None:
                raise self._failed
            given = self._given.get(task.key)
            if given is None:
                given = self._given[task.key] = _Given(task)
                self._place(task.key)
            given.waiting_for.append(future)
        return future

    def _place(self, key: str) -> None:
        kept = self._folder.answered(key)
        if kept is not None and kept[1][:1] != b"=":
            self._folder.remove(f"results/{key}")  # an error of then may not be one of now
        if kept is not None and kept[1][:1] == b"=":
            self._out.setdefault(f"answered-{key}", []).append(key)
        elif (chunk := self._abandoned.pop(key, None)) is not None:
            self._out.setdefault(chunk, []).append(key)
        else:
            self._waiting.append(key)

    @property
    def is_empty(self) -> bool:
        """Nobody waits for anything."""
        return not self._given

    def put_out(self) -> None:
        """As many chunks as there are workers, beside those that are taken: none waits for the next one."""
        with self._lock:
            if not self._waiting:
                return
            lying = len(self._folder.names("tasks"))
            while self._waiting and lying < self._capacity:
                keys = self._next_chunk()
                chunk = f"{next(self._numbers):020d}"
                tasks = {key: packed_task(self._given[key].task) for key in keys}
                try:
                    self._folder.put_out(chunk, tasks)
                except OSError:
                    self._waiting.extendleft(reversed(keys))
                    raise
                self._out[chunk] = keys
                lying += 1

    def _next_chunk(self) -> list[str]:
        """Tasks for about a second, and no more than leaves work for everybody. What costs nobody knows yet goes alone."""
        most = min(_CHUNK_TASKS, max(1, len(self._waiting) // self._capacity))
        keys: list[str] = []
        seconds = 0.0
        while self._waiting and len(keys) < most:
            cost = self._costs.get(self._given[self._waiting[0]].task.function, CHUNK_S)
            if keys and seconds + cost > CHUNK_S:
                break
            seconds += cost
            keys.append(self._waiting.popleft())
        return keys

    def collect(self) -> bool:
        """Hand over the answers that have come. A worker answers in order, so the first of a chunk says enough."""
        found: list[tuple[_Given, bytes]] = []
        with self._lock:
            for chunk, keys in list(self._out.items()):
                while keys and (answered := self._folder.answered(keys[0])) is not None:
                    key = keys.pop(0)
                    given = self._given.pop(key)
                    self._learn(given.task, answered[0])
                    found.append((given, answered[1]))
                if not keys:
                    del self._out[chunk]
        for given, answer in found:
            _tell(given, answer)
        return bool(found)

    def _learn(self, task: Task, seconds: float) -> None:
        known = self._costs.get(task.function, seconds)
        self._costs[task.function] = known + _NEWEST * (seconds - known)

    def lose(self, worker: str, why: str) -> None:
        """What a worker had in hand is lost; what lay behind it is put out again. The worker is no more."""
        self.collect()
        lost: list[_Given] = []
        with self._lock:
            for chunk, its in self._folder.claims().items():
                if its != worker:
                    continue
                keys = self._out.pop(chunk, [])
                if keys:
                    lost.append(self._given.pop(keys[0]))
                    self._waiting.extendleft(reversed(keys[1:]))
                self._abandoned = {key: of for key, of in self._abandoned.items() if of != chunk}
                self._folder.remove(f"claimed/{chunk}@{worker}")
        for given in lost:
            for future in given.waiting_for:
                future.set_exception(WorkerLost(why))

    def take_back(self, future: Answer) -> bool:
        """Whether nobody has begun it."""
        with self._lock:
            given = self._given.get(future.key)
            if future.done() or given is None or future not in given.waiting_for:
                return False
            if len(given.waiting_for) == 1 and not self._withdrawn(future.key):
                return False
            given.waiting_for.remove(future)
            if not given.waiting_for:
                del self._given[future.key]
        future.forget()
        return True

    def _withdrawn(self, key: str) -> bool:
        if key in self._waiting:
            self._waiting.remove(key)
            return True
        chunk = next((chunk for chunk, keys in self._out.items() if key in keys), "")
        if not chunk or not self._folder.withdraw(chunk):
            return False
        self._waiting.extendleft(reversed([it for it in self._out.pop(chunk) if it != key]))
        return True

    def stop(self) -> bool:
        """Forget what nobody has begun. True where there was nothing to forget."""
        with self._lock:
            self._waiting.extend(
                key
                for chunk in list(self._out)
                if self._folder.withdraw(chunk)
                for key in self._out.pop(chunk)
            )
            forgotten = [self._given.pop(key) for key in self._waiting]
            self._waiting.clear()
        for given in forgotten:
            for future in given.waiting_for:
                future.forget()
        return not forgotten

    def fail(self, error: Exception) -> None:
        """Whoever waits hears why there will be no answer."""
        with self._lock:
            self._failed = error
            given = list(self._given.values())
            self._given.clear()
            self._waiting.clear()
            self._out.clear()
        for it in given:
            for future in it.waiting_for:
                future.set_exception(error)


def _tell(given: _Given, answer: bytes) -> None:
    try:
        result = opened(answer, given.task)
    except Exception as error:  # whatever the task raised, who asked for the result wants to see it
        for future in given.waiting_for:
            future.set_exception(error)
    else:
        for future in given.waiting_for:
            future.set_result(result)
