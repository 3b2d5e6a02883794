"""The program that `forked_programs` puts on a PATH: `python -IS forked_client.py SOCKET WORDS...`. Standard library only, and
little of that: it starts in a fiftieth of a second."""

import array
import json
import os
import signal
import socket
import struct
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Ask the server for the command; the command's exit code. Where a signal ended the command, the same ends this process."""
    place, *words = sys.argv[1:]
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    asked = json.dumps(
        {"words": words, "cwd": os.path.realpath("."), "environment": dict(os.environ)}
    ).encode()
    streams = array.array("i", (0, 1, 2))
    server.sendmsg([struct.pack("!I", len(asked))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(asked)
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
