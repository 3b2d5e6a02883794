"""`trader`, `backtest` and their Python for commands of tests, each call a process that is forked: a script that types forty
commands, or a command that starts four workers, waits for no imports.

The program on the PATH is a small client (`forked_client`). It hands its words, folder, environment and descriptors to a
server, which forks the command from what the fork server of the tests has imported; it passes signals on, and ends as the
command does. When a client is killed, so is its command. That the installed console scripts start is shown by
`tests/docs/test_console_scripts.py`, and by the README in `make system`.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.forked import FOLDER, begin, crew

PROGRAMS = ("trader", "backtest", "python")
LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")
CLIENT = Path(__file__).with_name("forked_client.py")
MOST_DESCRIPTORS = 250
PATIENCE_S = 280
# Above whatever number a command's descriptors may have where it was started.
ASIDE = 400


@functools.cache
def programs() -> Path:
    """A folder that holds the programs, once they are served; their server runs until this process ends. Workers of pytest have
    that of the process that started them."""
    if FOLDER in os.environ:
        folder = Path(os.environ[FOLDER])
    else:
        folder = new_folder()
        serve(folder)
    began = time.monotonic()
    while not (folder / "socket").exists():
        assert time.monotonic() - began < PATIENCE_S, "the server of forked programs did not start"
        time.sleep(0.01)
    return folder


def new_folder() -> Path:
    """The programs, which nobody serves yet; removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="programs-"))
    atexit.register(shutil.rmtree, folder)
    for program in PROGRAMS:
        (folder / program).write_text(f"#!{sys.executable} -IS\n{CLIENT.read_text()}")
        (folder / program).chmod(0o755)
    return folder


def serve(folder: Path) -> None:
    """Start the server of a folder, once the fork server has imported everything."""
    server = crew.Process(target=_serve, args=(str(folder / "socket"),))
    server.start()
    atexit.register(server.terminate)


def _serve(place: str) -> None:
    """Fork a keeper for each client, as long as the process lives that asked for this one: pytest may be killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            listening.bind(place + ".new")
        except FileNotFoundError:
            return  # pytest has ended, and removed the folder
        listening.listen(64)
        Path(place + ".new").rename(place)
        while parent.sentinel not in select.select([listening.fileno(), parent.sentinel], [], [])[0]:
            client, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                _keep(client, str(Path(place).parent))
            client.close()


def _keep(client: socket.socket, folder: str) -> None:
    """Start a client's command, pass signals on, tell how it ended. A client that is gone ends its command."""
    try:
        head, given, _, _ = socket.recv_fds(client, LENGTH.size, MOST_DESCRIPTORS)
        asked = json.loads(_read(client, LENGTH.unpack(head)[0]))
        ready, leads = os.pipe()
        command = os.fork()
        if command:
            os.close(leads)
            os.read(ready, 1)  # it leads a group of its own, so that all of it can be ended
            for descriptor in given:
                os.close(descriptor)
            _watch(client, command)
            code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            client.sendall(STATUS.pack(code))
    except BaseException:
        os._exit(1)
    if command:
        os._exit(0)
    os.setsid()
    os.close(leads)
    client.close()
    _take(given, asked["descriptors"])
    os.umask(asked["umask"])
    begin(tuple(asked["words"]), Path(asked["cwd"]), asked["environment"], folder)


def _watch(client: socket.socket, command: int) -> None:
    ended = os.pidfd_open(command)
    while ended not in select.select([client.fileno(), ended], [], [])[0]:
        told = client.recv(1)
        if not told:
            with suppress(ProcessLookupError):
                os.killpg(command, signal.SIGKILL)
            return
        os.kill(command, told[0])


def _take(given: list[int], numbers: list[int]) -> None:
    """Give each descriptor the number that it had in the client."""
    aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, ASIDE) for descriptor in given]
    for descriptor in given:
        os.close(descriptor)
    for descriptor, number in zip(aside, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more: Any = client.recv(size - len(data))
        assert more, "the client left in the middle of what it asks"
        data += more
    return data
