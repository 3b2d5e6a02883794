"""The floor of a replay: its very sequence of HTTP requests, by the same client libraries, to a server that answers constants.

`python -m benchmarks.replay_floor TAPE URL` asks python-binance (unmodified, two clients as the bot has: one without a key
for the market, one that signs for the account) and http.client (the exchange's clock) for everything on the tape, one after
the other, and prints the wall and processor seconds as JSON. Answers are read and parsed, and nothing else is done: no
feature, no decision, no journal. Imports and reading the tape are not counted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from binance.client import Client
from binance.exceptions import BinanceAPIException

from benchmarks.tape import Told, read

# What the client adds itself when it signs.
SIGNING = {"timestamp", "recvWindow", "signature"}
API = "/api/v3/"


def client_of(url: str, key: str | None) -> Client:
    """An unmodified client with one changed address."""
    client = Client(key, key, ping=False, requests_params={"allow_redirects": False})
    client.API_URL = f"{url}/api"
    client.session.trust_env = False
    return client


def asked(tape: list[Told], url: str) -> list[Callable[[], object]]:
    """Each exchange as a call that is ready to be made."""
    market, account = client_of(url, None), client_of(url, "floor")
    parts = urlsplit(url)
    clock = HTTPConnection(parts.hostname or "", parts.port)
    calls: list[Callable[[], object]] = []
    for told in tape:
        path, _, query = told.target.partition("?")
        if path.startswith(API):
            client = account if told.signed else market
            given = dict(parse_qsl(query) + parse_qsl(told.body))
            data = {name: value for name, value in given.items() if name not in SIGNING}
            calls.append(_by_client(client, told.method.lower(), path.removeprefix(API), told.signed, data))
        else:
            calls.append(_by_clock(clock, told.method, path, told.body.encode() or None))
    return calls


def _by_client(
    client: Client, method: str, path: str, signed: bool, data: dict[str, str]
) -> Callable[[], object]:
    def ask() -> object:
        try:
            return client._request_api(method, path, signed, "v3", data=dict(data))
        except (
            BinanceAPIException
        ) as refused:  # an answer too, say of an order that is asked for before it is sent
            return refused

    return ask


def _by_clock(clock: HTTPConnection, method: str, path: str, body: bytes | None) -> Callable[[], object]:
    def ask() -> object:
        clock.request(method, path, body=body, headers={"Content-Type": "application/json"})
        return json.loads(clock.getresponse().read())

    return ask


def main() -> None:
    """Ask, and say how long it took."""
    calls = asked(read(Path(sys.argv[1])), sys.argv[2])
    wall, cpu = time.perf_counter(), time.process_time()
    for call in calls:
        call()
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))


if __name__ == "__main__":
    main()
