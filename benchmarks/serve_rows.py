"""1,024 rows in one request to `trader serve`, as JSON and as bytes, beside the model's own time for them on the same core.

On a machine that others use every time is an upper bound: the shortest of many is judged, and the medians stand beside it. The
processor's time, which others lengthen less, is that of all threads of the server by Linux's own count.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import numpy as np

from benchmarks.figure import Figure
from benchmarks.scene import median
from trader.core.types import Matrix
from trader.serving.model import ServedModel, row_scores
from trader.serving.rows import BINARY_SIZE, HEAD_LENGTH

T = TypeVar("T")
AS_BYTES = [{"name": "p_up", "parameters": {"binary_data": True}}]


@dataclass(frozen=True, slots=True)
class Server:
    """A running `trader serve`: its address, and its process."""

    url: str
    pid: int

    def processor_s(self) -> float:
        """Seconds of processor that its threads have had."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(it.read_text().split()[0]) for it in tasks) / 1e9


def as_json(X: Matrix) -> bytes:
    """Rows as a request of JSON, each number as Python writes it."""
    data = X.ravel().astype(float).tolist()
    return json.dumps({"inputs": [{**_head(X), "data": data}]}).encode()


def as_bytes(X: Matrix) -> tuple[bytes, int]:
    """Rows as a request whose numbers follow the JSON, and the length of that."""
    tensor = {**_head(X), "parameters": {BINARY_SIZE: X.nbytes}}
    head = json.dumps({"inputs": [tensor], "outputs": AS_BYTES}).encode()
    return head + X.astype("<f4").tobytes(), len(head)


def _head(X: Matrix) -> dict[str, object]:
    return {"name": "rows", "shape": list(X.shape), "datatype": "FP32"}


@dataclass
class Spans:
    """Seconds of one thing, done often."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, work: Callable[[], T], processor_s: Callable[[], float]) -> T:
        """What `work` returns."""
        spent, began = processor_s(), time.perf_counter()
        found = work()
        self.wall.append(time.perf_counter() - began)
        self.processor.append(processor_s() - spent)
        return found

    def beside(self, own: Spans, name: str) -> Figure:
        """The ratio of the shortest, with the medians."""
        note = (
            f"shortest {min(self.wall) * 1000:.1f} and {min(own.wall) * 1000:.1f} ms, medians {median(self.wall) * 1000:.1f} and "
            f"{median(own.wall) * 1000:.1f}; processor {median(self.processor) / median(own.processor):.2f} times"
        )
        return Figure(name, min(self.wall) / min(own.wall), "at most", 3, note=note)


def many_rows(server: Server, model: ServedModel, X: Matrix, times: int, core: int) -> list[Figure]:
    """The three in turn, from this process: the model on the server's core, the requests from the cores that this one has."""
    path = f"/v2/models/{model.model_id}/infer"
    parts, client = urlsplit(server.url), os.sched_getaffinity(0)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port)
    plain, (packed, head_length) = as_json(X), as_bytes(X)
    own, by_json, by_bytes = Spans(), Spans(), Spans()

    def ask_json() -> bytes:
        return _ask(link, path, plain, {})[0]

    def ask_bytes() -> tuple[bytes, int]:
        return _ask(link, path, packed, {HEAD_LENGTH: str(head_length)})

    equal = True
    for _ in range(times):
        os.sched_setaffinity(0, {core})
        scores = own.measure(lambda: row_scores(model, X), time.process_time)
        os.sched_setaffinity(0, client)
        text = by_json.measure(ask_json, server.processor_s)
        told, length = by_bytes.measure(ask_bytes, server.processor_s)
        decimals = np.array(json.loads(text)["outputs"][0]["data"], np.float32)
        equal = equal and all(
            np.array_equal(it, scores) for it in (decimals, np.frombuffer(told[length:], "<f4"))
        )
    link.close()
    name = f"({model.runtime}), of the model's own time"
    return [
        by_json.beside(own, f"1,024 rows as JSON {name}"),
        by_bytes.beside(own, f"1,024 rows as bytes {name}"),
        Figure(f"the same numbers ({model.runtime})", float(equal), "exactly", 1, is_result=True),
    ]


def _ask(
    link: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> tuple[bytes, int]:
    """The answer, and how much of it is JSON. Raises RuntimeError for a refusal."""
    link.request("POST", path, body, {"Content-Type": "application/json", **headers})
    reply = link.getresponse()
    told = reply.read()
    if reply.status != 200:
        raise RuntimeError(f"{path} was refused with {reply.status}: {told[:300]!r}")
    return told, int(reply.getheader(HEAD_LENGTH, "0"))
