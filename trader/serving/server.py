"""uvicorn around the application: one process, one event loop, ended by a signal once what was asked is answered."""

from __future__ import annotations

import asyncio
import math
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from trader.core.errors import ConfigError
from trader.serving.app import Routes, app_of
from trader.serving.connection import MOST_REFUSED, Turns, bounded_protocol
from trader.serving.gate import Gate
from trader.serving.often_asked import OftenAsked
from trader.serving.service import Service
from trader.serving.tracing import Tracer

# Of the store, of libraries, and of models.
_OTHER_FILES = 512


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError where the address is taken or none of this machine."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # Accepted sockets inherit it; asyncio itself leaves it out here, and an answer's body would wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ConfigError(
            f"trader serve cannot listen on {host}:{port} ({error.strerror or error}); choose another --port or --host"
        ) from None
    return listener


def allow_open_files(most: int) -> None:
    """Raise this process's soft limit of open files to `most`, or to its hard limit; many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def address_of(listener: socket.socket) -> str:
    """The URL that a socket answers at."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Told when it listens; ended by signals as this program is, with exit code 0."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, then the ready line."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C let it finish what it has begun; no signal is raised again after that."""
        if threading.current_thread() is not threading.main_thread():
            yield  # no signal reaches it there
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def gated(
    service: Service,
    token: str,
    log: Callable[..., None] | None,
    tracer: Tracer | None,
    closed: Callable[[], None] = lambda: None,
) -> Gate:
    """The whole application of a service, with what stands before its routes. closed: called once the service has stopped."""

    def close() -> None:
        if tracer is not None:
            tracer.close()
        closed()

    routes = Routes(service)
    app: Any = app_of(service, routes, close)
    return Gate(OftenAsked(app, routes), service.metrics, service.bounds, token, log, tracer)


def run(
    service: Service,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    token: str = "",
    log: Callable[..., None] | None = None,
    tracer: Tracer | None = None,
    started: Callable[[uvicorn.Server], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. ready: called once when requests are answered; started: is given the server before, which
    ends once its `should_exit` is set. Raises the bug that ended it, if one did."""
    bounds, turns = service.bounds, Turns(gated(service, token, log, tracer))
    config = uvicorn.Config(
        turns,
        loop="asyncio",  # uvloop accepts one connection a turn: in a crowd it would wait seconds to be told 503
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is
        ws="none",
        lifespan="on",
        backlog=1024,
        timeout_keep_alive=math.ceil(bounds.head_s),
        timeout_graceful_shutdown=math.ceil(bounds.stop_s),
    )
    allow_open_files((1 + MOST_REFUSED) * bounds.connections + _OTHER_FILES)
    config.load()
    config.http_protocol_class = bounded_protocol(
        config.http_protocol_class, bounds, service.metrics.shed, turns
    )
    server = _Server(config, ready)

    def end() -> None:
        server.should_exit = True

    service.on_failure = end
    started(server)
    server.run([listener])
    if service.bug is not None:
        raise service.bug
