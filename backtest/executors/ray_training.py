"""A training that workers of Ray share, from the coordinator's side: the task is given once, its epochs are heard, and what was
learnt is kept, so that also a coordinator that was killed goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backtest.executors.packing import opened, packed, packed_task
from backtest.executors.protocol import Task
from backtest.executors.ray_address import ray_address, require_answer
from backtest.executors.ray_broker_process import BrokerProcess, other_program
from backtest.executors.registry import require_installed
from trader.core.errors import ConfigError, Retry
from trader.core.long_training import Epoch, checkpoints, tell
from trader.core.text import plural

Tell = Callable[[str], None]


@contextmanager
def ray_training(workers: int, address: str | None, open_ports: bool, say: Tell) -> Iterator[RayTraining]:
    """Workers of the cluster at `address`, or without one of a Ray of this command's own, which ends with it. Raises ConfigError
    as `--executor ray` does."""
    require_installed("--train-workers", "ray", "ray")
    asked = ray_address(address) if address else None
    if asked:
        require_answer(asked)
    broker = BrokerProcess(asked, None if asked else workers, open_ports, say, "--train-workers 1")
    try:
        yield RayTraining(broker, workers, say)
    except KeyboardInterrupt:
        broker.kill()
        raise
    finally:
        broker.end()


class RayTraining:
    """Computes a task with all workers at once."""

    def __init__(self, broker: BrokerProcess, workers: int, say: Tell) -> None:
        self._broker, self._workers, self._say = broker, workers, say

    def __call__(self, task: Task) -> bytes:
        """The task's result. Its state is kept among the checkpoints under the task's own key, and its epochs are told. Raises
        what the task raised; ConfigError for a cluster that is too small, or runs another program; Retry where workers were lost
        too often, or Ray as a whole."""
        key, shared = task.key[:32], packed({}, task.shared.arrays)
        self._broker.start(len(shared))
        if self._broker.capacity() < self._workers:
            raise ConfigError(
                f"--train-workers {self._workers}: the Ray cluster has {plural(self._broker.capacity(), 'CPU')}, and each worker "
                "takes one. Give fewer workers, or add a node"
            )
        state = checkpoints().load(key) or b""
        body = packed({}, {"shared": _raw(shared), "task": _raw(packed_task(task)), "state": _raw(state)})
        try:
            self._broker.messages.send("train", body, workers=self._workers)
            while True:
                head, said = self._broker.messages.receive()
                if head["kind"] == "answer":
                    checkpoints().drop(key)
                    return opened(said, task)
                self._hear(key, head, said)
        except (EOFError, OSError):
            raise Retry(
                f"the connection with Ray was lost ({self._broker.last_words()}). {_GOES_ON}"
            ) from None

    def _hear(self, key: str, head: dict[str, Any], said: bytes) -> None:
        kind = head.pop("kind")
        if kind == "epoch":
            if said:
                checkpoints().save(key, said)
            tell(Epoch(**head))
        elif kind == "again":
            self._say(f"a worker of Ray was lost; the training goes on after epoch {head['after']}")
        elif kind == "refused":
            raise other_program(said)
        else:
            raise Retry(
                f"the training was given up, workers were lost too often ({said.decode()}). {_GOES_ON}"
            )


_GOES_ON = "What was learnt is kept; the same command goes on"


def _raw(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8)
