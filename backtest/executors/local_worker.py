"""A worker process of this machine: tasks one after the other, until its coordinator is no more."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from backtest.executors.packing import computed, unpacked
from backtest.executors.protocol import Arrays

KEEP, DROP, TASK = b"K", b"D", b"T"
# What a worker's libraries would import for charts of their own, and do without: half of what Prophet's start takes.
_DRAWING = ("matplotlib", "plotly")


def main(handle: int) -> None:
    """What comes from the pipe is done, and answered. Ends the process when the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    without_drawing()
    pipe, inbox = Connection(handle), queue.SimpleQueue[bytes]()
    threading.Thread(target=_listen, args=(pipe, inbox), daemon=True).start()
    held: dict[str, Arrays] = {}
    while True:
        what, body = inbox.get(), inbox.get()
        if what == KEEP:
            head, arrays = unpacked(body)
            held[head["name"]] = arrays
        elif what == DROP:
            del held[body.decode()]
        else:
            answer = computed(body, held.__getitem__)
            with contextlib.suppress(
                BrokenPipeError
            ):  # the coordinator is no more, and the other thread ends this
                pipe.send_bytes(answer)


def without_drawing() -> None:
    """From now on nothing that draws can be imported in this process."""
    sys.modules.update(dict.fromkeys(_DRAWING))  # type: ignore[arg-type]  # None says that there is no such module


def _listen(pipe: Connection, inbox: queue.SimpleQueue[bytes]) -> None:
    """A coordinator that ended, or was killed, closed its end of the pipe: then nobody wants what is computed here."""
    while True:
        try:
            inbox.put(pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
