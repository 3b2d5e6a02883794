"""A process that imports once what workers need, and forks them, seen from within.

It computes nothing, so no library has begun threads here that a fork would lose (docs/adr/0039).
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import signal
import socket
import warnings
from collections.abc import Sequence

from backtest.executors.fork_server import NUMBER
from backtest.executors.local_worker import main as work
from backtest.executors.local_worker import without_drawing

_OBJECTS = 50_000  # between two looks for garbage, as the commands have it


def main(handle: int, modules: Sequence[str]) -> None:
    """Forks, and tells how its children ended, until the coordinator is no more."""
    gc.set_threshold(_OBJECTS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # It has threads of BLAS and jemalloc, which wait and know of forks.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    without_drawing()
    for module in modules:
        with contextlib.suppress(Exception, SystemExit):  # the task that needs it says so
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is there now stays one memory for all workers
    control = socket.socket(fileno=handle)
    with contextlib.suppress(ConnectionError):
        control.sendall(NUMBER.pack(0))
        while True:
            asked, given, _, _ = socket.recv_fds(control, NUMBER.size, 1)
            if not asked:
                return
            if given:
                control.sendall(NUMBER.pack(_forked(control, given[0])))
            else:
                _, status = os.waitpid(NUMBER.unpack(asked)[0], 0)
                control.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _forked(control: socket.socket, handle: int) -> int:
    """The worker's number, in its server; where the system starts no more processes, its error as a negative number."""
    try:
        pid = os.fork()
    except OSError as error:
        pid = -(error.errno or errno.EAGAIN)
    if pid == 0:
        code = 1
        try:
            control.close()
            work(handle)
            code = 0
        finally:
            os._exit(code)
    os.close(handle)
    return pid
