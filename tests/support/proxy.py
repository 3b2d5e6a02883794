"""An HTTP proxy in front of a real server, that loses, delays, cuts and refuses on command."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Headers = list[tuple[str, str]]
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "expect"}


@dataclass
class Fault:
    """What happens to requests: to the next `times` of `method` whose path holds `path`.

    lose: done by the server, the answer never comes (the connection is closed). stall: done, answered after
    `seconds`. cut: done, half of the answer's body comes. drop: never reaches the server. Else a refusal that the
    server never hears of: `refuse` is the status, `code` what S3 calls it.
    """

    kind: str
    method: str = ""
    path: str = ""
    times: int = 1
    seconds: float = 0.0
    refuse: int = 503
    code: str = "SlowDown"
    headers: dict[str, str] = field(default_factory=dict)
    without: str = ""  # a request header that is taken away on the way to the server


@dataclass
class Proxy:
    """A running proxy: its address, what passed through it, and the faults that wait."""

    url: str
    seen: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    rewrite: Callable[[str, bytes], bytes] | None = (
        None  # of a path: what the client is given for an answer's body
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, method: str, path: str) -> Fault | None:
        """Notes a request and takes the fault that is meant for it."""
        with self._lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and fault.path in path:
                    fault.times -= 1
                    return fault
        return None

    def counted(self) -> list[str]:
        """Every request so far as `METHOD path`, the listing's query as `LIST prefix`; the count begins anew."""
        with self._lock:
            seen, self.seen[:] = list(self.seen), []
        return [f"{method} {path}" for method, path in seen]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what these tests are about."""


def _refusal(fault: Fault) -> bytes:
    return f"<Error><Code>{fault.code}</Code><Message>as the test wants</Message></Error>".encode()


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on, with what the test wants to happen to them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy
    host: str
    upstream: http.client.HTTPConnection | None = None

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def serve(self) -> None:
        """One request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.next_fault(self.command, self.path)
        if fault is None:
            self._answer(*self._forward(body, ""))
        elif fault.kind == "refuse":
            self._answer(fault.refuse, list(fault.headers.items()), _refusal(fault))
        elif fault.kind == "drop":
            self._hang_up()
        else:
            self._spoil(fault, *self._forward(body, fault.without))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve  # noqa: N815 - the server's own names

    def _spoil(self, fault: Fault, status: int, headers: Headers, answer: bytes) -> None:
        if fault.kind == "lose":
            self._hang_up()
            return
        time.sleep(fault.seconds)
        if fault.kind == "cut":
            self._answer(status, headers, answer[: len(answer) // 2], len(answer) or 1)
            self._hang_up()
        else:
            self._answer(status, headers, answer)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, body: bytes, without: str) -> tuple[int, Headers, bytes]:
        if self.upstream is None:
            self.upstream = http.client.HTTPConnection(self.host, timeout=30)
        # The Host header is passed on: it is part of what was signed.
        dropped = (*HOP_BY_HOP, without.lower())
        headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
        self.upstream.request(self.command, self.path, body or None, headers)
        reply = self.upstream.getresponse()
        kept = [(k, v) for k, v in reply.getheaders() if k.lower() not in HOP_BY_HOP]
        answer = reply.read()
        if self.proxy.rewrite and reply.status == 200:
            answer = self.proxy.rewrite(self.path, answer)
        return reply.status, kept, answer

    def _answer(self, status: int, headers: Headers, body: bytes, length: int | None = None) -> None:
        self.send_response_only(status)
        for key, value in headers:
            if key.lower() != "content-length":
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def finish(self) -> None:
        """The client has gone."""
        if self.upstream is not None:
            self.upstream.close()
        with contextlib.suppress(OSError):
            super().finish()


@contextmanager
def proxy_to(target: str) -> Iterator[Proxy]:
    """A proxy on loopback in front of `target` (http://host:port)."""
    proxy = Proxy("")
    handler = type("Handler", (_Handler,), {"proxy": proxy, "host": urlsplit(target).netloc})
    server = _Server(("127.0.0.1", 0), handler)
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
