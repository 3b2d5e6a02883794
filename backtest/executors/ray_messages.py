"""What the coordinator and the process that speaks with Ray say to each other: a head of JSON, and bytes, in two frames."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from multiprocessing.connection import Connection
from typing import Any, Literal

# From the coordinator. keep, drop: shared arrays by their name. task: by a number. cancel: whatever was not begun. train: a task
# that workers share.
Order = Literal["start", "keep", "drop", "task", "cancel", "train"]
# To the coordinator. hello: whether there is a network of its own. ready: Ray is there. slow: its processes were not up in time.
# refused: a person must act. retry: it may be there later. ended: no task is answered any more. epoch, again: of a training, what
# was learnt, and that its workers begin anew. The rest are what a task came to.
Report = Literal[
    "hello", "ready", "slow", "refused", "retry", "ended", "epoch", "again", "answer", "lost", "cancelled"
]


class Messages:
    """One end of a pipe. Any thread may send; one receives."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, kind: Order | Report, body: bytes = b"", **head: Any) -> None:
        """Raises OSError where nobody listens any more."""
        with self._lock:
            self._pipe.send_bytes(json.dumps({"kind": kind, **head}).encode())
            self._pipe.send_bytes(body)  # alone, so that arrays are not copied to be sent

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next one. Raises EOFError or OSError where none will come."""
        head = json.loads(self._pipe.recv_bytes())
        return head, self._pipe.recv_bytes()

    def waits(self, seconds: float) -> bool:
        """Whether one comes within this time."""
        return self._pipe.poll(seconds)

    def hang_up(self) -> None:
        """Both ends hear of it, at once: to close a pipe that another thread reads would end neither's wait. Safe to repeat."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._pipe.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """When nobody reads here any more."""
        self.hang_up()
        self._pipe.close()
