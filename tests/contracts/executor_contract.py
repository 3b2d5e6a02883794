"""What every executor must do, as tests: over each that is registered, by its name."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from backtest.executors.futures import GIVEN_AGAIN
from backtest.executors.protocol import Executor, SharedArrays, Task, WorkerLost
from tests.support import executor_tasks as tasks
from trader.core.errors import DataError

Opened = Callable[[int], AbstractContextManager[Executor]]
SHARED = SharedArrays({"shared": tasks.numbers(1, 60, 40)})
PLACEMENTS = ("process", "thread", "caller")


def product(number: int, **how: Any) -> Task:
    """One of many that share an array."""
    own = {"own": tasks.numbers(number, 40, 3)}
    return Task(tasks.product, {"factor": number / 7}, SHARED, own, **how)


def killed(folder: Path, times: int) -> Task:
    """A task whose worker is killed so many times, and its result after that."""
    settings = {"factor": 2, "folder": str(folder), "times": times}
    return Task(tasks.killed, settings, SHARED, {"own": tasks.numbers(0, 40, 3)}, label="window 3")


def waiting(folder: Path, name: str) -> Task:
    """A task that is in progress until `go` is there."""
    return Task(tasks.wait, {"folder": str(folder), "name": name})


def until(ready: Callable[[], Any], what: str) -> None:
    """Wait for it."""
    stop = time.monotonic() + tasks.PATIENCE_S
    while not ready():
        assert time.monotonic() < stop, what
        time.sleep(0.01)


class ExecutorContract:
    """`opened` opens the executor with so many workers, as the commands do."""

    @pytest.fixture
    def opened(self) -> Opened:
        """Given by the class that runs the contract."""
        raise NotImplementedError

    def test_equal_bytes_for_one_two_and_four_workers(self, opened: Opened) -> None:
        """Whatever the placement; the results are what the function gives when it is called."""
        many = [product(n, placement=PLACEMENTS[n % 3]) for n in range(12)]
        expected = [task.result() for task in many]
        for workers in (1, 2, 4):
            with opened(workers) as executor:
                assert executor.capacity == workers
                assert [future.result() for future in [executor.submit(task) for task in many]] == expected

    def test_the_order_of_tasks_changes_nothing(self, opened: Opened) -> None:
        """Given backwards, and twice, each has the same result."""
        many = [product(n) for n in range(8)]
        with opened(2) as executor:
            given = [(task, executor.submit(task)) for task in [*many[::-1], *many]]
            assert all(future.result() == task.result() for task, future in given)

    @pytest.mark.parametrize("placement", PLACEMENTS)
    def test_what_a_task_refuses_arrives_as_that(self, opened: Opened, placement: Any) -> None:
        """A DataError is a DataError with its message, and the worker goes on with the next task."""
        with opened(2) as executor:
            refused = executor.submit(Task(tasks.refuse, {"message": "BTCUSDT: row 7"}, placement=placement))
            with pytest.raises(DataError, match=r"^BTCUSDT: row 7$"):
                refused.result()
            assert executor.submit(product(3)).result() == product(3).result()

    @pytest.mark.parametrize("placement", PLACEMENTS)
    def test_a_bug_in_a_task_is_told_with_its_place(self, opened: Opened, placement: Any) -> None:
        """It is no error of the data and no lost worker: it is raised, and names what was wrong."""
        with opened(2) as executor, pytest.raises(Exception, match="no such key") as told:
            executor.submit(Task(tasks.fail, {}, placement=placement)).result()
        assert not isinstance(told.value, DataError | WorkerLost)

    def test_a_killed_worker_costs_its_task_one_more_try(self, opened: Opened, tmp_path: Path) -> None:
        """Killed by itself three times, the result is right; tasks beside it are not lost."""
        with opened(2) as executor:
            beside = [executor.submit(product(n)) for n in range(4)]
            task = killed(tmp_path, GIVEN_AGAIN)
            assert executor.submit(task).result() == product_of(task)
            assert [future.result() for future in beside] == [product(n).result() for n in range(4)]
        assert len(list(tmp_path.iterdir())) == GIVEN_AGAIN + 1

    def test_killed_from_outside_in_the_middle(self, opened: Opened, tmp_path: Path) -> None:
        """SIGKILL to the very process that computes: it is computed by another one."""
        with opened(2) as executor:
            future = executor.submit(waiting(tmp_path, "one"))
            begun = tmp_path / "one"
            until(lambda: begun.exists() and begun.read_text(), "it was never begun")
            first = begun.read_text()
            begun.unlink()
            os.kill(int(first), signal.SIGKILL)
            until(lambda: begun.exists() and begun.read_text(), "it was not given again")
            assert begun.read_text() != first
            (tmp_path / "go").touch()
            assert json.loads(future.result()) == "one"

    def test_killed_every_time_is_an_error_that_names_the_task(self, opened: Opened, tmp_path: Path) -> None:
        """After three more tries; the executor still works."""
        with opened(2) as executor:
            task = killed(tmp_path, 99)
            with pytest.raises(WorkerLost, match=rf"task {task.key[:16]} \(window 3\).*given 4 times"):
                executor.submit(task).result()
            assert len(list(tmp_path.iterdir())) == GIVEN_AGAIN + 1
            assert executor.submit(product(5)).result() == product(5).result()

    def test_what_was_not_begun_can_be_cancelled(self, opened: Opened, tmp_path: Path) -> None:
        """It is never begun; what was begun ends."""
        with opened(2) as executor:
            begun = [executor.submit(waiting(tmp_path, name)) for name in ("a", "b")]
            until(lambda: len(list(tmp_path.iterdir())) == 2, "two tasks at the same time")
            last = executor.submit(waiting(tmp_path, "c"))
            assert last.cancel()
            assert not begun[0].cancel()
            (tmp_path / "go").touch()
            assert [json.loads(future.result()) for future in begun] == ["a", "b"]
            assert last.cancelled()
            assert executor.submit(product(1)).result() == product(1).result()
        assert not (tmp_path / "c").exists()

    def test_an_interrupt_loses_nothing_that_was_begun(self, opened: Opened, tmp_path: Path) -> None:
        """What is in flight ends and whoever keeps results hears of it; what was waiting is cancelled."""
        heard: list[Any] = []
        futures: list[Future[bytes]] = []

        def interrupted() -> None:
            with opened(2) as executor:
                for name in ("a", "b", "c"):
                    futures.append(executor.submit(waiting(tmp_path, name)))
                    futures[-1].add_done_callback(
                        lambda it: heard.append(None if it.cancelled() else it.result())
                    )
                until(lambda: len(list(tmp_path.iterdir())) == 2, "two tasks at the same time")
                (tmp_path / "go").touch()
                futures[2].cancel()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert sorted(str(it) for it in heard) == ["None", "b'\"a\"'", "b'\"b\"'"]
        assert wait_for(futures, timeout=0).not_done == set()

    def test_shared_arrays_are_handed_to_a_worker_once(self, opened: Opened) -> None:
        """However many tasks it computes; and no task can write them. Another set of arrays is handed over beside it."""
        other = SharedArrays({"shared": tasks.numbers(2, 50, 40)})
        for _ in range(2):
            with opened(2) as executor:
                # Different ones: an executor may know that equal tasks have equal results.
                many = [
                    Task(tasks.handed, {"seconds": 0.1, "number": n}, shared)
                    for n, shared in enumerate((SHARED, other) * 10)
                ]
                told = [json.loads(f.result()) for f in [executor.submit(task) for task in many]]
            assert {(copies, writeable) for _, copies, writeable in told} == {(1, False)}
            assert len({process for process, *_ in told}) == 2

    def test_more_sets_of_shared_arrays_than_a_worker_holds(self, opened: Opened) -> None:
        """A long search has new ones again and again; an early one can come back."""
        sets = [SharedArrays({"shared": tasks.numbers(n, 60, 40)}) for n in range(9)]
        own = {"own": tasks.numbers(0, 40, 3)}
        many = [Task(tasks.product, {"factor": 1}, one, own) for one in [*sets, *sets]]
        with opened(2) as executor:
            assert [executor.submit(task).result() for task in many] == [task.result() for task in many]

    def test_closing_twice_does_no_harm(self, opened: Opened) -> None:
        """And ends every worker."""
        with opened(2) as executor:
            pid, *_ = json.loads(executor.submit(Task(tasks.handed, {"seconds": 0}, SHARED)).result())
            executor.close()
        assert pid == os.getpid() or not Path(f"/proc/{pid}").exists()


def product_of(task: Task) -> bytes:
    """What a task that is killed no more gives."""
    return tasks.product({**task.shared.arrays, **task.arrays}, task.settings)
