"""HTTP exchanges recorded on their way to a server, and a server that answers them as constants.

`recording` puts a relay between a client and a server and writes down every request with its answer, in their order.
`constants` serves such a tape from a process of its own: the n-th request gets the n-th answer, the same bytes, whatever it
asks. So what a client then takes is the client's own time and the least that a server can take.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.scene import ROOT

HOST = "127.0.0.1"
END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Told:
    """One exchange: method, target and body of the request, whether it was signed, and the whole answer as it came."""

    method: str
    target: str
    body: str
    signed: bool
    answer: str


class Messages:
    """HTTP/1.1 messages with a Content-Length, read from one socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._ahead = b""

    def next(self) -> tuple[bytes, bytes] | None:
        """Head (with its empty line) and body of the next message, None where the peer has gone."""
        while (end := self._ahead.find(END)) < 0:
            if not self._more():
                return None
        head, self._ahead = self._ahead[: end + len(END)], self._ahead[end + len(END) :]
        at = head.lower().find(b"content-length:")
        size = 0 if at < 0 else int(head[at + 15 : head.index(b"\r\n", at)])
        while len(self._ahead) < size:
            if not self._more():
                return None
        body, self._ahead = self._ahead[:size], self._ahead[size:]
        return head, body

    def _more(self) -> bool:
        piece = self.sock.recv(65_536)
        self._ahead += piece
        return bool(piece)


class Server:
    """Listens on loopback and gives each connection to a thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(sock,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _guarded(self, sock: socket.socket) -> None:
        with sock:
            try:
                self.talk(Messages(sock))
            except OSError:
                return  # the client has gone

    def talk(self, client: Messages) -> None:
        """Answer one connection's requests."""
        raise NotImplementedError


class Relay(Server):
    """Hands every request on to the server behind it and keeps both. Its clients ask one after the other."""

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._behind = (parts.hostname or HOST, parts.port or 80)
        self.kept: list[Told] = []

    def talk(self, client: Messages) -> None:
        """Request in, request out, answer back."""
        with socket.create_connection(self._behind) as sock:
            server = Messages(sock)
            while (request := client.next()) is not None:
                sock.sendall(b"".join(request))
                answer = server.next()
                if answer is None:
                    return
                head, body = (part.decode("latin-1") for part in request)
                method, target, _ = head.split(" ", 2)
                signed = "signature=" in target or "signature=" in body
                self.kept.append(Told(method, target, body, signed, b"".join(answer).decode("latin-1")))
                client.sock.sendall(b"".join(answer))


class Constants(Server):
    """The n-th request gets the n-th answer; after the last it begins anew."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__()
        self._answers, self._next = answers, 0

    def talk(self, client: Messages) -> None:
        """Whatever is asked."""
        while client.next() is not None:
            at, self._next = self._next, (self._next + 1) % len(self._answers)
            client.sock.sendall(self._answers[at])


@contextmanager
def recording(url: str) -> Iterator[Relay]:
    """A relay before the server at `url`."""
    relay = Relay(url)
    threading.Thread(target=relay.serve, daemon=True).start()
    try:
        yield relay
    finally:
        relay.close()


def write(tape: list[Told], path: Path) -> None:
    """A line an exchange."""
    path.write_text("".join(json.dumps(asdict(told)) + "\n" for told in tape))


def read(path: Path) -> list[Told]:
    """What `write` wrote."""
    return [Told(**json.loads(line)) for line in path.read_text().splitlines()]


@contextmanager
def constants(tape: Path) -> Iterator[str]:
    """A process that answers a written tape; its address."""
    command = [sys.executable, "-m", "benchmarks.tape", str(tape)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        try:
            yield (child.stdout.readline() if child.stdout else "").strip()
        finally:
            child.terminate()


def main() -> None:
    """What that process does."""
    server = Constants([told.answer.encode("latin-1") for told in read(Path(sys.argv[1]))])
    print(server.url, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
