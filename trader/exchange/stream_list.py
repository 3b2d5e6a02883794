"""The streams that are open: who is woken when the clock is moved, and what the control channel tells of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class OpenStream:
    """One connection: the names of its streams, when it began (UTC ms, the exchange's clock), how many messages it was sent, and
    whether it is to be ended."""

    streams: list[str]
    since_ms: int
    sent: int = 0
    closing: bool = False


class OpenStreams:
    """The connections of an exchange. opened_in_all counts those that are over as well, most_at_once the most that there were
    together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[OpenStream, Callable[[], None]]] = {}
        self.opened_in_all = 0
        self.most_at_once = 0

    @contextmanager
    def opened(self, stream: OpenStream, wake: Callable[[], None]) -> Iterator[None]:
        """Within it the connection is one of the list; `wake` must return at once."""
        with self._lock:
            self.opened_in_all += 1
            number = self.opened_in_all
            self._open[number] = (stream, wake)
            self.most_at_once = max(self.most_at_once, len(self._open))
        try:
            yield
        finally:
            with self._lock:
                del self._open[number]

    def wake(self) -> None:
        """Have every connection look at the clock now."""
        with self._lock:
            for _, wake in self._open.values():
                wake()

    def close_all(self) -> None:
        """End every connection that is open."""
        with self._lock:
            for stream, wake in self._open.values():
                stream.closing = True
                wake()

    @property
    def now_open(self) -> list[OpenStream]:
        """The connections that are open, the oldest first."""
        with self._lock:
            return [stream for stream, _ in self._open.values()]
