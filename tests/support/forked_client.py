"""What stands on a PATH as `trader` and `backtest`, and as the Python of a command that starts further processes.

A copy of this file lies beside the socket of `forked_programs`; its name says which program it is. Standard library only, and
little of that: it starts in a fiftieth of a second. A Python that is asked for anything but this project's own processes
becomes the real one.
"""

import array
import json
import os
import signal
import socket
import struct
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PACKAGES = ("trader", "backtest")
# Texts of `python -c` that the project itself starts.
OWN = (
    "from backtest.executors.local_worker import main",
    "from backtest.executors.fork_server_process import main",
    "from trader.cli import main",
)


def is_own(words: list[str]) -> bool:
    """Whether `python WORDS` is a process that this project starts."""
    kind, what = (*words[:2], "", "")[:2]
    return (kind == "-m" and what.partition(".")[0] in PACKAGES) or (
        kind == "-c" and any(it in what for it in OWN)
    )


def descriptors() -> list[int]:
    """The standard streams, and what else was handed to this process."""
    found = {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208  # pathlib takes as long as all of this
    held = []
    for number in sorted(found):
        try:
            if number < 3 or os.get_inheritable(number):
                held.append(number)
        except OSError:
            continue  # the listing's own
    return held


def main() -> int:
    """Ask the server for the command; the command's exit code. Where a signal ended the command, the same ends this process."""
    folder, name = os.path.split(sys.argv[0])
    if name == "python" and not is_own(sys.argv[1:]):
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606  # which is what was asked for
    handed = descriptors()
    server = socket.socket(socket.AF_UNIX)
    server.connect(os.path.join(folder, "socket"))  # noqa: PTH118  # as above
    asked = {
        "words": [name, *sys.argv[1:]],
        "cwd": os.path.realpath("."),
        "environment": dict(os.environ),
        "descriptors": handed,
        "umask": os.umask(0o077),
    }
    text = json.dumps(asked).encode()
    streams = array.array("i", handed)
    server.sendmsg([struct.pack("!I", len(text))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(text)
    for number in handed:
        os.close(number)
    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda given, _frame: server.sendall(bytes((given,))))
    answer = b""
    while len(answer) < 4 and (more := server.recv(4 - len(answer))):
        answer += more
    code: int = struct.unpack("!i", answer)[0] if answer else 1
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
