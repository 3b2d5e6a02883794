"""What Prometheus is told of the service."""

from __future__ import annotations

from typing import Any

from trader.core.errors import ConfigError
from trader.core.text import how_to_install
from trader.serving.model import ServedModel
from trader.serving.schemas import ForecastAnswer

# Seconds. The targets are 20 ms at the 99th percentile, and 1 s for everything.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5)


class ServeMetrics:
    """Counters, gauges and the histogram of one server, in a registry of their own."""

    def __init__(self) -> None:
        """Raises ConfigError without the `serve` extra."""
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError:
            raise ConfigError(f"trader serve needs prometheus-client: {how_to_install('serve')}") from None
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self._seconds = Histogram(
            "trader_serve_request_seconds",
            "from a request's head to its answer, by route and status",
            ("route", "code"),
            buckets=BUCKETS,
            **own,
        )
        self.in_flight = Gauge("trader_serve_in_flight", "requests that are being answered", **own)
        self._shed = Counter(
            "trader_serve_shed", "requests and connections refused for load", ("what",), **own
        )
        for what in ("request", "connection"):
            self._shed.labels(
                what
            )  # 0 is said too: a rate sees the first only where it knows what was before
        self._model = Gauge(
            "trader_serve_model_info",
            "1 for the model that answers",
            ("symbol", "model_id", "family", "runtime"),
            **own,
        )
        self._reloads = Counter("trader_serve_reloads", "loads of models", ("symbol", "outcome"), **own)
        self._hour = Gauge(
            "trader_serve_hour_timestamp_seconds", "the newest hour that was answered", ("symbol",), **own
        )
        self._p_up = Gauge(
            "trader_serve_p_up", "P(up) of that hour; NaN where there is none", ("symbol",), **own
        )
        self._known: dict[tuple[str, int], Any] = {}
        self._serving: dict[str, tuple[str, str, str, str]] = {}

    def answered_request(self, route: str, code: int, seconds: float) -> None:
        """Count an answer. The labels of a route and code are looked up once."""
        child = self._known.get((route, code))
        if child is None:
            child = self._known[route, code] = self._seconds.labels(route, str(code))
        child.observe(seconds)

    def shed(self, what: str) -> None:
        """Count what was refused for load: a request, or a connection."""
        self._shed.labels(what).inc()

    def reloaded(self, symbol: str, outcome: str) -> None:
        """Count a load: ok, or failed."""
        self._reloads.labels(symbol, outcome).inc()

    def serves(self, symbol: str, model: ServedModel | None) -> None:
        """Show which model answers for a symbol; none where there is none."""
        now = None if model is None else (symbol, model.model_id, model.loaded.card.family, model.runtime)
        before = self._serving.get(symbol)
        if before == now:
            return
        if before is not None:
            self._model.remove(*before)
            del self._serving[symbol]
        if now is not None:
            self._model.labels(*now).set(1)
            self._serving[symbol] = now

    def answered(self, answer: ForecastAnswer, hour: int) -> None:
        """Show the newest forecast of a symbol; hour in UTC ms."""
        self._hour.labels(answer.symbol).set(hour / 1000)
        self._p_up.labels(answer.symbol).set(float("nan") if answer.p_up is None else answer.p_up)

    def text(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST
