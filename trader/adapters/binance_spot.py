"""Binance spot through the unmodified python-binance client: market data, account, and orders whose bytes are fixed
before they are stored and never signed again.

Foreign exceptions stop here. Reads raise Retry where the venue did not answer usefully, and ConfigError where it
answered that a person must act. An order's POST never raises: it is accepted, refused, or unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeVar

import numpy as np
import requests
from binance.client import Client
from binance.exceptions import BinanceAPIException, BinanceRequestException

from trader.adapters.exchange_info import filters_of
from trader.core.bars import bars_from_columns
from trader.core.errors import ConfigError, DataError, Halt, Retry
from trader.core.ports import Clock, OrderState, Sent, SignedOrder
from trader.core.types import HOUR_MS, Bars, Fill, Filters, Quote, Side, floor_hour, no_bars, plain

T = TypeVar("T")
Progress = Callable[[int, int], None]  # rows so far, rows wanted

DEAD = (
    "http://127.0.0.1:9/dead"  # every base address that spot does not use: a stray call fails on this machine
)
RECV_WINDOW_MS = 5_000
CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
KLINES_PAGE = 1_000
# A bar that the source does not show this long after its hour will not come: the exchange was down.
LATE_BAR_MS = 15 * 60_000

UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007})
KEY_CODES = frozenset({-1002, -1022, -2008, -2014, -2015})
NOT_THERE = -2013
OUT_OF_WINDOW = -1021
# What a read may try again at once, and how often: connections that broke, servers that were busy.
READ_TRIES = 3
READ_PAUSE_S = 0.5


class SigningClient(Client):  # type: ignore[misc]  # the client ships no types
    """python-binance with a fixed notion of time: it signs with the timestamp it is given and no other.

    The client overwrites `timestamp` and `recvWindow` when it signs, so a process that was stopped between storing
    and sending an order would send a fresh, acceptable one. `_generate_signature` is the last step before the
    bytes are fixed; restoring the values there keeps the stored order the sent one.
    """

    API_URL = API_TESTNET_URL = API_DEMO_URL = DEAD
    MARGIN_API_URL = WEBSITE_URL = PAPI_URL = OPTIONS_URL = OPTIONS_TESTNET_URL = DEAD
    FUTURES_URL = FUTURES_TESTNET_URL = FUTURES_DEMO_URL = FUTURES_DATA_URL = FUTURES_DATA_TESTNET_URL = DEAD
    FUTURES_COIN_URL = FUTURES_COIN_TESTNET_URL = FUTURES_COIN_DATA_URL = FUTURES_COIN_DATA_TESTNET_URL = DEAD

    stamp: Callable[[], int]
    pinned: SignedOrder | None = None

    def _generate_signature(self, data: dict[str, Any], uri_encode: bool = True) -> str:
        pinned = self.pinned
        data["timestamp"] = self.stamp() if pinned is None else pinned.timestamp_ms
        data["recvWindow"] = RECV_WINDOW_MS if pinned is None else pinned.recv_window_ms
        signature: str = super()._generate_signature(data, uri_encode)
        return signature


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a venue lives and how long to wait for it. Keys may be empty for public market data."""

    url: str
    api_key: str = ""
    api_secret: str = ""
    timeout_s: float = 15.0


class _Api:
    """One client, its clock offset, and the rules for reads."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        wait = (min(3.05, connection.timeout_s), connection.timeout_s)
        self.client = SigningClient(
            connection.api_key or None,
            connection.api_secret or None,
            requests_params={"timeout": wait, "allow_redirects": False},
            ping=False,
        )
        self.client.API_URL = connection.url.rstrip("/") + "/api"
        self.client.session.trust_env = False
        self.client.stamp = self.stamp
        self.url = connection.url
        self.clock = clock
        self.offset_ms = 0
        self._blocked_until_ms = 0

    def close(self) -> None:
        """Give back the connections."""
        self.client.session.close()

    def stamp(self) -> int:
        """The venue's time now, by the last measured offset, UTC ms."""
        return self.clock.now_ms() + self.offset_ms

    def measure(self) -> int:
        """Ask the venue's time, remember the offset from the midpoint of the round trip; UTC ms on its clock."""
        before = self.clock.now_ms()
        server = int(self.read(self.client.get_server_time)["serverTime"])
        self.offset_ms = server - (before + self.clock.now_ms()) // 2
        return server

    def blocked_s(self) -> float:
        """Seconds during which the venue forbade every request (429, 418)."""
        return max(0.0, (self._blocked_until_ms - self.clock.now_ms()) / 1000)

    def block(self, error: BinanceAPIException) -> None:
        """Remember a 429's or 418's Retry-After."""
        default = 120.0 if error.status_code == 418 else 60.0
        header = error.response.headers.get("Retry-After", "") if error.response is not None else ""
        seconds = float(header) if re.fullmatch(r"\d+(\.\d+)?", header) else default
        self._blocked_until_ms = self.clock.now_ms() + round(seconds * 1000)

    def read(self, call: Callable[..., T], **params: Any) -> T:
        """A GET: tried again a few times where that is safe and useful, every failure translated."""
        for attempt in range(READ_TRIES):
            if self.blocked_s() > 0:
                raise Retry(f"{self.url} forbids requests for {self.blocked_s():.0f} s more")
            try:
                return call(**params)
            except (requests.exceptions.RequestException, BinanceRequestException, AttributeError) as error:
                problem = f"{self.url} did not answer usefully: {type(error).__name__}"
            except BinanceAPIException as error:
                problem = self._judge(error)
                if error.code == OUT_OF_WINDOW and attempt == 0:
                    self.measure()
                    continue
            if attempt < READ_TRIES - 1:
                self.clock.sleep(READ_PAUSE_S)
        raise Retry(problem)

    def _judge(self, error: BinanceAPIException) -> str:
        said = f"{self.url} answered {error.status_code}, code {error.code}: {error.message}"
        if error.status_code in (418, 429):
            self.block(error)
            raise Retry(said) from None
        if error.code in KEY_CODES:
            raise ConfigError(f"{said}. Check TRADER_API_KEY and TRADER_API_SECRET for this venue") from None
        if error.status_code == 451:
            raise ConfigError(f"{said}. Run the bot from a region that Binance serves") from None
        if error.code == NOT_THERE:
            raise error
        if error.status_code < 500 and error.code < 0 and error.code not in UNKNOWN_CODES | {OUT_OF_WINDOW}:
            raise ConfigError(said) from None
        return said


class BinanceKlines:
    """Closed bars from a keyless host. One request a page of 1,000, closed bars only."""

    def __init__(self, connection: Connection, clock: Clock, progress: Progress | None = None) -> None:
        self._api = _Api(connection, clock)
        self._progress = progress

    def close(self) -> None:
        """Give back the connections."""
        self._api.close()

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Bars with start <= close_time < stop that are over, gaps filled flat and flagged.

        A bar is over once the source shows a later one, the forming one included; so the last row may be flagged,
        and rows that the source does not show yet are missing at the end. Empty if there is none.
        """
        rows, over_until = self._pages(symbol, start - HOUR_MS, stop)
        if not rows or rows[0][0] > start - HOUR_MS:
            rows = self._before(symbol, start - HOUR_MS) + rows
        source = f"klines of {self._api.url}"
        if over_until < stop - HOUR_MS:
            over_until = max(over_until, floor_hour(self._api.measure() - LATE_BAR_MS))
        closed = [row for row in rows if row[0] + HOUR_MS <= over_until]
        if not closed:
            return no_bars(symbol)
        bars = _parse(symbol, closed, source).extended_to(min(over_until, stop - HOUR_MS))
        return bars.span(start, stop)

    def time_ms(self) -> int:
        """The host's clock, UTC ms."""
        return self._api.measure()

    def first_open(self, symbol: str) -> int:
        """Open time of the symbol's first bar, UTC ms. Raises DataError if it has none."""
        rows = self._page(symbol, startTime=0, limit=1)
        if not rows:
            raise DataError(f"{self._api.url} has no bars of {symbol}")
        return int(rows[0][0])

    def _pages(self, symbol: str, first_open: int, stop: int) -> tuple[list[list[Any]], int]:
        rows: list[list[Any]] = []
        begin, last_open = first_open, stop - HOUR_MS
        while begin <= last_open:
            # One bar beyond the wanted ones shows whether the last wanted one is over.
            wanted = min(KLINES_PAGE, (last_open - begin) // HOUR_MS + 1)
            page = self._page(symbol, startTime=begin, endTime=last_open, limit=wanted)
            rows += page
            if self._progress:
                self._progress(len(rows), (stop - first_open) // HOUR_MS)
            if len(page) < wanted:
                break
            begin = int(page[-1][0]) + HOUR_MS
        return rows, int(rows[-1][0]) if rows else first_open

    def _before(self, symbol: str, open_time: int) -> list[list[Any]]:
        return self._page(symbol, endTime=open_time - 1, limit=1)

    def _page(self, symbol: str, **bounds: int) -> list[list[Any]]:
        read = self._api.read
        page = read(self._api.client.get_klines, symbol=symbol, interval="1h", **bounds)
        if not isinstance(page, list) or any(not isinstance(row, list) or len(row) < 11 for row in page):
            raise Retry(f"{self._api.url} answered klines that are not rows of 12 values")
        return page


def _parse(symbol: str, rows: list[list[Any]], source: str) -> Bars:
    try:
        table = np.array([[float(value) for value in row[1:11]] for row in rows])
        open_time = np.array([int(row[0]) for row in rows], dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: a value is not a number ({error})") from None
    names = ("open", "high", "low", "close", "volume")
    columns = {name: table[:, i] for i, name in enumerate(names)}
    # Column 5 is the close time in milliseconds, which the open time already tells.
    extra = ("quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
    columns |= {name: table[:, 6 + i] for i, name in enumerate(extra)}
    return bars_from_columns(symbol, open_time, columns, source)


class BinanceSpot:
    """The account side of a venue. `clock` may be the wall or the exchange's own; offsets are measured against it."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._api = _Api(connection, clock)
        self._assets: dict[str, tuple[str, str]] = {}

    def close(self) -> None:
        """Give back the connections."""
        self._api.close()

    def time_ms(self) -> int:
        """The venue's clock, asked anew; also renews the offset that requests are signed with."""
        return self._api.measure()

    def filters(self, symbol: str) -> Filters:
        """From exchangeInfo, for one symbol. Raises Halt where the symbol does not trade."""
        client = self._api.client
        wanted = {"symbol": symbol, "showPermissionSets": "false"}
        info = self._api.read(lambda: client._get("exchangeInfo", data=dict(wanted)))
        row = next((row for row in info.get("symbols", []) if row.get("symbol") == symbol), None)
        if row is None:
            raise ConfigError(f"{self._api.url} does not list {symbol}")
        if row["status"] != "TRADING":
            raise Halt("symbol_status", f"{symbol} is {row['status']} at {self._api.url}")
        self._assets[symbol] = (row["baseAsset"], row["quoteAsset"])
        return filters_of(row, self._api.url)

    def assets(self, symbol: str) -> tuple[str, str]:
        """Base and quote asset, as exchangeInfo names them."""
        if symbol not in self._assets:
            self.filters(symbol)
        return self._assets[symbol]

    def quote(self, symbol: str) -> Quote:
        """Best bid and ask. Raises Retry while a side is empty."""
        ticker = self._api.read(self._api.client.get_orderbook_ticker, symbol=symbol)
        quote = Quote(Decimal(ticker["bidPrice"]), Decimal(ticker["askPrice"]))
        if quote.bid <= 0 or quote.ask <= 0:
            raise Retry(f"{symbol}: one side of the book is empty")
        return quote

    def balances(self) -> Mapping[str, Decimal]:
        """Free amounts by asset. Raises Halt where the account may not trade."""
        account = self._api.read(self._api.client.get_account, omitZeroBalances="true")
        if not account.get("canTrade", False):
            raise Halt("permission", f"the account at {self._api.url} may not trade (canTrade is false)")
        return {row["asset"]: Decimal(row["free"]) for row in account["balances"]}

    def sign(self, symbol: str, side: Side, qty: Decimal, client_order_id: str, now_ms: int) -> SignedOrder:
        """Fix an order's bytes at `now_ms` on the venue's clock."""
        if not CLIENT_ORDER_ID.fullmatch(client_order_id):
            raise ConfigError(f"client order id {client_order_id!r} must match {CLIENT_ORDER_ID.pattern}")
        self.assets(symbol)  # asked now, so that after the sending nothing else can fail
        return SignedOrder(symbol, side, qty, client_order_id, now_ms, RECV_WINDOW_MS)

    def send(self, order: SignedOrder) -> Sent:
        """POST these very bytes, once. No retry, no redirect, no new signature."""
        client = self._api.client
        if self._api.blocked_s() > 0:
            return Sent("refused", message=f"requests are forbidden for {self._api.blocked_s():.0f} s more")
        client.pinned = order
        try:
            reply = client.create_order(
                symbol=order.symbol,
                side=order.side,
                type="MARKET",
                quantity=plain(order.qty),
                newClientOrderId=order.client_order_id,
                newOrderRespType="FULL",
            )
        except (requests.exceptions.RequestException, BinanceRequestException, AttributeError) as error:
            return Sent(_broken(error), message=f"{type(error).__name__}: {error}"[:300])
        except BinanceAPIException as error:
            if error.status_code in (418, 429):
                self._api.block(error)
            message = f"{error.status_code}, code {error.code}: {error.message}"
            return Sent(_answered(error), message=message[:300])
        finally:
            client.pinned = None
        return self._accepted(order, reply)

    def _accepted(self, order: SignedOrder, reply: Any) -> Sent:
        if not isinstance(reply, dict) or reply.get("orderId") is None or "status" not in reply:
            return Sent("unknown", message=f"an answer without an order: {str(reply)[:200]}")
        try:
            state = _state(reply, order.client_order_id)
            fills = [self._fill(order.symbol, row, order.side, "tradeId") for row in reply["fills"]]
        except (KeyError, ArithmeticError, TypeError, ValueError) as error:
            return Sent("unknown", message=f"an answer that cannot be read: {error!r}"[:300])
        return Sent("accepted", state, fills)

    def check(self, symbol: str, side: Side, qty: Decimal) -> str:
        """POST /order/test: "" if the venue would accept the order, else what it says."""
        try:
            self._api.client.create_test_order(symbol=symbol, side=side, type="MARKET", quantity=plain(qty))
        except BinanceAPIException as error:
            return f"{error.status_code}, code {error.code}: {error.message}"
        except (requests.exceptions.RequestException, BinanceRequestException, AttributeError) as error:
            raise Retry(f"{self._api.url} did not answer usefully: {type(error).__name__}") from None
        return ""

    def find(self, symbol: str, client_order_id: str) -> OrderState | None:
        """The newest order with this id, None where the venue says -2013."""
        try:
            reply = self._api.read(
                self._api.client.get_order, symbol=symbol, origClientOrderId=client_order_id
            )
        except BinanceAPIException:  # read() lets -2013 through and nothing else
            return None
        return _state(reply, client_order_id)

    def open_orders(self, symbol: str) -> list[OrderState]:
        """Orders that can still be filled."""
        rows = self._api.read(self._api.client.get_open_orders, symbol=symbol)
        return [_state(row, row["clientOrderId"]) for row in rows]

    def fills(self, symbol: str, order_id: int) -> list[Fill]:
        """The executions of one order, oldest first."""
        rows = self._api.read(self._api.client.get_my_trades, symbol=symbol, orderId=order_id)
        return [self._fill(symbol, row, "BUY" if row["isBuyer"] else "SELL", "id") for row in rows]

    def client_order_ids(self, symbol: str, since_ms: int) -> list[str]:
        """Client ids of orders since a time, whoever sent them."""
        rows = self._api.read(self._api.client.get_all_orders, symbol=symbol, startTime=since_ms)
        return [str(row["clientOrderId"]) for row in rows]

    def _fill(self, symbol: str, row: Mapping[str, Any], side: Side, id_key: str) -> Fill:
        base, quote = self.assets(symbol)
        asset, amount = row["commissionAsset"], Decimal(row["commission"])
        if asset not in (base, quote) and amount != 0:
            raise ValueError(f"a commission in {asset} cannot be booked in {base} or {quote}")
        paid_in: Literal["base", "quote"] = "base" if asset == base else "quote"
        return Fill(side, Decimal(row["price"]), Decimal(row["qty"]), amount, paid_in, int(row[id_key]))


def _state(reply: Mapping[str, Any], client_order_id: str) -> OrderState:
    return OrderState(
        client_order_id=client_order_id,
        order_id=int(reply["orderId"]),
        status=str(reply["status"]),
        side="BUY" if reply["side"] == "BUY" else "SELL",
        executed_qty=Decimal(reply["executedQty"]),
        quote_qty=Decimal(reply["cummulativeQuoteQty"]),
        transact_ms=int(reply.get("transactTime") or reply.get("time") or 0),
    )


def _broken(error: Exception) -> Literal["refused", "unknown"]:
    """A request that ended without an answer: certainly not executed only if no connection was ever made."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "refused"
    never_connected = any(name in repr(error) for name in ("NewConnectionError", "NameResolutionError"))
    if isinstance(error, requests.exceptions.ConnectionError) and never_connected:
        return "refused"
    return "unknown"


def _answered(error: BinanceAPIException) -> Literal["refused", "unknown"]:
    """An error answer to an order: where code and HTTP status disagree the code is believed; in doubt, unknown."""
    code = error.code if isinstance(error.code, int) else 0
    if code in UNKNOWN_CODES or "Duplicate order sent" in str(error.message):
        return "unknown"
    if code == -1008 or error.status_code in (403, 418, 429, 451):
        return "refused"
    if error.status_code == 408 or error.status_code >= 500:
        return "unknown"
    return "refused" if code < 0 else "unknown"
