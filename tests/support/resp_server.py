"""A server of a few of Redis' commands, enough for signals: streams in memory, and Redis' own words where it refuses."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from typing import Any

TOO_SMALL = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
Entry = tuple[str, list[str]]


class Streams:
    """Streams by key; `busy` makes every command fail, as a server that is loading its data does."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = {}
        self.last: dict[str, tuple[int, int]] = {}
        self.busy = False
        self.lock = threading.Lock()

    def answer(self, words: list[str]) -> bytes:
        """The reply to one command, in RESP 2."""
        verb = words[0].upper()
        with self.lock:
            if self.busy:
                return b"-LOADING Redis is loading the dataset in memory\r\n"
            if verb == "XADD":
                return self._add(words)
            if verb in ("XRANGE", "XREVRANGE"):
                return self._range(words, verb == "XREVRANGE")
        return b"+OK\r\n" if verb in ("CLIENT", "SELECT", "PING") else b"-ERR unknown command\r\n"

    def _add(self, words: list[str]) -> bytes:
        assert words[2:4] == ["MAXLEN", "~"], words
        key, name, fields = words[1], words[5], words[6:]
        number = _id(name)
        if number <= self.last.get(key, (-1, 0)):
            return f"-{TOO_SMALL}\r\n".encode()
        self.last[key] = number
        self.entries.setdefault(key, []).append((name, fields))
        return _bulk(name)

    def _range(self, words: list[str], backwards: bool) -> bytes:
        key, low, high = words[1], *(words[3:1:-1] if backwards else words[2:4])
        count = int(words[5]) if len(words) > 5 else 1_000_000
        found = [
            entry
            for entry in self.entries.get(key, [])
            if (low == "-" or _id(entry[0]) >= _id(low)) and (high == "+" or _id(entry[0]) <= _id(high))
        ]
        found = (found[::-1] if backwards else found)[:count]
        return _array([_array([_bulk(name), _array([_bulk(it) for it in fields])]) for name, fields in found])


def _id(text: str) -> tuple[int, int]:
    first, _, second = text.partition("-")
    return int(first), int(second or 0)


def _bulk(text: str) -> bytes:
    return f"${len(text.encode())}\r\n{text}\r\n".encode()


def _array(parts: list[bytes]) -> bytes:
    return f"*{len(parts)}\r\n".encode() + b"".join(parts)


def _command(stream: BufferedIOBase) -> list[str] | None:
    head = stream.readline()
    if not head.startswith(b"*"):
        return None
    return [stream.read(int(stream.readline()[1:]) + 2)[:-2].decode() for _ in range(int(head[1:]))]


@contextmanager
def resp_server() -> Iterator[tuple[str, Streams]]:
    """Its address and what it holds."""
    streams = Streams()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (words := _command(self.rfile)) is not None:
                self.wfile.write(streams.answer(words))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that goes away is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0", streams
        finally:
            server.shutdown()
            thread.join()
