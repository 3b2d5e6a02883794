"""The account: balances to the last unit, and every order and trade of each symbol there ever was, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from heapq import merge
from typing import Any

from trader.core.types import Side
from trader.exchange.replies import ApiError, eight

ZERO = Decimal(0)
OPEN_STATES = ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True)
class VenueTrade:
    """One execution. `price` in quote per base, `qty` in base, `time` in UTC milliseconds."""

    trade_id: int
    order_id: int
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


@dataclass(slots=True)
class VenueOrder:
    """An order the exchange accepted, with all that happened to it."""

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    type: str
    time_in_force: str
    price: Decimal
    orig_qty: Decimal
    quote_order_qty: Decimal
    time: int
    update_time: int
    self_trade_mode: str
    epoch: int = 1
    status: str = "NEW"
    executed_qty: Decimal = ZERO
    cumulative_quote: Decimal = ZERO
    expiry_reason: str = ""
    trades: list[VenueTrade] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled or cancelled."""
        return self.status in OPEN_STATES

    @property
    def remaining(self) -> Decimal:
        """Quantity not executed yet."""
        return self.orig_qty - self.executed_qty


class SymbolOrders:
    """The account's orders in one symbol. Ids of orders and of trades count from 1 in each symbol on its own."""

    def __init__(self, symbol: str, base: str, quote: str) -> None:
        self.symbol, self.base, self.quote = symbol, base, quote
        self.by_id: dict[int, VenueOrder] = {}
        self._open: dict[int, VenueOrder] = {}
        self._by_client_id: dict[str, VenueOrder] = {}
        self.next_order_id = self.next_trade_id = 1

    def clear(self) -> None:
        """Forget every order; ids begin with 1 again."""
        self.by_id.clear()
        self._open.clear()
        self._by_client_id.clear()
        self.next_order_id = self.next_trade_id = 1

    def open_orders(self) -> list[VenueOrder]:
        """Orders that can still be filled, oldest first."""
        for order_id in [order_id for order_id, order in self._open.items() if not order.is_open]:
            del self._open[order_id]
        return list(self._open.values())

    def by_client_id(self, client_order_id: str) -> VenueOrder | None:
        """The newest order that carries this client order id."""
        return self._by_client_id.get(client_order_id)

    def put(self, order: VenueOrder) -> None:
        """Take in a new order, or a later picture of a known one in its place."""
        known = self.by_id.get(order.order_id)
        self.by_id[order.order_id] = self._open[order.order_id] = order
        if known is None or self._by_client_id.get(order.client_order_id) is known:
            self._by_client_id[order.client_order_id] = order
        self.next_order_id = max(self.next_order_id, order.order_id + 1)
        for trade in order.trades:
            self.next_trade_id = max(self.next_trade_id, trade.trade_id + 1)


class Account:
    """Balances by asset and orders by symbol. Amounts are Decimal; `locked` backs the open LIMIT orders.

    symbols: name, base and quote of each traded symbol. `accepted` counts the orders since the last reset.
    """

    def __init__(self, symbols: Iterable[tuple[str, str, str]], balances: Mapping[str, Decimal]) -> None:
        self.orders = {name: SymbolOrders(name, base, quote) for name, base, quote in symbols}
        self._initial = {asset: Decimal(amount) for asset, amount in balances.items()}
        self.free: dict[str, Decimal] = {}
        self.locked: dict[str, Decimal] = {}
        self.history: dict[tuple[int, str, int], VenueOrder] = {}
        self.epoch = self.accepted = 0
        self.update_time = 0
        self.reset()

    def reset(self) -> None:
        """What a testnet does once a month: fresh balances, no orders, ids from 1. The history is only ours."""
        self.epoch += 1
        self.accepted = 0
        assets = (asset for orders in self.orders.values() for asset in (orders.base, orders.quote))
        self.free = {**dict.fromkeys(assets, ZERO), **self._initial}
        self.locked = dict.fromkeys(self.free, ZERO)
        for orders in self.orders.values():
            orders.clear()

    def open_orders(self) -> list[VenueOrder]:
        """Orders of every symbol that can still be filled, oldest first."""
        return list(merge(*(it.open_orders() for it in self.orders.values()), key=lambda order: order.time))

    def total(self, asset: str) -> Decimal:
        """Free and locked together."""
        return self.free.get(asset, ZERO) + self.locked.get(asset, ZERO)

    def need(self, asset: str, amount: Decimal) -> None:
        """Refuse what the free balance does not cover."""
        if self.free.get(asset, ZERO) < amount:
            raise ApiError(-2010, "Account has insufficient balance for requested action.")

    def lock(self, asset: str, amount: Decimal) -> None:
        """Set money aside for an open order (a negative amount gives it back)."""
        self.free[asset] -= amount
        self.locked[asset] += amount

    def add(self, asset: str, amount: Decimal) -> None:
        """Change a free balance from outside, as a deposit or a withdrawal does; never below zero."""
        self.free[asset] = max(ZERO, self.free.get(asset, ZERO) + amount)
        self.locked.setdefault(asset, ZERO)

    def put(self, order: VenueOrder) -> None:
        """Take in a new order, or a later picture of a known one in its place."""
        orders = self.orders[order.symbol]
        self.accepted += order.order_id not in orders.by_id
        orders.put(order)
        self.history[order.epoch, order.symbol, order.order_id] = order

    def book_trade(self, order: VenueOrder, trade: VenueTrade) -> None:
        """Book one execution: pay from the free balance, receive, pay the commission in the asset that the trade names."""
        orders, amount = self.orders[order.symbol], trade.price * trade.qty
        paid, given = (orders.quote, amount) if trade.is_buyer else (orders.base, trade.qty)
        received, gained = (orders.base, trade.qty) if trade.is_buyer else (orders.quote, amount)
        self.free[paid] -= given
        self.free[received] += gained
        self.free[trade.commission_asset] -= trade.commission
        order.trades.append(trade)
        order.executed_qty += trade.qty
        order.cumulative_quote += amount
        order.update_time = self.update_time = trade.time
        orders.next_trade_id = trade.trade_id + 1

    def balances_json(self, omit_zero: bool = False) -> list[dict[str, str]]:
        """The account's balances as `/api/v3/account` lists them."""
        return [
            {"asset": asset, "free": eight(self.free[asset]), "locked": eight(self.locked[asset])}
            for asset in self.free
            if not omit_zero or self.total(asset)
        ]


def order_to_json(order: VenueOrder) -> dict[str, Any]:
    """An order as the state file keeps it."""
    return _plain(asdict(order))  # type: ignore[no-any-return]  # of a dict it makes a dict


def order_from_json(raw: Mapping[str, Any]) -> VenueOrder:
    """The order that `order_to_json` wrote."""
    trades = [
        VenueTrade(**{**t, **{name: Decimal(t[name]) for name in ("price", "qty", "commission")}})
        for t in raw["trades"]
    ]
    money = ("price", "orig_qty", "quote_order_qty", "executed_qty", "cumulative_quote")
    return VenueOrder(**{**raw, **{name: Decimal(raw[name]) for name in money}, "trades": trades})


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
