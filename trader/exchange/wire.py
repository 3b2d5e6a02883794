"""HTTP/1.1 on bare sockets: small, fast, and able to misbehave on purpose (RST, drip, truncation, silence)."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from trader.core.types import LOOPBACK
from trader.exchange.replies import JSON_TYPE, Reply

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 4_194_304
CHUNK_BYTES = 65_536
REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequestError(Exception):
    """The bytes are no request this server understands; `status` says how to refuse them."""

    def __init__(self, status: int) -> None:
        super().__init__(REASONS[status])
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request as received; query and body are the raw bytes, since signatures are checked over them."""

    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    body: bytes = b""

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants the connection kept."""
        return self.headers.get("connection", "").lower() != "close"


class ClientConnection:
    """One client's connection: reads requests, sends replies, remembers what was read too far."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self._stopping = stopping
        self._buffer = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> Request | None:
        """The next request; None when the peer is gone. Raises BadRequestError."""
        end = self._buffer.find(b"\r\n\r\n")
        while end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequestError(431)
            if not self._receive():
                return None
            end = self._buffer.find(b"\r\n\r\n")
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        method, target, headers = _parse_head(head)
        length = _length(headers)
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < length:
            if not self._receive():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        path, _, query = target.partition(b"?")
        return Request(method, path.decode("latin-1"), query, headers, body)

    def rest(self) -> bytes:
        """What was read beyond the last request, which now is somebody else's."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _receive(self) -> bool:
        piece = self.sock.recv(CHUNK_BYTES)
        self._buffer += piece
        return bool(piece)

    def send(self, reply: Reply, keep_alive: bool) -> bool:
        """Send a reply in the way it says; returns whether the connection can be used again."""
        if reply.ending == "silence":
            self._wait_for_peer()
            return False
        if reply.ending == "close":
            return False
        if reply.ending == "reset":
            # Lingering for zero seconds makes close() send a RST instead of a FIN.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head = _head(reply, keep_alive)
        if reply.ending == "truncate":
            self.sock.sendall(head + reply.body[: reply.sent_bytes])
            return False
        if reply.drip_bytes_per_s:
            self.sock.sendall(head)
            return self._drip(reply) and keep_alive
        self.sock.sendall(head + reply.body)
        return keep_alive and reply.ending != "hang_up"

    def _drip(self, reply: Reply) -> bool:
        for position in range(len(reply.body)):
            if self._stopping.wait(1 / reply.drip_bytes_per_s):
                return False
            self.sock.sendall(reply.body[position : position + 1])
        return True

    def _wait_for_peer(self) -> None:
        """Say nothing until the client gives up; what it still sends is read and thrown away."""
        while not self._stopping.is_set() and self.sock.recv(CHUNK_BYTES):
            pass


def asked_here(host: str, origin: str) -> bool:
    """Whether a request was meant for this machine by this machine: a page of elsewhere that a browser shows here names another
    host, or itself as the origin. A request without either is of no browser."""
    return (not host or _is_here(f"//{host}")) and (not origin or _is_here(origin))


def _is_here(address: str) -> bool:
    try:
        return urlsplit(address).hostname in LOOPBACK
    except ValueError:  # brackets that do not close
        return False


def _parse_head(head: bytes) -> tuple[str, bytes, dict[str, str]]:
    lines = head.split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        raise BadRequestError(400)
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadRequestError(400)
        headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    if parts[2] == b"HTTP/1.0":
        # Before 1.1 a connection ended with its answer unless both sides said otherwise.
        headers.setdefault("connection", "close")
    return parts[0].decode("latin-1"), parts[1], headers


def _length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise BadRequestError(411)
    text = headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit():
        raise BadRequestError(400)
    if int(text) > MAX_BODY_BYTES:
        raise BadRequestError(413)
    return int(text)


def _head(reply: Reply, keep_alive: bool) -> bytes:
    headers = {
        "content-type": JSON_TYPE,
        "content-length": str(len(reply.body)),
        "connection": "keep-alive" if keep_alive else "close",
        **{name.lower(): value for name, value in reply.headers.items()},
    }
    lines = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
