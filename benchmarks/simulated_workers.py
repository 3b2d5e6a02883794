"""Workers that take their time and compute nothing: what is left is what the coordinator does.

A task is packed as it is for a worker elsewhere, and its answer comes when a worker would be done with it. What a study or a
selection asks for is answered in the right shape: a probability of 0.5 for every hour, a value or a loss by chance.
"""

from __future__ import annotations

import heapq
import json
import random
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import lru_cache
from typing import Any

import numpy as np

from backtest.executors.packing import packed, packed_task
from backtest.executors.protocol import Task, TaskSettings
from trader.core.types import DAY_MS, HOUR_MS
from trader.core.windows import Refit


class SimulatedWorkers:
    """`capacity` workers, each of which takes `service_s` seconds for a task, half of that more or less. `late_s`: by how much
    each answer came after its worker was done, because this process had no time for it."""

    def __init__(self, capacity: int, service_s: float) -> None:
        self.capacity, self._service_s = capacity, service_s
        self.late_s: list[float] = []
        self.packed_bytes = 0
        self._changed = threading.Condition()
        self._queue: deque[tuple[Task, Future[bytes]]] = deque()
        self._busy: list[tuple[float, int, Task, Future[bytes]]] = []
        self._begun = 0
        self._random = random.Random(1)  # no secret
        self._open = True
        self._clock = threading.Thread(target=self._run, daemon=True)
        self._clock.start()

    def submit(self, task: Task) -> Future[bytes]:
        """To a worker that is free, or into the queue."""
        self.packed_bytes += len(packed_task(task))
        future: Future[bytes] = Future()
        with self._changed:
            self._queue.append((task, future))
            self._fill(time.monotonic())
            self._changed.notify()
        return future

    def close(self) -> None:
        """What is in progress is forgotten."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._clock.join()

    def _fill(self, now: float) -> None:
        while self._queue and len(self._busy) < self.capacity:
            task, future = self._queue.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            self._begun += 1
            takes = self._service_s * self._random.uniform(0.5, 1.5)
            heapq.heappush(self._busy, (now + takes, self._begun, task, future))

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._open:
                    return
                now = time.monotonic()
                if not self._busy or self._busy[0][0] > now:
                    self._changed.wait(self._busy[0][0] - now if self._busy else None)
                    continue
                due, _, task, future = heapq.heappop(self._busy)
                self.late_s.append(now - due)
                self._fill(due if self._service_s else now)  # the worker was free when it was done
            future.set_result(answer(task))


def answer(task: Task) -> bytes:
    """In the shape of what the task's function gives."""
    settings = task.settings
    return _ANSWERS[task.function.__name__](settings)


def _fitted(settings: TaskSettings) -> bytes:
    hours = (settings["serve_until"] - Refit(*settings["window"]).serve_from) // HOUR_MS
    half: bytes = np.float32(0.5).tobytes()
    stages: int = len(settings["stages"])
    return half * (stages * int(hours))


def _finished(settings: TaskSettings) -> bytes:
    value = random.Random(settings["number"]).gauss(0.0, 1.0)  # no secret
    params = json.loads(settings["params"])
    candidate = [settings["stages"][0], params["enter_edge"], params["exit_edge"], value, value]
    head: dict[str, Any] = {"candidates": [candidate], "best": 0, "params": settings["params"]}
    head |= {"value": value, "traded_value": value, "net_return": 0.0, "orders": 0}
    return packed(head, {"returns": np.zeros(720)})


def _forecast(settings: TaskSettings) -> bytes:
    return _forecast_with(settings["first"] % 100, settings["origins"][-1])


@lru_cache(256)
def _forecast_with(number: int, origin: int) -> bytes:
    """Packed once: what a worker does costs the coordinator nothing."""
    loss = random.Random(number).uniform(0.01, 0.02)  # no secret
    head = {
        "loss": loss,
        "losses": [loss],
        "origin": origin,
        "step_ms": DAY_MS,
        "seconds": 0.5,
    }
    arrays = {"before": np.zeros(60), "quantiles": np.zeros((24, 7)), "came": np.zeros(24)}
    return packed(head, {**arrays, "model": np.zeros(2_000, np.uint8)})


_ANSWERS = {"fit_window": _fitted, "finish_trial": _finished, "daily_candidate": _forecast}
