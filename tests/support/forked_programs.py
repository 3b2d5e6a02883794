"""`trader` and `backtest` for a shell's PATH, each call a process that is forked: a script that types forty commands waits for
no imports.

The program on the PATH is a small client. It hands its words, folder, environment and the three standard streams to a
server, which forks the command from what the fork server of the tests has imported; it passes signals on, and ends as the
command does. When a client is killed, so is its command. That the installed console scripts start is shown by
`tests/docs/test_console_scripts.py`, and by the README in `make system`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from tests.support.forked import begin, crew

PROGRAMS = ("trader", "backtest")
STREAMS = (0, 1, 2)
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")
CLIENT = Path(__file__).with_name("forked_client.py")


@contextmanager
def programs() -> Iterator[Path]:
    """A folder that holds both programs, while their server runs."""
    with tempfile.TemporaryDirectory(prefix="programs-") as name:
        folder = Path(name)
        server = crew.Process(target=_serve, args=(str(folder / "socket"),))
        server.start()
        try:
            for program in PROGRAMS:
                (folder / program).write_text(
                    f'#!/bin/sh\nexec {sys.executable} -IS {CLIENT} {folder / "socket"} {program} "$@"\n'
                )
                (folder / program).chmod(0o755)
            while not (folder / "socket").exists():
                assert server.is_alive(), "the server of forked programs did not start"
                time.sleep(0.01)
            yield folder
        finally:
            server.terminate()
            server.join()


def _serve(place: str) -> NoReturn:
    """Fork a keeper for each client."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place + ".new")
        listening.listen(32)
        Path(place + ".new").rename(place)
        while True:
            client, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                with suppress(BaseException):
                    _keep(client)
                os._exit(0)
            client.close()


def _keep(client: socket.socket) -> None:
    """Start a client's command, pass signals on, tell how it ended. A client that is gone ends its command."""
    head, streams, _, _ = socket.recv_fds(client, LENGTH.size, len(STREAMS))
    asked = json.loads(_read(client, LENGTH.unpack(head)[0]))
    command = multiprocessing.get_context("fork").Process(
        target=_command,
        args=(client, tuple(asked["words"]), Path(asked["cwd"]), asked["environment"], streams),
    )
    command.start()
    for stream in streams:
        os.close(stream)
    _watch(client, command)
    command.join()
    code = command.exitcode
    assert code is not None
    client.sendall(STATUS.pack(code))


def _watch(client: socket.socket, command: BaseProcess) -> None:
    assert command.pid is not None
    while command.sentinel not in select.select([client.fileno(), command.sentinel], [], [])[0]:
        told = client.recv(1)
        if not told:
            for kill in (os.killpg, os.kill):  # it may not have a group of its own yet
                with suppress(ProcessLookupError):
                    kill(command.pid, signal.SIGKILL)
            return
        os.kill(command.pid, told[0])


def _command(
    client: socket.socket, words: tuple[str, ...], cwd: Path, environment: dict[str, str], streams: list[int]
) -> NoReturn:
    """The command: its own process group, so that what it starts dies with it when its client is killed."""
    os.setsid()
    client.close()
    for stream, given in zip(STREAMS, streams, strict=True):
        os.dup2(given, stream)
        os.close(given)
    begin(words, cwd, environment)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        assert more, "the client left in the middle of what it asks"
        data += more
    return data
