"""Ray: a cluster by its address, or a Ray of this command's own in a network of its own.

The coordinator keeps what is waiting and gives Ray as many tasks as it has CPUs, so that what was not begun can be
cancelled at no cost. It does not import Ray: a process beside it does (ray_broker.py).
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict, deque
from concurrent.futures import CancelledError, Future
from itertools import count

from backtest.executors.futures import at_once
from backtest.executors.packing import opened, packed, packed_task
from backtest.executors.protocol import Executor, SharedArrays, Task, WorkerLost
from backtest.executors.ray_address import ray_address, require_answer
from backtest.executors.ray_broker_process import BrokerProcess, other_program
from backtest.executors.ray_worker import HELD, OTHER_PROGRAM
from backtest.executors.registry import Setup
from trader.core.errors import ConfigError, Retry


def open_executor(setup: Setup) -> Executor:
    """What the registry calls. Raises ConfigError where no Ray answers at the address, or where a Ray of its own would listen
    on all addresses and --ray-open-ports is not given."""
    address, cpus = setup.options.get("ray_address"), setup.options.get("ray_cpus")
    asked = ray_address(address) if address else None
    if asked:
        require_answer(asked)
    elif cpus:
        raise ConfigError(
            "--ray-cpus is of a cluster: give --ray-address too, or --workers for a Ray of this command's own"
        )
    ports = bool(setup.options.get("ray_open_ports"))
    tasks = cpus if asked else max(1, setup.workers)
    return RayExecutor(BrokerProcess(asked, tasks, ports, setup.tell))


class RayExecutor:
    """Ray is started, or connected with, by the first task that needs it."""

    def __init__(self, broker: BrokerProcess) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[tuple[Future[bytes], Task]] = deque()
        self._given: dict[int, tuple[Future[bytes], Task]] = {}
        self._held: OrderedDict[str, None] = OrderedDict()
        self._numbers = count()
        self._reader: threading.Thread | None = None
        self._ended: Exception | None = None

    @property
    def capacity(self) -> int:
        """--workers of a Ray of its own; of a cluster --ray-cpus, else its CPUs, which it is asked for."""
        return self._broker.capacity()

    def submit(self, task: Task) -> Future[bytes]:
        """To Ray, when one of its CPUs has nothing of this study to do. What costs less than Ray takes to start is computed
        here before it was."""
        if task.placement == "caller" and not self._broker.started:
            return at_once(task)
        self._broker.start(_size(task.shared))
        future: Future[bytes] = Future()
        with self._lock:
            if self._ended:
                raise self._ended
            if self._reader is None:
                self._reader = threading.Thread(target=self._listen, daemon=True)
                self._reader.start()
            self._waiting.append((future, task))
            self._give()
        return future

    def close(self) -> None:
        """What was begun ends first; a second interrupt ends that too."""
        try:
            with self._lock:
                waiting, self._waiting = self._waiting, deque()
                self._ended = self._ended or WorkerLost("the executor is closed")
            for future, _ in waiting:
                future.cancel()
            if self._given:
                self._send_cancel()
            with self._lock:
                while self._given:
                    self._changed.wait()
        except KeyboardInterrupt:
            self._hang_up()
            self._broker.kill()
            raise
        self._hang_up()
        self._broker.end()

    def _hang_up(self) -> None:
        """Nobody may read a pipe that is closed: its number would be another file's by then."""
        if self._reader:
            self._broker.messages.hang_up()
            self._reader.join()

    def _send_cancel(self) -> None:
        with contextlib.suppress(OSError):  # `_listen` hears of it
            self._broker.messages.send("cancel")

    def _give(self) -> None:
        """Under the lock, so that what a task shares is there before it."""
        with contextlib.suppress(OSError):  # `_listen` hears of it
            while self._waiting and len(self._given) < self._broker.capacity():
                future, task = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    number = next(self._numbers)
                    self._given[number] = (future, task)
                    self._hand_over(task.shared)
                    body = packed_task(task)
                    self._broker.messages.send("task", body, number=number, name=task.shared.name)

    def _hand_over(self, shared: SharedArrays) -> None:
        if shared.name in self._held:
            self._held.move_to_end(shared.name)
            return
        if len(self._held) == HELD:
            oldest, _ = self._held.popitem(last=False)
            self._broker.messages.send("drop", name=oldest)
        self._broker.messages.send("keep", packed({}, shared.arrays), name=shared.name)
        self._held[shared.name] = None

    def _listen(self) -> None:
        try:
            while True:
                head, body = self._broker.messages.receive()
                if head["kind"] == "ended":
                    break
                self._take(head["number"], head["kind"], body)
            why = body.decode()
        except (EOFError, OSError):
            why = self._broker.last_words()
        lost = Retry(
            f"the connection with Ray was lost ({why}). What has ended is kept; the same command goes on"
        )
        with self._lock:
            self._ended = self._ended or lost
            futures = [future for future, _ in [*self._given.values(), *self._waiting]]
            self._given.clear()
            self._waiting.clear()
            self._changed.notify_all()
        for future in futures:
            if future.running() or future.set_running_or_notify_cancel():
                future.set_exception(lost)

    def _take(self, number: int, kind: str, body: bytes) -> None:
        with self._lock:
            future, task = self._given[number]
        try:
            future.set_result(_result(kind, body, task))
        except Exception as error:  # it is raised to whoever asks for the result
            future.set_exception(error)
        with self._lock:
            # Only now: who closes waits until all have heard.
            del self._given[number]
            self._give()
            self._changed.notify_all()


def _size(shared: SharedArrays) -> int:
    return sum(array.nbytes for array in shared.arrays.values())


def _result(kind: str, body: bytes, task: Task) -> bytes:
    """A task's result from what was reported of it. Raises what it came to instead."""
    if kind == "answer":
        if body[:1] == OTHER_PROGRAM:
            raise other_program(body[1:])
        return opened(body, task)
    if kind == "cancelled":
        raise CancelledError
    if kind == "lost":
        raise WorkerLost(body.decode())
    raise ConfigError(
        f"a worker of Ray cannot run this program ({body.decode()}). Install the same version of hourly-trader on every node"
    )
