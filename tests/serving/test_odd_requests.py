"""Requests as nobody sends them by accident: each gets an answer that names the cause, one answer each, and no wrong number."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving.kit import BARS, PATIENT, START, Client, Stage, hour_text, rows_until, serving
from trader.core.types import HOUR_MS

NEWEST = START + 20 * HOUR_MS
BODY = b'{"symbol":"BTCUSDT"}'
WRONG = "this is not valid HTTP/1.1"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A bot of trees, 20 hours after its first model, served."""
    stage = Stage()
    stage.train()
    stage.at(NEWEST)
    with serving(stage.service(bounds=PATIENT)) as made:
        yield made


def request(
    *lines: str, start: str = "POST /v1/forecast HTTP/1.1", body: bytes = BODY, length: bool = True
) -> bytes:
    """A request of these lines; length: with its Content-Length."""
    head = [start, "Host: x", *lines, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*head, "", ""]).encode() + body


def exchanged(client: Client, data: bytes) -> list[tuple[int, bytes]]:
    """Status and body of every answer to these bytes, until the server ends the connection or this side is told all."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        read = b""
        while part := link.recv(65_536):
            read += part
    found = []
    while read:
        head, _, read = read.partition(b"\r\n\r\n")
        status = int(head.split(None, 2)[1])
        if status == 100:
            continue
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        found.append((status, read[:length]))
        read = read[length:]
    return found


CHUNKED = request("Transfer-Encoding: chunked", body=b"", length=False)
ENDS = "Connection: close"
HTTP: dict[str, tuple[bytes, list[tuple[int, str]]]] = {
    "three at once": (request() * 2 + request(ENDS), [(200, "p_up")] * 3),
    "a good one and one that is no JSON": (
        request() + request(ENDS, body=b"{"),
        [(200, "p_up"), (422, "body: Invalid JSON")],
    ),
    "chunks": (
        CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + b"14\r\n" + BODY + b"\r\n0\r\n\r\n",
        [(200, "p_up")],
    ),
    "it asks first": (request("Expect: 100-continue", ENDS), [(200, "p_up")]),
    "another method": (request(ENDS, start="OPTIONS /v1/forecast HTTP/1.1"), [(405, "/openapi.json")]),
    "a slash too many": (
        request(ENDS, start="GET /v2/models/BTCUSDT/ HTTP/1.1", body=b"", length=False),
        [(404, "/openapi.json")],
    ),
    "a packed body": (
        request("Content-Encoding: gzip", ENDS, body=gzip.compress(BODY)),
        [(422, "content-encoding: gzip is not read; send the body as it is")],
    ),
    "two lengths": (request("Content-Length: 5"), [(400, WRONG)]),
    "a length below nothing": (request("Content-Length: -5", length=False), [(400, WRONG)]),
    "a chunk that is none": (CHUNKED + b"zz\r\n" + BODY, [(400, WRONG)]),
    "a head of two million bytes": (request("X: " + "a" * 2_000_000), [(400, "the head is too large")]),
    "TLS": (bytes.fromhex("1603010200010001fc0303") + bytes(40), [(400, WRONG)]),
    "a good one, then what is none": (request() + b"\0\1\2\r\n\r\n", [(200, "p_up"), (400, WRONG)]),
    "UTF-16": (
        request(ENDS, body=BODY.decode().encode("utf-16")),
        [(422, "send JSON in UTF-8, as /openapi.json describes it")],
    ),
}


@pytest.mark.parametrize("name", HTTP)
def test_every_request_has_its_answer(client: Client, name: str) -> None:
    """In order, as JSON; what is no HTTP is told so and ends the connection, and the next client is answered."""
    data, wanted = HTTP[name]
    told = exchanged(client, data)
    if name == "a good one, then what is none" and len(told) == 1:
        wanted = wanted[:1]  # a parser that reads ahead ends the connection behind the good one's answer
    assert [status for status, _ in told] == [status for status, _ in wanted], told
    for (_, body), (status, words) in zip(told, wanted, strict=True):
        said = json.loads(body)
        assert words in (body.decode() if status == 200 else said["error"])
    assert client.get("/livez").status_code == 200


def rows() -> list[list[float | int]]:
    """All bars up to the newest hour."""
    return rows_until(BARS, NEWEST, BARS.first)


def bars_of_requests() -> dict[str, tuple[list[Any], dict[str, Any], str]]:
    """Bars that are wrong, what else is asked, and what is said of them."""
    good = rows()
    last = good[-1]
    later = [last[0] + HOUR_MS, *last[1:]]
    return {
        "twice": ([*good, last], {}, "appears twice; remove one of the two rows"),
        "backwards": (good[::-1], {}, "is earlier than the row before; sort by open time"),
        "an hour to come": ([*good, later], {}, "leave out what is not over"),
        "an hour to come, asked about one that is over": (
            [*good, later],
            {"hour": hour_text(NEWEST)},
            "leave out what is not over",
        ),
        "the hour itself is missing": (
            good[:-1],
            {"hour": hour_text(NEWEST)},
            "send that hour's bar too",
        ),
        "the first and the last": ([good[0], last], {}, "1,661 of them are missing; at most 10% may be"),
        "every second": (good[::2], {}, "the closest rows lie 2 h apart"),
        "two months of them": ([*good[:100], *good[-1_400:]], {}, "of them are missing; at most 10% may be"),
        "in seconds": ([[row[0] // 1_000, *row[1:]] for row in good], {}, "is in seconds"),
        "a price of nothing": (
            [*good[:-1], [last[0], 0.0, 0.0, 0.0, 0.0, 1.0]],
            {},
            "is not a positive price",
        ),
    }


@pytest.mark.parametrize("name", bars_of_requests())
def test_bars_that_are_wrong_are_named_and_never_answered_from(client: Client, name: str) -> None:
    """422, the row or the hours, and the way out."""
    bars, more, words = bars_of_requests()[name]
    status, said = client.refused({"symbol": "BTCUSDT", "bars": bars, **more})
    assert status == 422, said
    assert words in said


def test_an_outage_among_bars_is_no_fault(client: Client) -> None:
    """A missing hour is flagged as it is for the bot; and all bars give the bot's own number, read in a thread as they are."""
    good = rows()
    whole = client.forecast(bars=good)
    assert {**whole, "source": "collected"} == client.forecast()
    assert client.forecast(bars=good[:-30] + good[-29:])["input_hash"] != whole["input_hash"]


def test_numbers_that_are_sent_twice_are_refused(client: Client) -> None:
    """As JSON, with a size that is said of bytes: which of the two was meant nobody knows."""
    tensor = {"name": "rows", "shape": [1, 9], "datatype": "FP32", "data": [1.0] * 9}
    body = {"inputs": [{**tensor, "parameters": {"binary_data_size": 36}}]}
    status, said = client.refused(body, "/v2/models/BTCUSDT/infer")
    assert (status, "leave one of them out" in said) == (422, True)
