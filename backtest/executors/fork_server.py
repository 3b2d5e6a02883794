"""A process that imports once what workers need, and forks them, seen from the coordinator.

A worker then begins within milliseconds, and what was imported lies in memory once for all of them. Linux alone forks well what
has imported numerical libraries.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence


def _has_forks() -> bool:
    """Whether this is a Linux that tells of a process by a descriptor: before 5.3, or under a filter of calls, it may not."""
    if sys.platform != "linux":
        return False
    try:
        itself = os.pidfd_open(os.getpid())
        try:
            signal.pidfd_send_signal(itself, 0)
        finally:
            os.close(itself)
    except (OSError, AttributeError):  # a Python that was built for an older Linux has no such functions
        return False
    return True


HAS_FORKS = _has_forks()
NUMBER = struct.Struct("!i")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from backtest.executors.fork_server_process import main; main(int(sys.argv[1]), json.loads(sys.argv[3]))"
)


def start_python(code: str, handle: int, *words: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter that runs `code` and inherits a descriptor; its arguments are the descriptor's number, the folders that
    this process imports from as JSON, and `words`. It hears neither Ctrl-C nor `docker stop`: they are for the coordinator, which
    ends its processes in its own time."""
    command = [sys.executable, "-c", code, str(handle), json.dumps(sys.path), *words]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(handle,))  # noqa: S603  # this very interpreter
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ForkServer:
    """The coordinator's end. Any thread may use it."""

    def __init__(self, modules: Sequence[str]) -> None:
        """modules: what every worker would import."""
        self._control, theirs = socket.socketpair()
        try:
            self._process = start_python(_START, theirs.fileno(), json.dumps(list(modules)))
        finally:
            theirs.close()
        self._lock = threading.Lock()
        self._is_ready = False

    def wait(self) -> None:
        """Until it has imported everything, or is no more."""
        with self._lock, contextlib.suppress(ConnectionError):
            self._require_ready()

    def fork(self, handle: int) -> ForkedWorker:
        """A worker with this end of its pipe. Raises ConnectionError where the server is no more, WorkerLost where the system
        starts no more processes."""
        with self._lock:
            self._require_ready()
            socket.send_fds(self._control, [NUMBER.pack(0)], [handle])
            pid = self._heard()
            if pid < 0:
                # Here, for it imports numpy: who begins early has not yet.
                from backtest.executors.protocol import WorkerLost

                raise WorkerLost(f"the system started no worker process: {os.strerror(-pid)}")
            # Its server alone can reap it, when it is asked: until then the number is no other process's.
            return ForkedWorker(self, pid, os.pidfd_open(pid))

    def exit_code(self, pid: int) -> int:
        """Of a worker that has ended, asked once. Raises OSError where the server is no more."""
        with self._lock:
            self._control.sendall(NUMBER.pack(pid))
            return self._heard()

    def close(self) -> None:
        """The server ends, in the middle of its imports too; workers go on."""
        self.kill()
        self._process.wait()
        self._control.close()

    def kill(self) -> None:
        """Now, in the middle of its imports too."""
        self._process.kill()

    def _require_ready(self) -> None:
        if not self._is_ready:
            self._heard()
            self._is_ready = True

    def _heard(self) -> int:
        told = self._control.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(told) < NUMBER.size:
            raise ConnectionResetError("the server of worker processes has ended")
        number: int = NUMBER.unpack(told)[0]
        return number


_early: list[ForkServer] = []


def begin_early(modules: Sequence[str]) -> None:
    """A server for whoever needs the first one in this process; it ends with the process."""
    if not _early:
        server = ForkServer(modules)
        _early.append(server)
        atexit.register(server.kill)


def early_or_new_server(modules: Sequence[str]) -> ForkServer:
    """The server that was begun early, else a new one."""
    return _early.pop() if _early else ForkServer(modules)


class ForkedWorker:
    """A worker that a server forked."""

    def __init__(self, server: ForkServer, pid: int, pidfd: int) -> None:
        self._server, self.pid, self._pidfd = server, pid, pidfd
        self._code: int | None = None
        self._has_ended = False

    def kill(self) -> None:
        """Now."""
        with contextlib.suppress(OSError):  # it has ended
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def exit_code(self, patience_s: float) -> int | None:
        """Once it has ended; after so long it is killed. As of a subprocess: negative, the signal that ended it. None where
        nobody knows, for its server is gone too."""
        if not self._has_ended:
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            if not ended.poll(patience_s * 1000):
                self.kill()
                ended.poll()
            os.close(self._pidfd)
            self._has_ended = True
            with contextlib.suppress(OSError):
                self._code = self._server.exit_code(self.pid)
        return self._code
