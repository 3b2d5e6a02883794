"""Traces of requests for a collector, where one is named (OTEL_EXPORTER_OTLP_ENDPOINT, extra `traces`): a span a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from trader.core.errors import ConfigError
from trader.core.text import how_to_install

# A container has ten seconds to end, and requests that were begun take up to eight of them.
LAST_SPANS_S = 1.5
Headers = Sequence[tuple[bytes, bytes]]


class Tracer:
    """Spans to an OTLP collector over HTTP. Where it lies, and with which headers, OpenTelemetry's own variables say."""

    def __init__(self) -> None:
        """Raises ConfigError without the `traces` extra."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise ConfigError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT names a collector of traces, and OpenTelemetry is not installed: "
                f"{how_to_install('traces')}"
            ) from None
        named = Resource.create({SERVICE_NAME: "trader-serve", "service.version": version("hourly-trader")})
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("trader.serving")
        self._callers = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, method: str, route: str, headers: Headers, request_id: str) -> Iterator[Any]:
        """A span around an answer, beneath the caller's where the request names one (W3C traceparent)."""
        from opentelemetry.trace import SpanKind

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        with self._tracer.start_as_current_span(
            f"{method} {route}",
            self._callers.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route, "trader.request_id": request_id},
        ) as span:
            yield span

    def answered(self, span: Any, status: int) -> None:
        """Write the status of the answer on a span; 5xx is an error."""
        from opentelemetry.trace import StatusCode

        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(StatusCode.ERROR)

    def close(self) -> None:
        """Send what was not sent yet; a collector that does not answer holds up the end for seconds only, not for its retries."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(LAST_SPANS_S)
