"""The embedded exchange as a server: loopback only, a thread for each connection, keep-alive."""

from __future__ import annotations

import contextlib
import socket
import threading

from trader.core.errors import ConfigError
from trader.exchange.api import ExchangeApi
from trader.exchange.config import ExchangeConfig, TradedSymbol
from trader.exchange.replies import ApiError, Reply
from trader.exchange.stream import wants_stream
from trader.exchange.venue import Venue
from trader.exchange.wire import BadRequestError, ClientConnection

__all__ = ["EmbeddedExchange", "ExchangeConfig", "TradedSymbol"]

HOST = "127.0.0.1"
BACKLOG = 128
JOIN_S = 5.0


class EmbeddedExchange:
    """Speaks Binance's spot protocol on 127.0.0.1. `start`, then use `url`; `stop` when done (safe to call twice)."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.venue = Venue(config)
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._api = ExchangeApi(self.venue, self._stopping)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self._sockets: set[socket.socket] = set()
        self._sockets_lock = threading.Lock()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`; there is one once the exchange has been started."""
        if not self._port:
            raise RuntimeError("the exchange has no address before start()")
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Listen, and serve in the background. Raises ConfigError where the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self.venue.config.port))
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"port {self.venue.config.port} cannot be used ({error.strerror}); give another, or 0 for a free one"
            ) from None
        listener.listen(BACKLOG)
        self._listener, self._port = listener, listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="exchange", daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Start if that has not happened, and return when `stop` was called, from a signal handler or a thread."""
        if self._thread is None:
            self.start()
        # Short joins instead of one long wait: a signal handler that calls stop() must not meet a lock held here.
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Refuse new connections, end those there are, close the state file."""
        self._stopping.set()
        if self._listener is None or self._stopped.is_set():
            return
        # Nothing but a connection wakes a blocked accept() on every platform.
        with contextlib.suppress(OSError), socket.create_connection((HOST, self._port), timeout=1):
            pass
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_S)

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None  # noqa: S101 - set by start() before this thread exists
        threads: list[threading.Thread] = []
        while not self._stopping.is_set():
            sock, _ = listener.accept()
            with self._sockets_lock:
                self._sockets.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="exchange-client", daemon=True)
            thread.start()
            threads = [t for t in threads if t.is_alive()] + [thread]
        listener.close()
        with self._sockets_lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(JOIN_S)
        self.venue.close()
        self._stopped.set()

    def _serve(self, sock: socket.socket) -> None:
        """Serve one connection until either side ends it. A client that goes away is no error of ours."""
        try:
            with contextlib.suppress(OSError):
                connection = ClientConnection(sock, self._stopping)
                while not self._stopping.is_set() and self._serve_one(connection):
                    pass
        finally:
            with self._sockets_lock:
                self._sockets.discard(sock)
            sock.close()

    def _serve_one(self, connection: ClientConnection) -> bool:
        try:
            request = connection.read()
        except BadRequestError as error:
            connection.send(ApiError(-1000, str(error), error.status).reply(), keep_alive=False)
            return False
        if request is None:
            return False
        if wants_stream(request):
            # The library of websockets is loaded with the first stream: an exchange without one starts sooner.
            from trader.exchange.stream_server import serve_stream

            serve_stream(self.venue, connection, request, self._stopping)
            return False
        reply: Reply = self._api.answer(request)
        if request.method == "HEAD":
            reply.body = b""
        return connection.send(reply, request.keeps_alive)
