"""Notices, heartbeat and metrics: told what happened, to real ends on loopback, and harmless when those fail."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trader.adapters.store_local import LocalStore
from trader.app.journal import Journal
from trader.core.errors import ConfigError, Retry
from trader.core.events import Event, HaltEvent
from trader.core.hours import line_json
from trader.core.news import News
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS
from trader.observers.heartbeat import Heartbeat
from trader.observers.messages import Message, chosen, messages
from trader.observers.metrics import Metrics, serve
from trader.observers.notices import Notifier


class Sink:
    """An HTTP end that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.status = 200
        self.url = ""


@contextmanager
def sink() -> Iterator[Sink]:
    """A sink on loopback."""
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept.heard.append((self.command, self.path, body))
            self.send_response(kept.status)
            if 300 <= kept.status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = _any  # noqa: N815 - the base class's names

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def records_of(week: Path) -> list[HourRecord]:
    """The week's records."""
    return list(Journal(LocalStore(week / "store"), "BTCUSDT").records())


def news_of(records: list[HourRecord], *events: Event[HaltEvent]) -> News:
    """News that hold these."""
    return News("BTCUSDT", "abcd", 0, records, lambda n: [], events, None)  # type: ignore[arg-type]  # no notice reads the store


HALT = Event(1, HaltEvent("BTCUSDT", 0, "drawdown", False, "bot"))


def but(record: HourRecord, **changes: Any) -> HourRecord:
    """The record with another line."""
    return replace(record, line=replace(record.line, **changes))


def test_every_fill_of_the_week_is_a_message_with_its_figures(week: Path) -> None:
    """Side, price, quantity, fee and what is held after, as in the lines."""
    records = records_of(week)
    found = [message for message in messages(news_of(records)) if message.topic == "fill"]
    lines = [line_json(record.line) for record in records if record.line.fill_price]
    assert len(found) == len(lines) > 3
    for message, line in zip(found, lines, strict=True):
        facts = ("order_side", "order_qty", "fill_price", "fee", "position", "equity")
        assert [fact for fact in facts if line[fact] not in message.body] == []
        assert "+0.00 bps" in message.body


def test_what_needs_a_person_is_critical_and_says_where_to_look(week: Path) -> None:
    """A halt names the runbook; a missed hour and an unfilled order are warnings; a quiet hour is nothing."""
    record = but(next(r for r in records_of(week) if r.line.order_side), fill_price=None)
    missed = but(record, order_side=None, order_qty=None, reason="missed")
    quiet = but(missed, reason="hold")
    found = messages(news_of([record, missed, quiet], HALT))
    assert [(message.level, message.topic) for message in found] == [
        ("critical", "halt"),
        ("warning", "refused"),
        ("warning", "missed"),
    ]
    assert "docs/runbook.md" in found[0].body


def test_a_flood_becomes_a_few_and_a_word_on_the_rest() -> None:
    """After a long outage a phone does not ring a thousand times, and the worst level is kept."""
    many = [Message("critical" if i == 3 else "info", "fill", str(i), "") for i in range(500)]
    found = chosen(many, "info")
    assert len(found) == 20
    assert (found[0].level, found[0].topic) == ("critical", "backlog")
    assert "481 earlier" in found[0].body
    assert found[-1].title == "499"
    assert chosen(many, "critical") == [many[3]]


def test_a_webhook_gets_the_notices_and_a_failing_one_is_told_again(week: Path) -> None:
    """Through apprise itself, to a real HTTP end."""
    with sink() as end:
        notifier = Notifier([end.url.replace("http://", "json://")], "warning")
        notifier.observe(news_of(records_of(week)[:24], HALT))
        assert len(end.heard) == 1
        sent = json.loads(end.heard[0][2])
        assert "HALTED (drawdown)" in sent["title"]
        assert sent["type"] == "failure"
        end.status = 500
        with pytest.raises(Retry, match=r"\(halt\)"):
            notifier.observe(news_of([], HALT))
    with pytest.raises(Retry):
        notifier.observe(news_of([], HALT))


def test_an_address_that_is_none_is_refused_without_being_repeated() -> None:
    """It may hold a token."""
    with pytest.raises(ConfigError, match="address 1") as caught:
        Notifier(["nosuch://secret-token"], "info").observe(news_of([], HALT))
    assert "secret-token" not in str(caught.value)


def test_the_heartbeat_is_called_once_for_good_hours_only(week: Path) -> None:
    """Missed hours make no call; a refusing, redirecting or dead end raises, and never says its address."""
    records = records_of(week)[:30]
    missed = but(records[0], reason="missed")
    with sink() as end:
        beat = Heartbeat(f"{end.url}/ping/secret-token")
        beat.observe(news_of(records))
        assert [(verb, path) for verb, path, _ in end.heard] == [("GET", "/ping/secret-token")]
        beat.observe(news_of([missed]))
        beat.observe(news_of([], HALT))
        assert len(end.heard) == 1
        for end.status in (404, 500, 302):
            with pytest.raises(Retry, match=str(end.status)):
                beat.observe(news_of(records))
        assert all(path != "/elsewhere" for _, path, _ in end.heard)
    with pytest.raises(Retry) as caught:
        beat.observe(news_of(records))
    assert "secret-token" not in str(caught.value)


def scrape(url: str) -> dict[str, float]:
    """The samples of /metrics, by name and outcome."""
    text = urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode()
    return {
        sample.name + sample.labels.get("outcome", ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_the_records_figures_and_say_whether_it_is_ready(week: Path) -> None:
    """Read back by Prometheus's own parser; ready only while the newest hour is recent and nothing is halted."""
    records = records_of(week)
    newest, clock = records[-1], [0]
    metrics = Metrics("BTCUSDT", lambda: clock[0])
    server = serve(metrics, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.server_port}"

    def ready() -> int:
        try:
            return int(urllib.request.urlopen(f"{url}/readyz", timeout=5).status)
        except urllib.error.HTTPError as error:
            return error.code

    silent = socket.create_connection(
        ("127.0.0.1", server.server_port)
    )  # says nothing, and keeps nobody waiting
    try:
        assert urllib.request.urlopen(f"{url}/livez", timeout=5).status == 200
        assert ready() == 503
        for record in records:
            metrics.tell(record)
        metrics.ticked("traded")
        metrics.ticked("Retry")
        seen = scrape(url)
        assert seen["trader_last_hour_timestamp_seconds"] * 1000 == newest.close_time
        assert seen["trader_equity_usdt"] == pytest.approx(float(newest.line.equity))
        assert seen["trader_position_base"] == pytest.approx(float(newest.line.position))
        assert seen["trader_orders"] == newest.ledger.orders
        assert seen["trader_paid_over_modelled_bps"] == 0
        assert (seen["trader_ticks_totaltraded"], seen["trader_ticks_totalRetry"]) == (1, 1)
        clock[0] = newest.close_time + HOUR_MS
        assert ready() == 200
        clock[0] += HOUR_MS
        assert ready() == 503
        clock[0] -= HOUR_MS
        state = replace(newest.totals.state, risk=replace(newest.risk, halted_at=1, halt_reason="drawdown"))
        metrics.tell(replace(newest, totals=replace(newest.totals, state=state)))
        assert ready() == 503
        assert scrape(url)["trader_halted"] == 1
        with pytest.raises(ConfigError, match="TRADER_METRICS_PORT"):
            serve(metrics, "127.0.0.1", server.server_port)
    finally:
        silent.close()
        server.shutdown()
        server.server_close()
