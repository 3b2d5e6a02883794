"""The coordinator's half of `--executor ray` against a fake of the process that speaks with Ray; tests/system has a real one."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from multiprocessing import Pipe
from typing import Any, cast

import pytest

from backtest.executors.packing import computed, packed_task, unpacked
from backtest.executors.program import program, program_hash
from backtest.executors.protocol import Arrays, SharedArrays, Task, WorkerLost
from backtest.executors.ray_broker_process import BrokerProcess
from backtest.executors.ray_cluster import RayExecutor, open_executor
from backtest.executors.ray_messages import Messages
from backtest.executors.ray_worker import HELD, OTHER_PROGRAM, answer
from backtest.executors.registry import Setup
from tests.contracts.executor_contract import product, until
from tests.support import executor_tasks as tasks
from trader.core.errors import ConfigError, Retry


class FakeBroker:
    """Has the messages of the real one, computes at once what is not held back, and keeps what it was told."""

    def __init__(self, capacity: int) -> None:
        here, there = (Messages(end) for end in Pipe())
        self.messages, self._there, self._capacity = here, there, capacity
        self.started = self.ended = False
        self.held_back: list[dict[str, Any]] = []
        self.told: list[str] = []
        self.shared: dict[str, Arrays] = {}
        self.hold = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def capacity(self) -> int:
        """As many as the test says."""
        return self._capacity

    def start(self, shared_bytes: int) -> None:
        """There is nothing to start."""
        self.started = True

    def last_words(self) -> str:
        """What the real one wrote last."""
        return "raylet ended"

    def end(self) -> None:
        """The pipe."""
        self.messages.hang_up()
        self._thread.join()
        self.messages.close()
        self.ended = True

    def kill(self) -> None:
        """The same."""
        self.end()

    def report(self, number: int, kind: Any, body: bytes) -> None:
        """To the coordinator, of a task that was held back."""
        self._there.send(kind, body, number=number)

    def die(self) -> None:
        """As by SIGKILL."""
        self._there.hang_up()

    def _serve(self) -> None:
        while True:
            try:
                head, body = self._there.receive()
            except (EOFError, OSError):
                return
            self.told.append(head["kind"])
            if head["kind"] == "keep":
                _, self.shared[head["name"]] = unpacked(body)
            elif head["kind"] == "drop":
                del self.shared[head["name"]]
            elif head["kind"] == "task" and self.hold:
                self.held_back.append({**head, "arrays": self.shared[head["name"]]})
            elif head["kind"] == "task":
                self.report(head["number"], "answer", computed(body, self.shared.__getitem__))


@contextmanager
def opened(capacity: int = 2, *, hold: bool = False) -> Iterator[tuple[RayExecutor, FakeBroker]]:
    """An executor and the fake that it speaks with."""
    broker = FakeBroker(capacity)
    broker.hold = hold
    executor = RayExecutor(cast(BrokerProcess, broker))
    try:
        yield executor, broker
    finally:
        broker.die()
        executor.close()


def given(executor: RayExecutor, broker: FakeBroker, count: int) -> list[Future[bytes]]:
    """So many tasks, of which the broker holds back as many as it may have."""
    futures = [executor.submit(product(n)) for n in range(count)]
    until(lambda: len(broker.held_back) == min(count, broker.capacity()), "not given")
    return futures


def test_results_are_those_of_the_functions() -> None:
    """In any order, with more sets of shared arrays than are kept."""
    sets = [SharedArrays({"shared": tasks.numbers(n, 60, 40)}) for n in range(HELD + 3)]
    own = {"own": tasks.numbers(0, 40, 3)}
    many = [Task(tasks.product, {"factor": 2}, one, own) for one in [*sets, *sets]]
    with opened() as (executor, broker):
        futures = [executor.submit(task) for task in many]
        assert [it.result() for it in futures] == [task.result() for task in many]
        assert len(broker.shared) == HELD
        assert broker.told.count("keep") == 2 * len(sets)


def test_cheap_tasks_start_nothing() -> None:
    """A study whose folds are all kept is scored by the coordinator."""
    with opened() as (executor, broker):
        task = product(1, placement="caller")
        assert executor.submit(task).result() == task.result()
        assert not broker.started
        executor.submit(product(2)).result()
        executor.submit(task).result()
        assert broker.told.count("task") == 2


def test_ray_is_given_as_many_tasks_as_it_has_processors() -> None:
    """The next when one has ended; what waits here is cancelled without Ray's hearing of it."""
    with opened(hold=True) as (executor, broker):
        futures = given(executor, broker, 4)
        assert futures[3].cancel()
        assert not futures[0].cancel()
        broker.report(broker.held_back[0]["number"], "answer", b"=done")
        assert futures[0].result() == b"done"
        until(lambda: len(broker.held_back) == 3, "the third was not given")
        broker.report(broker.held_back[1]["number"], "answer", b"=two")
        broker.report(broker.held_back[2]["number"], "answer", b"=three")
        assert [it.result() for it in futures[1:3]] == [b"two", b"three"]
        assert broker.told.count("task") == 3


def test_closing_cancels_what_waits_and_lets_the_rest_end() -> None:
    """What was begun has its result; what Ray had not begun is cancelled by Ray."""
    with opened(hold=True) as (executor, broker):
        begun, queued, waiting = given(executor, broker, 3)
        closer = threading.Thread(target=executor.close)
        closer.start()
        until(lambda: "cancel" in broker.told, "Ray is not told")
        assert waiting.cancelled()
        broker.report(broker.held_back[1]["number"], "cancelled", b"")
        assert closer.is_alive()
        broker.report(broker.held_back[0]["number"], "answer", b"=kept")
        closer.join()
        assert broker.ended
        assert begun.result() == b"kept"
        with pytest.raises(CancelledError):
            queued.result()
        with pytest.raises(WorkerLost, match="closed"):
            executor.submit(product(1))


def test_a_lost_worker_is_told_as_one() -> None:
    """So that the rule of all executors gives the task again."""
    with opened(hold=True) as (executor, broker):
        (future,) = given(executor, broker, 1)
        broker.report(
            broker.held_back[0]["number"], "lost", b"its worker of Ray was lost (NodeDiedError: gone)"
        )
        with pytest.raises(WorkerLost, match="NodeDiedError"):
            future.result()


def test_a_lost_connection_ends_everything_with_the_way_on() -> None:
    """Exit 3: what was given and what waits; the next task is refused at once."""
    with opened(hold=True) as (executor, broker):
        futures = given(executor, broker, 3)
        broker.die()
        for future in futures:
            with pytest.raises(
                Retry, match=r"connection with Ray was lost \(raylet ended\).*the same command goes on"
            ):
                future.result()
        with pytest.raises(Retry, match="connection with Ray"):
            executor.submit(product(5))


def test_a_worker_that_cannot_find_the_program_is_a_persons_matter() -> None:
    """Exit 2."""
    with opened(hold=True) as (executor, broker):
        (future,) = given(executor, broker, 1)
        broker.report(broker.held_back[0]["number"], "refused", b"No module named 'backtest'")
        with pytest.raises(ConfigError, match=r"No module named 'backtest'\)\. Install the same version"):
            future.result()


def test_another_program_is_refused_naming_what_differs() -> None:
    """Exit 2: each library and the sources, here and there, and no others."""
    there = {**program(), "numpy": "1.0", "sources": "abcd"}
    told = json.dumps({"node": "n2 (10.0.0.2)", "program": there}).encode()
    with opened(hold=True) as (executor, broker):
        (future,) = given(executor, broker, 1)
        broker.report(broker.held_back[0]["number"], "answer", OTHER_PROGRAM + told)
        with pytest.raises(ConfigError, match=r"node n2 \(10\.0\.0\.2\) of the Ray cluster") as refused:
            future.result()
    pairs = f"(numpy: {program()['numpy']} here, 1.0 there; sources: {program()['sources']} here, abcd there)"
    assert pairs in str(refused.value)


def test_the_number_of_processors_of_no_cluster_is_refused() -> None:
    """A Ray of one's own has --workers."""
    with pytest.raises(ConfigError, match="--ray-cpus is of a cluster: give --ray-address too, or --workers"):
        open_executor(Setup(2, options={"ray_cpus": 8}))


def test_a_worker_of_the_same_program_computes() -> None:
    """The function that Ray calls, with arrays that it holds already."""
    from backtest.executors import ray_worker

    task, heard = product(1), signal.getsignal(signal.SIGINT)
    ray_worker._held[task.shared.name] = task.shared.arrays
    try:
        assert answer(program_hash(), task.shared.name, [], packed_task(task)) == b"=" + task.result()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "what has begun ends"
    finally:
        signal.signal(signal.SIGINT, heard)
        ray_worker._held.clear()


class WatchedBroker(FakeBroker):
    """Notes whether somebody still reads when it is ended."""

    read_at_the_end = False

    def end(self) -> None:
        """As always."""
        self.read_at_the_end = any("(_listen)" in thread.name for thread in threading.enumerate())
        super().end()


def test_who_reads_has_ended_before_the_pipe_is_closed() -> None:
    """Its number is the next pipe's at once: a reader that was left would take the answers of the executor opened then."""
    broker = WatchedBroker(2)
    executor = RayExecutor(cast(BrokerProcess, broker))
    assert executor.submit(product(1)).result() == product(1).result()
    assert any("(_listen)" in thread.name for thread in threading.enumerate())
    executor.close()
    assert broker.ended
    assert not broker.read_at_the_end
