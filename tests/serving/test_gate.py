"""Bounds, the token, slow clients, shed load, ids, logs, traces."""

from __future__ import annotations

import gzip
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.serving.kit import HASTY, PATIENT, START, Client, Stage, hour_text, serving, until
from trader.core.types import HOUR_MS, Bars
from trader.serving import tracing
from trader.serving.gate import OPEN, route_of
from trader.serving.tracing import Tracer

TOKEN = "t" * 32


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A bot of trees, 20 hours after its first model."""
    made = Stage()
    made.train()
    made.at(START + 20 * HOUR_MS)
    return made


@pytest.fixture(scope="module")
def client(stage: Stage) -> Iterator[Client]:
    """The server, without a token, which cuts slow clients off."""
    with serving(stage.service(bounds=HASTY)) as made:
        yield made


def test_a_token_is_asked_for_by_every_route_but_those_of_a_supervisor(stage: Stage) -> None:
    """401 without it and with another one; whoever asks how the server is needs none."""
    with serving(stage.service(), TOKEN) as client:
        right = {"authorization": f"Bearer {TOKEN}"}
        for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": TOKEN}, {"authorization": ""}):
            reply = client.post("/v1/forecast", {"symbol": "BTCUSDT"}, **wrong)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert "TRADER_SERVE_TOKEN" in reply.json()["error"]
        for path in ("/metrics", "/openapi.json", "/v2", "/v2/models/BTCUSDT", "/nowhere"):
            assert client.get(path).status_code == 401
        assert all(client.get(path).status_code == 200 for path in OPEN)
        assert client.post("/v1/forecast", {"symbol": "BTCUSDT"}, **right).status_code == 200


def test_a_body_that_is_too_large_is_refused_unread(client: Client) -> None:
    """By its announced length, and by its bytes where it announces none."""
    status, said = client.refused(b"x" * (HASTY.body_bytes + 1))
    assert (status, "larger than 1,048,576 bytes" in said) == (413, True)
    parts = (b"x" * 65_536 for _ in range(40))
    assert client.http.post("/v1/forecast", content=parts).status_code == 413


def sent(client: Client, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back to bytes that are sent one after the other."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as raw:
        for part in parts:
            raw.sendall(part)
            time.sleep(pause_s)
        received = b""
        while data := raw.recv(65_536):
            received += data
        return received


def test_a_head_that_never_ends_is_cut_off(client: Client) -> None:
    """The connection is closed after its time, whatever trickles in; others are answered meanwhile."""
    began = time.monotonic()
    assert sent(client, b"POST /v1/forecast HTTP/1.1\r\nHost: x\r\n") == b""
    assert time.monotonic() - began < 20 * HASTY.head_s
    assert sent(client) == b""
    assert client.forecast()["p_up"] is not None


def test_a_body_that_never_ends_is_408_and_holds_no_slot(client: Client) -> None:
    """Forty clients that stop in their body: others are answered at once, then each is told."""
    head = b"POST /v1/forecast HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(40)]
    try:
        for one in slow:
            one.sendall(head)
        assert client.forecast()["p_up"] is not None
        assert client.service.compute.in_flight == 0
        assert all(b"408" in one.recv(400).split(b"\r\n")[0] for one in slow)
    finally:
        for one in slow:
            one.close()


def test_more_connections_than_it_takes_are_told_503(stage: Stage) -> None:
    """At once, with Retry-After; when others leave there is room again."""
    with serving(stage.service(bounds=replace(PATIENT, connections=3, head_s=5))) as client:
        assert client.forecast()
        held = [socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(2)]
        until(lambda: b"503 Service Unavailable" in sent(client, b"GET /livez HTTP/1.1\r\n"), 5)
        assert b"retry-after: 1" in sent(client, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        for one in held:
            one.close()
        assert client.forecast()
        assert 'trader_serve_shed_total{what="connection"}' in client.get("/metrics").text


class Holding:
    """A source of bars that does not answer until it is let."""

    def __init__(self, stage: Stage) -> None:
        self.go, self._inner = threading.Event(), stage.collector
        self.symbol = stage.symbol

    def between(self, start: int, stop: int) -> Bars:
        """Later."""
        self.go.wait(20)
        return self._inner.between(start, stop)


def test_a_source_that_hangs_sheds_within_a_second_and_recovers(stage: Stage) -> None:
    """No request waits longer than its time, more than the most at once are refused right away, what is known is answered; and
    when the source answers again nothing is left over."""
    hung = Stage(store=stage.store)
    hung.at(START + 20 * HOUR_MS)
    with serving(hung.service(bounds=replace(PATIENT, computations=2, answer_s=0.5))) as client:
        assert client.forecast()
        holding = Holding(hung)
        object.__setattr__(client.service.sources.symbols["BTCUSDT"], "collector", holding)
        took, codes = [], []

        def ask(hour: int) -> None:
            began = time.monotonic()
            reply = client.post("/v1/forecast", {"symbol": "BTCUSDT", "hour": hour_text(hour)})
            took.append(time.monotonic() - began)
            codes.append((reply.status_code, reply.headers.get("retry-after")))

        threads = [threading.Thread(target=ask, args=(START + n * HOUR_MS,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(codes) == {(503, "1")}
        assert max(took) < 5
        assert client.forecast()
        assert 'trader_serve_shed_total{what="request"}' in client.get("/metrics").text
        holding.go.set()
        until(lambda: client.service._bars.in_flight == 0)
        assert client.forecast(hour=hour_text(START + HOUR_MS))


def test_a_request_keeps_its_id_and_others_get_one(client: Client) -> None:
    """A plain word of the caller's comes back; anything else is replaced."""
    assert client.post("/v1/forecast", {}, **{"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    other = client.post("/v1/forecast", {}, **{"x-request-id": "a b" * 40}).headers["x-request-id"]
    assert other.isalnum()
    assert client.get("/livez").headers["x-request-id"] != other


def test_every_request_is_logged_with_its_facts(stage: Stage) -> None:
    """Where lines are JSON: id, route, status, milliseconds; of routes a bounded number."""
    lines: list[dict[str, Any]] = []
    with serving(stage.service(), log=lambda text, **facts: lines.append(facts)) as client:
        client.post("/v1/forecast", {}, **{"x-request-id": "mine"})
        client.get("/v2/models/whatever/" + "x" * 50)
    assert lines[0] == {"request_id": "mine", "route": "/v1/forecast", "code": 422, "ms": lines[0]["ms"]}
    assert lines[1]["route"] == "other"
    assert 0 < lines[0]["ms"] < 20_000


def test_routes_are_a_bounded_number_of_labels() -> None:
    """Whatever is asked for."""
    assert route_of("/v2/models/BTCUSDT/versions/1/infer") == "/v2/models/NAME/infer"
    assert route_of("/v2/models/x/ready") == "/v2/models/NAME/ready"
    assert {route_of(path) for path in ("/a", "/v2/models/", "/v1/forecast/", "/v2/models/a/b")} == {"other"}


def test_what_is_asked_wrongly_is_told_in_one_form(client: Client) -> None:
    """No route, no such method: the same field, and a way out."""
    assert client.get("/nowhere").status_code == 404
    reply = client.get("/v1/forecast")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert "/openapi.json" in reply.json()["error"]


@contextmanager
def collector_of_traces() -> Iterator[tuple[str, list[Any]]]:
    """A server that takes OTLP over HTTP, and the spans it was sent."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}", spans
        made.shutdown()


def test_a_collector_of_traces_is_sent_a_span_a_request(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With route, status and id, beneath the span that the caller names."""
    with collector_of_traces() as (url, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with serving(stage.service(), tracer=Tracer()) as client:
            trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
            client.post("/v1/forecast", {}, traceparent=f"00-{trace}-{parent}-01", **{"x-request-id": "r1"})
            assert client.forecast()
        until(lambda: len(spans) == 2)
    first, second = spans
    assert (first.name, first.trace_id.hex(), first.parent_span_id.hex()) == (
        "POST /v1/forecast",
        trace,
        parent,
    )
    assert {it.key: it.value.int_value or it.value.string_value for it in first.attributes} == {
        "http.request.method": "POST",
        "http.route": "/v1/forecast",
        "trader.request_id": "r1",
        "http.response.status_code": 422,
    }
    assert second.parent_span_id == b""


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing: what is left is given up after its time, far below the exporter's own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracer = Tracer()
        monkeypatch.setattr(tracing, "LAST_SPANS_S", 0.1)
        with tracer.request("POST", "/v1/forecast", [(b"traceparent", b"\xff")], "id") as span:
            tracer.answered(span, 503)
        began = time.monotonic()
        tracer.close()
        assert time.monotonic() - began < 5  # OpenTelemetry would try for ten seconds
