"""Prometheus metrics and the two questions of a supervisor, on loopback unless told: /metrics, /livez, /readyz."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from decimal import Decimal
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from trader.core.errors import ConfigError
from trader.core.records import HourRecord
from trader.core.text import how_to_install
from trader.core.types import HOUR_MS, Json, iso
from trader.observers.messages import fresh_enough

# An hour may be closed this long after it ended before the bot counts as not ready.
LATE_MS = HOUR_MS + 15 * 60_000
# Each gauge of a symbol: its name after `trader_`, and what it tells.
SYMBOL_GAUGES: dict[str, tuple[str, str]] = {
    "hour": ("last_hour_timestamp_seconds", "close time of the newest closed hour"),
    "equity": ("equity_usdt", "cash and position, marked at the last confirmed close"),
    "unconfirmed": (
        "equity_unconfirmed",
        "1 while the newest close is doubted and the last confirmed one marks",
    ),
    "position": ("position_base", "what is held, in base"),
    "held": ("held", "1 while something is held"),
    "p_up": ("p_up", "the newest probability of a rise; NaN without one"),
    "halted": ("halted", "1 while trading is halted"),
    "drawdown": ("drawdown_ratio", "share lost from the epoch's peak"),
    "fees": ("fees_usdt", "all fees so far"),
    "orders": ("orders", "all orders so far"),
    "hits": ("predictions_right", "predictions that came true"),
    "scored": ("predictions_scored", "predictions that are scored"),
    "worse": ("paid_over_modelled_bps", "how much worse the newest fill was than modelled; NaN before one"),
    "late": ("model_late", "1 while the serving model's successor is late"),
}


class Gauges:
    """The gauges and counters of symbols, in one registry; each symbol is a label of theirs."""

    def __init__(self) -> None:
        """Raises ConfigError without the `observability` extra."""
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge
        except ImportError:
            raise ConfigError(f"metrics need prometheus-client: {how_to_install('observability')}") from None
        self.registry = CollectorRegistry()
        self.of_symbols = {
            name: Gauge(f"trader_{of}", words, ("symbol",), registry=self.registry)
            for name, (of, words) in SYMBOL_GAUGES.items()
        }
        self.outcomes = Counter(
            "trader_ticks", "ticks by their outcome", ("symbol", "outcome"), registry=self.registry
        )

    def of_book(self, name: str, words: str) -> Any:
        """One more gauge, of a whole book: without a label."""
        from prometheus_client import Gauge

        return Gauge(f"trader_book_{name}", words, registry=self.registry)


class Served(ABC):
    """What is served over HTTP: a registry, and whether all is well."""

    def __init__(self, gauges: Gauges) -> None:
        self.registry = gauges.registry

    @property
    @abstractmethod
    def ready(self) -> tuple[bool, str]:
        """Whether hours are closed and trading is not halted, and why not."""

    def answer(self, environ: Json, start: Callable[..., Any]) -> Iterable[bytes]:
        """The WSGI application."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        path, kind, status = environ["PATH_INFO"], "text/plain; charset=utf-8", "200 OK"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"GET only\n"
        elif path == "/metrics":
            kind, body = CONTENT_TYPE_LATEST, generate_latest(self.registry)
        elif path == "/livez":
            body = b"alive\n"
        elif path == "/readyz":
            ready, why = self.ready
            status, body = "200 OK" if ready else "503 Service Unavailable", f"{why}\n".encode()
        else:
            status, body = "404 Not Found", b"/metrics, /livez, /readyz\n"
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


class Metrics(Served):
    """What the newest record of a symbol says, as metrics; served by a thread of its own."""

    def __init__(self, symbol: str, now_ms: Callable[[], int], gauges: Gauges | None = None) -> None:
        """gauges: those of all symbols of a book. Raises ConfigError without the `observability` extra."""
        gauges = gauges or Gauges()
        super().__init__(gauges)
        self._now_ms = now_ms
        self._record: HourRecord | None = None
        self._gauges = {name: gauge.labels(symbol) for name, gauge in gauges.of_symbols.items()}
        self._gauges["worse"].set(float("nan"))
        self._outcomes = gauges.outcomes
        self._symbol = symbol

    def ticked(self, outcome: str) -> None:
        """Count a tick: traded, done, not_begun, or the name of its error."""
        self._outcomes.labels(self._symbol, outcome).inc()

    def tell(self, record: HourRecord | None) -> None:
        """Show a closed hour's record; nothing before the first."""
        if record is None:
            return
        self._record = record
        ledger, line, equity = record.ledger, record.line, record.equity_usdt
        values: dict[str, Decimal | float] = {
            "hour": record.close_time / 1000,
            "equity": equity,
            "unconfirmed": record.unconfirmed,
            "position": ledger.position,
            "held": line.target != "flat",
            "p_up": float("nan") if line.p_up is None else line.p_up,
            "halted": record.halted,
            "drawdown": max(Decimal(0), 1 - equity / peak) if (peak := record.risk.peak_equity) else 0.0,
            "fees": ledger.fees_usdt,
            "orders": ledger.orders,
            "hits": record.totals.hits,
            "scored": record.totals.scored,
            "late": record.model_late,
        }
        for name, value in values.items():
            self._gauges[name].set(float(value))
        if (worse := record.slippage_bps()) is not None:
            self._gauges["worse"].set(worse)

    @property
    def halted(self) -> bool:
        """Whether trading of the symbol is halted, by the newest record."""
        return self._record is not None and self._record.halted

    @property
    def fresh(self) -> tuple[bool, str]:
        """Whether the newest hour is closed in time, and why not."""
        if self._record is None:
            return False, "no hour is closed yet"
        if not fresh_enough(self._record, self._now_ms(), LATE_MS):
            return False, f"the newest closed hour is {iso(self._record.close_time)}"
        return True, f"closed {iso(self._record.close_time)}"

    @property
    def ready(self) -> tuple[bool, str]:
        """Whether the newest hour is closed and trading is not halted, and why not."""
        if self._record is not None and self._record.halted:
            return False, f"halted: {self._record.risk.halt_reason}"
        return self.fresh


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each scrape: a client that says nothing keeps no other waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds for a client to say what it wants

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """A scrape is no event."""


def serve(metrics: Served, host: str, port: int) -> WSGIServer:
    """Serve from a thread that ends with the process; `server.shutdown()` ends it sooner. Raises ConfigError where the
    address is taken."""
    try:
        server = make_server(host, port, metrics.answer, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise ConfigError(
            f"metrics cannot listen on {host}:{port} ({error.strerror}); set TRADER_METRICS_PORT"
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
