"""What the exchange's tests share: a small market, a running exchange, and the real client pointed at it."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from binance.client import Client

from tests.support import forked
from trader.core.costs import CostModel
from trader.core.types import HOUR_MS, Bars, Filters
from trader.exchange.instruments import Instrument
from trader.exchange.market import synthetic
from trader.exchange.server import EmbeddedExchange, ExchangeConfig, TradedSymbol

KEY, SECRET = "embeddedkey", "embeddedsecret"
SYMBOL = "BTCUSDT"
FIRST = 1_640_995_200_000
MARKET = synthetic(SYMBOL, 7, FIRST, 600)
AT = FIRST + 300 * HOUR_MS
COSTS = CostModel(Decimal("0.001"), Decimal(1), Decimal(1))
DEAD = "http://127.0.0.1:9/x"


def with_gap(bars: Bars, *close_times: int) -> Bars:
    """The bars with some of them flagged as missing."""
    flagged = np.isin(bars.close_time, close_times)
    return replace(bars, flagged=flagged)


def flat_bars(*prices: float, wick: float = 0.0, first: int = FIRST) -> Bars:
    """Hourly bars from `first` on, each opening at the last close; the i-th closes at prices[i]."""
    close = np.array(prices)
    opens = np.concatenate([close[:1], close[:-1]])
    return Bars(
        symbol=SYMBOL,
        close_time=first + HOUR_MS * np.arange(len(close), dtype=np.int64),
        open=opens,
        high=np.maximum(opens, close) + wick,
        low=np.minimum(opens, close) - wick,
        close=close,
        volume=np.ones(len(close)),
        flagged=np.zeros(len(close), dtype=np.bool_),
    )


def traded(base: str, seed: int, price: float) -> TradedSymbol:
    """A symbol of a synthetic market whose price is near this one."""
    bars = synthetic(f"{base}USDT", seed, FIRST, 600).bars
    scaled = {
        name: (getattr(bars, name) * price / 30_000).round(4) for name in ("open", "high", "low", "close")
    }
    return TradedSymbol(replace(bars, **scaled), base, "USDT", Filters.derived(price))


# Several symbols for one account.
BOOK = (traded("BTC", 7, 30_000.0), traded("ETH", 8, 1_500.0), traded("SOL", 9, 15.0))
OF_THE_SYMBOL = ("bars", "base", "quote", "filters", "exchange_info_row")


def config(**changes: Any) -> ExchangeConfig:
    """An exchange for BTCUSDT with 10,000 USDT that stands at AT. changes: of the config, or of its only symbol."""
    only = TradedSymbol(MARKET.bars, "BTC", "USDT", Filters.derived(30_000.0))
    plain = ExchangeConfig(
        traded=(replace(only, **{name: changes.pop(name) for name in OF_THE_SYMBOL if name in changes}),),
        costs=COSTS,
        at_ms=AT,
        balances={"USDT": Decimal(10_000)},
        api_key=KEY,
        api_secret=SECRET,
    )
    return replace(plain, **changes)


class SimClient(Client):  # type: ignore[misc]  # python-binance ships no types
    """The unmodified client; every address but the exchange's own is dead."""

    MARGIN_API_URL = PAPI_URL = WEBSITE_URL = FUTURES_URL = FUTURES_DATA_URL = DEAD
    FUTURES_COIN_URL = OPTIONS_URL = DEAD


@dataclass
class Answer:
    """A raw HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Sim:
    """A running exchange with a client, and raw access beside it."""

    exchange: EmbeddedExchange
    clients: list[Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return urlsplit(self.exchange.url).port or 0

    @property
    def instrument(self) -> Instrument:
        """What is traded here: the only symbol, or the first."""
        return next(iter(self.exchange.venue.instruments.values()))

    @property
    def client(self) -> Client:
        """The real client, its clock set to the exchange's."""
        if not self.clients:
            self.clients.append(self.new_client())
        self.sync(self.clients[0])
        return self.clients[0]

    def new_client(self, timeout_s: float = 15, key: str = KEY, secret: str = SECRET) -> Client:
        """Another client of the same exchange."""
        client = SimClient(key, secret, ping=False, requests_params={"timeout": timeout_s})
        client.API_URL = client.API_TESTNET_URL = client.API_DEMO_URL = f"{self.exchange.url}/api"
        client.session.trust_env = False
        client.session.max_redirects = 0
        self.sync(client)
        return client

    def sync(self, client: Client) -> None:
        """Set a client's clock 5 s behind the exchange's: time passes for the client while the exchange stands."""
        client.timestamp_offset = self.now() - time.time() * 1000 - 5000

    def now(self) -> int:
        """The exchange's virtual time."""
        return self.exchange.venue.clock.now()

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, reply.read(), {k.lower(): v for k, v in reply.getheaders()})
        finally:
            connection.close()

    def sim(self, path: str, body: Any = None) -> Any:
        """The control channel: POST where there is a body, GET where there is none."""
        if body is None:
            return self.raw("GET", f"/sim/{path}").json
        answer = self.raw("POST", f"/sim/{path}", json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return answer.json

    def to(self, time_ms: int) -> None:
        """Move the virtual clock."""
        self.sim("clock", {"to": time_ms})

    def signed(self, method: str, path: str, key: str = KEY, secret: str = SECRET, **params: Any) -> Answer:
        """A signed request with exactly these parameters; `timestamp` is the exchange's time unless given."""
        values = {"timestamp": self.now(), **params}
        text = urlencode({name: value for name, value in values.items() if value is not None})
        text += "&signature=" + hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        headers = {"X-MBX-APIKEY": key} if key else {}
        if method == "GET":
            return self.raw(method, f"/api/v3/{path}?{text}", None, headers)
        return self.raw(method, f"/api/v3/{path}", text.encode(), headers)

    def buy(self, quantity: str = "0.01", client_id: str = "buy-1", **extra: Any) -> Answer:
        """A MARKET BUY over the raw channel."""
        return self.order(side="BUY", type="MARKET", quantity=quantity, newClientOrderId=client_id, **extra)

    def order(self, **params: Any) -> Answer:
        """Any order over the raw channel."""
        return self.signed("POST", "order", symbol=SYMBOL, **params)

    def trade(self, symbol: str, side: str, quantity: str, **more: Any) -> Any:
        """A MARKET order in a symbol, or a LIMIT one where there is a price; what is answered."""
        kind = {"type": "LIMIT", "timeInForce": "GTC"} if "price" in more else {"type": "MARKET"}
        params = {"symbol": symbol, "side": side, "quantity": quantity, **kind, **more}
        return self.signed("POST", "order", **params).json

    def free(self, asset: str) -> Decimal:
        """A free balance."""
        return Decimal(self.sim("balances")[asset]["free"])

    def close(self) -> None:
        """Stop everything."""
        for client in self.clients:
            client.close_connection()
        self.exchange.stop()


@contextmanager
def running(**changes: Any) -> Iterator[Sim]:
    """A running exchange, configured as `config(**changes)`."""
    exchange = EmbeddedExchange(config(**changes))
    exchange.start()
    sim = Sim(exchange)
    try:
        yield sim
    finally:
        sim.close()


@contextmanager
def command(stderr: Path, *words: str) -> Iterator[dict[str, str]]:
    """`trader exchange` as a process of its own: its ready line. What it says to stderr is in the file."""
    arguments = ("trader", "exchange", *words, "--port", "0", "--json")
    with forked.running(arguments, stderr.parent, stderr) as line:
        yield json.loads(line)


@contextmanager
def command_anew(stderr: Path, *words: str) -> Iterator[dict[str, str]]:
    """The same by a fresh interpreter, with a hash seed of its own."""
    with (
        stderr.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "trader.cli", "exchange", *words, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line, stderr.read_text()
            yield json.loads(line)
        finally:
            process.terminate()
