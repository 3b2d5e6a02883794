"""The account side of Binance spot: balances, books, and orders whose bytes are fixed before they are stored and never
signed again.

An order's POST never raises: it is accepted, refused, or unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_commission import Commissions, FillReader
from trader.adapters.binance_connection import Quota, VenueApi
from trader.adapters.binance_errors import NOT_THERE, VenueRefusal, VenueSilence, again, fate
from trader.adapters.binance_replies import (
    UNREADABLE,
    Reply,
    amount,
    listed,
    order_state,
    states,
    whole,
)
from trader.adapters.exchange_info import filters_of
from trader.core.errors import ConfigError, Halt, Retry, TraderError
from trader.core.executions import contradiction
from trader.core.ports import Clock, CommissionTerms, OrderAnswer, OrderState, OwnTrade, SignedOrder
from trader.core.types import Fill, Filters, Quote, Side, plain

CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
LIST_PAGE = 1_000
MOST_PAGES = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Trade:
    """A row of the account's trades. qty in base, quote_qty in quote."""

    order_id: int
    side: Side
    qty: Decimal
    quote_qty: Decimal


def _trade(row: Reply) -> _Trade:
    """Raises one of UNREADABLE."""
    if type(row["isBuyer"]) is not bool:
        raise TypeError("a trade without a side")
    side: Side = "BUY" if row["isBuyer"] else "SELL"
    return _Trade(whole(row["orderId"]), side, amount(row["qty"]), amount(row["quoteQty"]))


class BinanceSpot:
    """The account at a venue. `clock` may be the wall or the exchange's own; offsets are measured against it."""

    def __init__(self, connection: VenueAddress, clock: Clock, quota: Quota | None = None) -> None:
        if not connection.api_key or not connection.api_secret:
            raise ConfigError(f"{connection.url} needs an API key and its secret to trade")
        self._api = VenueApi(connection, clock, quota)
        self._client = self._api.client
        self._commissions = Commissions(self._api)
        self._assets: dict[str, tuple[str, str]] = {}

    def close(self) -> None:
        """Give back the connections."""
        self._api.close()

    def time_ms(self) -> int:
        """The venue's clock, asked anew; also renews the offset that requests are signed with."""
        return self._api.measure()

    def filters(self, symbol: str) -> Filters:
        """From exchangeInfo, for one symbol. Raises Halt where the symbol does not trade."""

        def parse(info: Reply) -> Filters:
            row = next((row for row in info["symbols"] if row["symbol"] == symbol), None)
            if row is None:
                raise ConfigError(f"{self._api.url} does not list {symbol}")
            if row["status"] != "TRADING":
                raise Halt("symbol_status", f"{symbol} is {row['status']} at {self._api.url}")
            self._assets[symbol] = str(row["baseAsset"]), str(row["quoteAsset"])
            return filters_of(row, self._api.url)

        # The client's own method takes no symbol, and the whole list is many megabytes.
        wanted = {"symbol": symbol, "showPermissionSets": "false"}
        return self._api.read(lambda: self._client._get("exchangeInfo", data=dict(wanted)), parse)

    def assets(self, symbol: str) -> tuple[str, str]:
        """Base and quote asset, as exchangeInfo names them."""
        if symbol not in self._assets:
            self.filters(symbol)
        return self._assets[symbol]

    def quote(self, symbol: str) -> Quote:
        """Best bid and ask. Raises Retry while a side is empty."""

        def parse(ticker: Reply) -> Quote:
            quote = Quote(amount(ticker["bidPrice"]), amount(ticker["askPrice"]))
            if not 0 < quote.bid <= quote.ask:
                raise Retry(f"{symbol}: one side of the book is empty, or bid {quote.bid} > ask {quote.ask}")
            return quote

        return self._api.read(self._client.get_orderbook_ticker, parse, symbol=symbol)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Best bid and ask of several symbols, in one request; a symbol without both is not there."""

        def parse(tickers: Any) -> dict[str, Quote]:
            found = {
                str(it["symbol"]): Quote(amount(it["bidPrice"]), amount(it["askPrice"])) for it in tickers
            }
            return {it: found[it] for it in symbols if it in found and 0 < found[it].bid <= found[it].ask}

        named = json.dumps(list(symbols), separators=(",", ":"))
        return self._api.read(self._client.get_orderbook_ticker, parse, symbols=named)

    def balances(self) -> Mapping[str, Decimal]:
        """Free amounts by asset. Raises Halt where the account may not trade."""

        def parse(account: Reply) -> dict[str, Decimal]:
            free = {str(row["asset"]): amount(row["free"]) for row in account["balances"]}
            if account["canTrade"] is not True:
                raise Halt("permission", f"the account at {self._api.url} may not trade (canTrade is false)")
            return {asset: held for asset, held in free.items() if held}

        return self._api.read(self._client.get_account, parse, omitZeroBalances="true")

    def commission_terms(self, symbol: str) -> CommissionTerms:
        """The taker's standard, special and tax commission, and what a discount paid in another asset leaves of it."""
        return self._commissions.terms(symbol)

    def price_of(self, asset: str, symbol: str) -> Decimal | None:
        """The best ask of an asset in the symbol's quote asset; None where there is none."""
        return self._commissions.price(asset, self.assets(symbol)[1])

    def sign(self, symbol: str, side: Side, qty: Decimal, client_order_id: str, now_ms: int) -> SignedOrder:
        """Fix an order's bytes at `now_ms` on the venue's clock."""
        if not CLIENT_ORDER_ID.fullmatch(client_order_id):
            raise ConfigError(f"client order id {client_order_id!r} must match {CLIENT_ORDER_ID.pattern}")
        self.assets(symbol)  # asked now, so that after the sending nothing else can fail
        return SignedOrder(symbol, side, qty, client_order_id, now_ms, self._api.window_ms())

    def send(self, order: SignedOrder) -> OrderAnswer:
        """POST these very bytes, once. No retry, no redirect, no new signature."""
        if (wait_s := self._api.blocked_s()) > 0:
            return OrderAnswer(
                "refused", message=f"not sent: requests are forbidden for {wait_s:.0f} s more", again="later"
            )
        self._client.pinned = order
        try:
            reply = self._api.call(
                self._client.create_order,
                symbol=order.symbol,
                side=order.side,
                type="MARKET",
                quantity=plain(order.qty),
                newClientOrderId=order.client_order_id,
                newOrderRespType="FULL",
            )
        except VenueSilence as nothing:
            if nothing.sent:
                return OrderAnswer("unknown", message=str(nothing))
            return OrderAnswer("refused", message=str(nothing), again="later")
        except VenueRefusal as refused:
            return OrderAnswer(fate(refused), message=str(refused), again=again(refused))
        finally:
            self._client.pinned = None
        return self._accepted(order, reply)

    def _accepted(self, order: SignedOrder, reply: Any) -> OrderAnswer:
        """The order that a reply describes. What it does not say plainly, or what contradicts itself, is looked up, so it is
        unknown."""
        try:
            state = order_state(reply, order.client_order_id)
            reader = self._reader(order.symbol)
            fills = [reader.fill(row, order.side, "tradeId") for row in listed(reply["fills"])]
        except (*UNREADABLE, TraderError) as error:
            return OrderAnswer("unknown", message=f"a reply that cannot be read: {error!r}"[:200])
        if doubt := contradiction(state, fills, order.symbol, order.side, order.qty):
            return OrderAnswer("unknown", message=f"a reply that contradicts itself: {doubt}"[:200])
        return OrderAnswer("accepted", state, fills)

    def check(self, symbol: str, side: Side, qty: Decimal) -> str:
        """POST /order/test: "" if the venue would accept the order, else what it says."""

        def refusal(refused: VenueRefusal) -> str | None:
            return str(refused) if refused.is_final else None

        order = {"symbol": symbol, "side": side, "type": "MARKET", "quantity": plain(qty)}
        return self._api.read(self._client.create_test_order, lambda _: "", refusal, **order)

    def find(self, symbol: str, client_order_id: str) -> OrderState | None:
        """The newest order with this id, None where the venue says -2013."""
        found = self._api.read(
            self._client.get_order,
            lambda reply: [order_state(reply, client_order_id)],
            lambda refused: [] if refused.code == NOT_THERE else None,
            symbol=symbol,
            origClientOrderId=client_order_id,
        )
        return found[0] if found else None

    def open_orders(self, symbol: str) -> list[OrderState]:
        """Orders that can still be filled."""
        return self._api.read(self._client.get_open_orders, states, symbol=symbol)

    def fills(self, symbol: str, order_id: int) -> list[Fill]:
        """The executions of one order, oldest first."""

        reader = self._reader(symbol)

        def parse(row: Reply) -> Fill:
            if row["orderId"] != order_id or type(row["isBuyer"]) is not bool:
                raise ValueError("a trade of another order")
            return reader.fill(row, "BUY" if row["isBuyer"] else "SELL", "id")

        own = {"symbol": symbol, "orderId": order_id}
        return self._all(self._client.get_my_trades, parse, own, lambda row: own | {"fromId": row["id"] + 1})

    def orders(self, symbol: str, since_ms: int | None) -> list[OrderState]:
        """Orders since a time, whoever sent them, oldest first; a list may lag, so those that only a trade shows are asked
        for one by one. Without a time: the newest page."""
        found = {order.order_id: order for order in self._listed(symbol, since_ms)}
        for order_id in sorted({row.order_id for row in self._trades(symbol, since_ms)} - set(found)):
            found[order_id] = self._order(symbol, order_id)
        return [found[order_id] for order_id in sorted(found)]

    def trades(self, symbol: str, since_ms: int) -> list[OwnTrade]:
        """This account's executions since a time, oldest first, whoever ordered them."""
        rows = self._trades(symbol, since_ms)
        names = {o.order_id: o.client_order_id for o in self._listed(symbol, since_ms)} if rows else {}
        for order_id in {row.order_id for row in rows} - set(names):  # of orders that were resting before
            names[order_id] = self._order(symbol, order_id).client_order_id
        return [OwnTrade(names[row.order_id], row.side, row.qty, row.quote_qty) for row in rows]

    def _order(self, symbol: str, order_id: int) -> OrderState:
        def parse(reply: Reply) -> OrderState:
            if reply["orderId"] != order_id:
                raise ValueError("another order")
            return order_state(reply, reply["clientOrderId"])

        return self._api.read(self._client.get_order, parse, symbol=symbol, orderId=order_id)

    def _listed(self, symbol: str, since_ms: int | None) -> list[OrderState]:
        def parse(row: Reply) -> OrderState:
            return order_state(row, row["clientOrderId"])

        def after(row: Reply) -> Reply:
            return {"symbol": symbol, "orderId": row["orderId"] + 1}

        return self._since(self._client.get_all_orders, parse, symbol, since_ms, after)

    def _trades(self, symbol: str, since_ms: int | None) -> list[_Trade]:
        def after(row: Reply) -> Reply:
            return {"symbol": symbol, "fromId": row["id"] + 1}

        return self._since(self._client.get_my_trades, _trade, symbol, since_ms, after)

    def _since(
        self,
        method: Callable[..., Any],
        parse: Callable[[Reply], T],
        symbol: str,
        since_ms: int | None,
        after: Callable[[Reply], Reply],
    ) -> list[T]:
        """A list of the account from a time on, every page of it; without a time its newest page."""
        if since_ms is not None:
            return self._all(method, parse, {"symbol": symbol, "startTime": since_ms}, after)
        return self._api.read(
            method, lambda rows: [parse(row) for row in listed(rows)], symbol=symbol, limit=LIST_PAGE
        )

    def _all(
        self,
        method: Callable[..., Any],
        parse: Callable[[Reply], T],
        first: Reply,
        after: Callable[[Reply], Reply],
    ) -> list[T]:
        """Every page of a list, oldest first; `after` asks for what follows a row. Raises Retry if there is no end."""
        found: list[T] = []
        query = first
        for _ in range(MOST_PAGES):
            page, query = self._api.read(
                method,
                lambda rows: ([parse(row) for row in listed(rows)], after(rows[-1]) if rows else {}),
                limit=LIST_PAGE,
                **query,
            )
            found += page
            if len(page) < LIST_PAGE:
                return found
        raise Retry(f"{self._api.url}: a list has over {MOST_PAGES * LIST_PAGE:,} rows")

    def _reader(self, symbol: str) -> FillReader:
        return self._commissions.reader(symbol, *self.assets(symbol))
