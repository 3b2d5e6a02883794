"""The address of a Ray cluster, without Ray: what is an address, and what is said where no Ray answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from backtest.executors import ray_address as module
from backtest.executors.ray_address import RayAddress, ray_address, require_answer
from backtest.executors.ray_cluster import open_executor
from backtest.executors.registry import Setup
from trader.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:6379", RayAddress("10.0.0.1", 6379, client=False)),
        ("head", RayAddress("head", 6379, client=False)),
        ("ray://head", RayAddress("head", 10001, client=True)),
        ("ray://head:1", RayAddress("head", 1, client=True)),
        ("[::1]:6379", RayAddress("::1", 6379, client=False)),
        ("[fd00::2]", RayAddress("fd00::2", 6379, client=False)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: RayAddress) -> None:
    """Of the head's control store, or of its server for clients; the port may be left out."""
    assert ray_address(text) == expected
    assert ray_address(str(expected)) == expected


@pytest.mark.parametrize("text", ["", ":6379", "head:", "head:x", "head:0", "head:65536", "http://head:8265"])
def test_what_is_no_address_is_refused_with_the_two_forms(text: str) -> None:
    """A person's mistake: exit 2."""
    with pytest.raises(
        ConfigError, match=r"is no address of a Ray cluster\. Give HOST:PORT .* or ray://HOST:10001"
    ):
        ray_address(text)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[RayAddress]:
    """A server of this test's that answers one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield RayAddress("127.0.0.1", server.getsockname()[1], client=False)
        thread.join()


def test_an_address_where_nothing_listens_is_told_at_once() -> None:
    """Before anything is started, with the address and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    told = rf"nothing answers at --ray-address 127\.0\.0\.1:{port} \(.*refused\)\. Is the cluster up"
    with pytest.raises(ConfigError, match=told):
        open_executor(Setup(2, options={"ray_address": f"127.0.0.1:{port}"}))
    assert time.monotonic() - began < 10


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would have waited for a minute."""
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    with (
        listening(lambda connection: _read_all(connection)) as address,
        pytest.raises(ConfigError, match=r"nothing answers .*timed out"),
    ):
        require_answer(address)


def test_a_server_that_is_not_ray_is_told() -> None:
    """The dashboard's port in place of the control store's is a mistake that is easily made."""
    with (
        listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address,
        pytest.raises(
            ConfigError,
            match=r"is not Ray\. .*port 6379 by default, 10001 with ray://; 8265 is its dashboard",
        ),
    ):
        require_answer(address)


@pytest.mark.parametrize("hello", [bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([21, 3, 1, 0, 2, 2, 70]), b""])
def test_what_speaks_as_grpc_does_is_believed(hello: bytes) -> None:
    """A server of HTTP/2 begins with its settings; one that asks for a certificate sends an alert, or hangs up."""
    with listening(lambda connection: connection.sendall(hello)) as address:
        require_answer(address)


def _read_all(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass
