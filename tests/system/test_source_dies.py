"""A PostgreSQL server that dies while it is spoken to, as its driver tells it: asked again, and no password is said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trader.adapters.bar_folder import read_place
from trader.core.errors import Retry


@contextmanager
def server_that_dies(answer: bytes) -> Iterator[int]:
    """A port behind which somebody takes what a client sends, answers so much and hangs up, every time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


# AuthenticationOk, then the half of a message: the server died while it spoke.
HALF = b"R" + (8).to_bytes(4, "big") + (0).to_bytes(4, "big") + b"S\x00\x00\x00"


@pytest.mark.parametrize("answer", [b"", HALF], ids=["at once", "in the middle"])
def test_a_server_that_dies_is_asked_again(answer: bytes) -> None:
    """Retry, and the password is not said."""
    with (
        server_that_dies(answer) as port,
        pytest.raises(Retry, match=r"does not answer: .*; try again later") as told,
    ):
        read_place(f"postgresql://me:canary@127.0.0.1:{port}/market?table=bars&sslmode=disable", "BTCUSDT")
    assert "canary" not in str(told.value)
