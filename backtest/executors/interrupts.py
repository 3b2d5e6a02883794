"""Ctrl-C and `docker stop` while an executor is open: noted when they come, raised where nothing is half done.

Python raises KeyboardInterrupt between any two steps of the main thread. One of them lies between taking a future's lock
and entering the block that gives it back: the lock is held for ever then, the worker that wants to leave its result there
waits for ever, and so does whoever waits for the worker.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HEARD = (signal.SIGINT, signal.SIGTERM)
_noted = threading.Event()


@contextmanager
def interrupts_noted() -> Iterator[None]:
    """The first interrupt within is raised by the next `raise_noted`, at the latest when the block ends; the second at
    once. In a thread that no signal reaches nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {it: signal.signal(it, _note) for it in _HEARD}
    try:
        yield
        raise_noted()
    finally:
        _noted.clear()
        for it, handler in before.items():
            signal.signal(it, handler)


def _note(*_: int | FrameType | None) -> None:
    if _noted.is_set():
        raise KeyboardInterrupt
    _noted.set()


def raise_noted() -> None:
    """Raise KeyboardInterrupt where an interrupt was noted and this is the thread that hears of it."""
    if _noted.is_set() and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt
