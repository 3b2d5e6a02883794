"""More than the server answers in time: whoever asks is told 503, on a connection that goes on, and nobody is reset."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.serving.kit import PATIENT, START, Client, Stage, serving, until
from trader.core.types import HOUR_MS
from trader.serving.connection import BUSY, FULL, is_whole
from trader.serving.server import allow_open_files

BODY = b'{"symbol":"BTCUSDT"}'
HEAD = b"POST /v1/forecast HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.fixture(scope="module")
def stage() -> Stage:
    """A bot of trees, 20 hours after its first model."""
    made = Stage()
    made.train()
    made.at(START + 20 * HOUR_MS)
    return made


@contextmanager
def connected(client: Client) -> Iterator[socket.socket]:
    """A connection to the server."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as made:
        yield made


def answer(link: socket.socket) -> bytes:
    """One answer, with its body."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += link.recv(1)
    length = next(
        int(line.split(b":")[1]) for line in read.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    while not read.endswith(b"\r\n\r\n") or length:
        part = link.recv(length)
        read, length = read + part, length - len(part)
        if not length:
            break
    return read


def test_a_request_beyond_the_queue_is_told_503_and_keeps_its_connection(stage: Stage) -> None:
    """Where no request may wait: each POST is 503 at once, on the same connection, and counted; a supervisor is answered."""
    with serving(stage.service(bounds=replace(PATIENT, waiting=0))) as client, connected(client) as link:
        for _ in range(3):
            link.sendall(HEAD + BODY)
            assert answer(link) == BUSY
        for part in (HEAD, BODY):  # in parts, as many clients send: told as well
            link.sendall(part)
            time.sleep(0.1)
        told = answer(link)
        assert (told[:12], told.rpartition(b"\r\n")[2]) == (b"HTTP/1.1 503", BUSY.rpartition(b"\r\n")[2])
        link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in answer(link)
        assert 'trader_serve_shed_total{what="request"} 4.0' in client.get("/metrics").text


def test_of_a_crowd_each_is_answered(stage: Stage) -> None:
    """Sixty ask while the event loop stands still, and eight may wait: each gets one whole answer, 200 or 503, and the next
    request on each connection is answered again."""
    with serving(stage.service(bounds=replace(PATIENT, waiting=8))) as client, ExitStack() as held:
        assert client.forecast()
        looking = client.service._looking
        assert looking is not None
        links = [held.enter_context(connected(client)) for _ in range(60)]
        for link in links:
            link.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in answer(link)
        go, stands = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            go.wait(60)

        looking.get_loop().call_soon_threadsafe(stand)
        assert stands.wait(60)
        for link in links:
            link.sendall(HEAD + BODY)
        go.set()
        codes = [answer(link).split(None, 2)[1] for link in links]
        assert set(codes) == {b"200", b"503"}
        assert codes.count(b"200") >= 8
        for link in links:
            until(lambda link=link: _asked_again(link) == b"200")  # type: ignore[misc]


def _asked_again(link: socket.socket) -> bytes:
    link.sendall(HEAD + BODY)
    return answer(link).split(None, 2)[1]


def test_a_refused_client_that_sends_its_body_later_reads_its_answer(stage: Stage) -> None:
    """As http.client does, which sends head and body one after the other: it is told 503 and not reset meanwhile."""
    with (
        serving(stage.service(bounds=replace(PATIENT, connections=1))) as client,
        connected(client) as first,
    ):
        first.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in answer(first)
        with connected(client) as link:
            link.sendall(HEAD)
            time.sleep(0.05)
            for part in (BODY, b"x" * 100_000):
                link.sendall(part)
                time.sleep(0.05)
            read = b""
            while data := link.recv(65_536):
                read += data
            assert read == FULL


def test_of_refused_connections_that_say_nothing_the_oldest_is_closed(stage: Stage) -> None:
    """Beyond four times those that are taken, so that a crowd of silent ones does not hold all files."""
    with serving(stage.service(bounds=replace(PATIENT, connections=1))) as client, ExitStack() as held:
        links = [held.enter_context(connected(client)) for _ in range(6)]
        links[0].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in answer(links[0])
        assert links[1].recv(1) == b""
        links[5].sendall(HEAD + BODY)
        assert answer(links[5]) == FULL


def test_many_large_bodies_at_once_are_told_503(stage: Stage) -> None:
    """Bodies that are being received are bounded together; once they are gone there is room again."""
    bounds = replace(PATIENT, bodies_bytes=200_000)
    head = b"POST /v1/forecast HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n"
    with serving(stage.service(bounds=bounds)) as client:
        with connected(client) as first, connected(client) as second:
            for link in (first, second):
                link.sendall(head + b"x" * 120_000)
            told, _, _ = select.select([first, second], [], [], 60)
            said = answer(told[0])
            assert b"503 Service Unavailable" in said
            assert b"retry-after: 1" in said
            assert b"too many large bodies at once" in said
        until(lambda: client.post("/v1/forecast", b"x" * 150_000).status_code == 422)


WHOLE = {
    "a request": (HEAD + BODY, True),
    "no body": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", True),
    "a head alone": (HEAD, False),
    "a part of a body": (HEAD + BODY[:-1], False),
    "two requests": (2 * (HEAD + BODY), False),
    "a GET": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
    "a GET with a body": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" + BODY, False),
    "another method": (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", False),
    "an older version": (HEAD.replace(b"1.1", b"1.0") + BODY, False),
    "no length": (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", False),
    "two lengths": (HEAD.replace(b"Host", b"Content-Length: 20\r\nHost") + BODY, False),
    "two lengths, one odd": (HEAD.replace(b"Host", b"Content-Length : 5\r\nHost") + BODY, False),
    "chunked": (HEAD.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost") + BODY, False),
    "asks first": (HEAD.replace(b"Host", b"Expect: 100-continue\r\nHost") + BODY, False),
    "ends": (HEAD.replace(b"Host", b"Connection: close\r\nHost") + BODY, False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_only_plain_whole_requests_are_refused_unread(name: str) -> None:
    """What is more than a head and a body is left to the HTTP parser."""
    data, whole = WHOLE[name]
    assert is_whole(data) is whole


def test_open_files_are_raised_no_further_than_the_system_lets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit only, and never lowered."""
    import resource

    limits, told = (1_024, 4_096), []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: told.append(given))
    allow_open_files(2_000)
    allow_open_files(9_000)
    allow_open_files(1_000)
    assert told == [(2_000, 4_096), (4_096, 4_096)]
