"""The unmodified python-binance client, tied down: one host, given timestamps, no redirect, proxy, cookie or second sending."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from binance.client import Client

from trader.adapters.http_deadline import DeadlineSession
from trader.core.errors import ConfigError
from trader.core.ports import SignedOrder

# Every base address that spot does not use: a stray call fails on this machine.
DEAD = "http://127.0.0.1:9/dead"
DEAD_SOCKET = "ws://127.0.0.1:9/dead"
# How long a request may be on its way, on the venue's clock; the most that Binance takes.
RECV_WINDOW_MS, MOST_WINDOW_MS = 5_000, 60_000
CONNECT_S = 3.05


class SigningClient(Client):  # type: ignore[misc]  # the client ships no types
    """python-binance with a fixed notion of time: it signs with the timestamp it is given and no other.

    The client overwrites `timestamp` and `recvWindow` when it signs, so a process that was stopped between storing
    and sending an order would send a fresh, acceptable one. `_generate_signature` is the last step before the
    bytes are fixed; restoring the values there keeps the stored order the sent one.
    """

    API_URL = API_TESTNET_URL = API_DEMO_URL = DEAD
    MARGIN_API_URL = WEBSITE_URL = PAPI_URL = OPTIONS_URL = OPTIONS_TESTNET_URL = DEAD
    FUTURES_URL = FUTURES_TESTNET_URL = FUTURES_DEMO_URL = FUTURES_DATA_URL = FUTURES_DATA_TESTNET_URL = DEAD
    FUTURES_COIN_URL = FUTURES_COIN_TESTNET_URL = FUTURES_COIN_DEMO_URL = DEAD
    FUTURES_COIN_DATA_URL = FUTURES_COIN_DATA_TESTNET_URL = DEAD
    WS_API_URL = WS_API_TESTNET_URL = WS_API_DEMO_URL = DEAD_SOCKET
    WS_FUTURES_URL = WS_FUTURES_TESTNET_URL = WS_FUTURES_DEMO_URL = DEAD_SOCKET

    stamp: Callable[[], int]
    window_ms: Callable[[], int]
    pinned: SignedOrder | None = None

    def _generate_signature(self, data: dict[str, Any], uri_encode: bool = True) -> str:
        pinned = self.pinned
        data["timestamp"] = self.stamp() if pinned is None else pinned.timestamp_ms
        data["recvWindow"] = self.window_ms() if pinned is None else pinned.recv_window_ms
        signature: str = super()._generate_signature(data, uri_encode)
        return signature


@dataclass(frozen=True, slots=True)
class VenueAddress:
    """Where a venue lives and how long to wait for a whole answer. Keys may be empty for public market data."""

    url: str
    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    timeout_s: float = 15.0


def signing_client(
    connection: VenueAddress, stamp: Callable[[], int], window_ms: Callable[[], int] = lambda: RECV_WINDOW_MS
) -> SigningClient:
    """A client that reaches this venue and nothing else; `stamp` tells the time that requests are signed with, UTC ms, and
    `window_ms` for how long from then on they are good.

    Raises ConfigError for keys that cannot be any, without repeating them.
    """
    for name, value in (("key", connection.api_key), ("secret", connection.api_secret)):
        if not re.fullmatch(r"[!-~]*", value):
            raise ConfigError(f"the API {name} holds characters that no key has; copy it again")
    # Below ERROR urllib3 logs addresses, and a signed read has its signature there.
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).setLevel(logging.ERROR)
    client = SigningClient(connection.api_key or None, connection.api_secret or None, ping=False)
    client.API_URL = connection.url.rstrip("/") + "/api"
    client.stamp, client.window_ms = stamp, window_ms
    client.session.close()
    client.session = DeadlineSession(
        connection.url.rstrip("/"), client._get_headers(), connection.timeout_s, CONNECT_S
    )
    return client
