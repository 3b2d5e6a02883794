"""Work that would hold up the event loop, in threads of a bounded number: what does not fit, or takes too long, is shed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from trader.serving.refusal import RETRY_AFTER_S, Refused

T = TypeVar("T")


class Lane:
    """Threads of one kind of work.

    name: for messages. threads: that run at once. most: running and waiting together; one more is refused with 503.
    shed: is told of each that is refused. What a
    caller no longer waits for goes on until it ends, and counts until then: a thread cannot be interrupted.
    """

    def __init__(self, name: str, threads: int, most: int, shed: Callable[[str], None]) -> None:
        self._name, self._most, self._shed = name, most, shed
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"serve-{name}")
        self.in_flight = 0

    async def run(self, work: Callable[[], T], deadline: float | None = None) -> T:
        """The result of `work`, called in a thread. deadline: the loop's time after which the caller is refused; None is for
        work of the server itself, which waits as long as it takes and is never refused.

        Raises Refused, and what `work` raises.
        """
        loop = asyncio.get_running_loop()
        if deadline is None:
            return await asyncio.wrap_future(self._submit(work, loop))
        if self.in_flight >= self._most:
            self._shed("request")
            raise Refused(
                503,
                f"{self.in_flight} {self._name} are in flight, the most at once; ask again",
                RETRY_AFTER_S,
            )
        begun = asyncio.wrap_future(self._submit(work, loop))
        try:
            return await asyncio.wait_for(asyncio.shield(begun), max(0.0, deadline - loop.time()))
        except TimeoutError:
            if begun.done() and not begun.cancelled():
                return begun.result()  # it ended in the same moment, or raised this itself
            begun.add_done_callback(_forget)
            self._shed("request")
            raise Refused(503, f"no answer in time from {self._name}; ask again", RETRY_AFTER_S) from None

    def _submit(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> Future[T]:
        self.in_flight += 1
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: _later(loop, self._ended))
        return future

    def _ended(self) -> None:
        self.in_flight -= 1

    def close(self) -> None:
        """Begin nothing more; what runs is let end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _later(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _forget(future: asyncio.Future[T]) -> None:
    if not future.cancelled():
        future.exception()  # nobody waits for it; the next request meets the same error
