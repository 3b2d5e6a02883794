"""Whose turn it is to tell observers: one process of this machine at a time, and one at most that waits for it.

Whoever waits begins after whoever it waits for, so it reads everything that is recorded by then: a third has nothing to add
and leaves. The locks are files in the trackers' folder, released by the system when their holder ends, however it ends.
Imports the standard library only: `supervisor.py` says why.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOCK, QUEUE = ".lock", ".waiting"
LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to tell observers. descriptors: the lock's, for a child that is to hold it as well; none where the folder
    cannot be written, which is each tracker's own trouble."""

    descriptors: tuple[int, ...] = ()


@contextmanager
def turn(folder: Path, wait_s: float = 0.0, stop: threading.Event | None = None) -> Iterator[Turn | None]:
    """This process's turn for as long as the context lasts; None where another one's lasts longer than `wait_s`, or `stop`
    was set before."""
    with _locked(folder / LOCK, wait_s, stop or threading.Event()) as held:
        yield held


@contextmanager
def next_turn(folder: Path, wait_s: float, stop: threading.Event | None = None) -> Iterator[Turn | None]:
    """The same; None also where another process waits already: that one tells what is recorded by now."""
    with ExitStack() as stack:
        with _locked(folder / QUEUE, 0.0, threading.Event()) as place:
            mine = place and stack.enter_context(turn(folder, wait_s, stop))
        yield mine


@contextmanager
def _locked(path: Path, wait_s: float, stop: threading.Event) -> Iterator[Turn | None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError:
        yield Turn()
        return
    with file:
        yield Turn((file.fileno(),)) if _taken(file, time.monotonic() + wait_s, stop) else None


def _taken(file: IO[str], until: float, stop: threading.Event) -> bool:
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= until or stop.wait(LOOK_AGAIN_S):
            return False
