"""Matching: one price an hour, a book that is infinite unless it was made thin, and limits that may wait.

A MARKET order fills at once at `core.costs.fill_price`. A LIMIT order that crosses the quote does the same, never
worse than its limit; what is left of a GTC order rests (`resting.py` says when it is filled).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.core.costs import asset_charged, commission, floor_to, value_charged
from trader.core.types import HOUR_MS, Side
from trader.exchange.account import Account, SymbolOrders, VenueOrder, VenueTrade
from trader.exchange.filters import CheckedOrder, SymbolFilters
from trader.exchange.market import Market
from trader.exchange.replies import EIGHT, ApiError

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Book:
    """How much of an order the book takes. `share` of the order's quantity and `base` in base bound it together;
    the execution comes in `fills` parts, each one tick worse than the one before."""

    share: Decimal | None = None
    base: Decimal | None = None
    fills: int = 1

    def takes(self, qty: Decimal, step: Decimal) -> Decimal:
        """The quantity that finds a counterparty, on the step."""
        most = qty if self.share is None else qty * self.share
        most = most if self.base is None else min(most, self.base)
        return floor_to(most, step) if step else most

    def parts(self, qty: Decimal, step: Decimal) -> list[Decimal]:
        """The quantity in as many parts as there are fills, on the step; fewer where it is too small for that."""
        each = floor_to(qty / self.fills, step or EIGHT)
        if self.fills == 1 or not each:
            return [qty] if qty else []
        return [each] * (self.fills - 1) + [qty - each * (self.fills - 1)]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for, its syntax already checked."""

    client_order_id: str
    side: Side
    type: str
    time_in_force: str
    qty: Decimal | None
    quote_qty: Decimal | None
    price: Decimal
    response: str
    self_trade_mode: str

    @property
    def is_market(self) -> bool:
        """Whether it takes whatever price there is."""
        return self.type == "MARKET"


@dataclass(frozen=True, slots=True)
class FeeAsset:
    """A third asset that commission is taken in while its stock lasts, `discount` (a share) cheaper. price: in quote, the same
    at all times."""

    name: str
    discount: Decimal
    price: Decimal = Decimal(1)


class Matching:
    """Places, fills and cancels the account's orders in one symbol."""

    def __init__(
        self,
        market: Market,
        account: Account,
        orders: SymbolOrders,
        fee_rate: Decimal,
        fee_asset: FeeAsset | None = None,
    ) -> None:
        self._market, self._account, self._orders = market, account, orders
        self._fee_rate, self._fee_asset = fee_rate, fee_asset

    def check(self, intent: OrderRequest, rules: SymbolFilters, now_ms: int, book: Book) -> Decimal:
        """Everything that can refuse an order, without touching anything; returns its quantity in base."""
        price = self._market.market_price(intent.side, now_ms) if intent.is_market else intent.price
        qty = self._quantity(intent, rules, price)
        open_orders = self._orders.open_orders()
        rules.check(
            CheckedOrder(
                side=intent.side,
                is_market=intent.is_market,
                qty=qty,
                price=price,
                last_price=self._market.last_price(now_ms),
                open_orders=len(open_orders),
                base_held=self._account.total(self._orders.base)
                + sum((o.remaining for o in open_orders if o.side == "BUY"), ZERO),
            )
        )
        if any(order.client_order_id == intent.client_order_id for order in open_orders):
            raise ApiError(-2010, "Duplicate order sent.")
        if intent.type == "LIMIT_MAKER" and self._crosses(intent.side, intent.price, now_ms):
            raise ApiError(-2010, "Order would immediately match and take.")
        self._need_funds(intent, qty, price, book)
        if intent.quote_qty is not None and book.takes(qty, rules.step) < rules.value("LOT_SIZE", "minQty"):
            raise ApiError(-2010, "Order book liquidity is less than LOT_SIZE filter minimum quantity.")
        return qty

    def _need_funds(self, intent: OrderRequest, qty: Decimal, price: Decimal, book: Book) -> None:
        if intent.side == "SELL":
            self._account.need(self._orders.base, qty)
            return
        worst = self._worst(intent.side, price, book) if intent.is_market else price
        self._account.need(self._orders.quote, max(qty * worst, intent.quote_qty or ZERO))

    def _quantity(self, intent: OrderRequest, rules: SymbolFilters, price: Decimal) -> Decimal:
        if intent.qty is not None:
            return intent.qty
        wanted = (intent.quote_qty or ZERO) / price
        return floor_to(wanted, rules.step or EIGHT)

    def _worst(self, side: Side, price: Decimal, book: Book) -> Decimal:
        ticks = self._market.tick * (book.fills - 1)
        return price + ticks if side == "BUY" else price - ticks

    def place(self, intent: OrderRequest, rules: SymbolFilters, now_ms: int, book: Book) -> VenueOrder:
        """Commit an order: check it, book it, fill what can be filled now."""
        qty = self.check(intent, rules, now_ms, book)
        order = VenueOrder(
            order_id=self._orders.next_order_id,
            client_order_id=intent.client_order_id,
            symbol=self._orders.symbol,
            side=intent.side,
            type=intent.type,
            time_in_force=intent.time_in_force,
            price=ZERO if intent.is_market else intent.price,
            orig_qty=qty,
            quote_order_qty=intent.quote_qty or ZERO,
            time=now_ms,
            update_time=now_ms,
            self_trade_mode=intent.self_trade_mode,
            epoch=self._account.epoch,
        )
        self._account.put(order)
        if intent.is_market:
            self._take(order, self._market.market_price(order.side, now_ms), now_ms, book, rules)
            self._finish(order, "INSUFFICIENT_LIQUIDITY")
        else:
            self._place_limit(order, now_ms, book, rules)
        return order

    def _place_limit(self, order: VenueOrder, now_ms: int, book: Book, rules: SymbolFilters) -> None:
        if self._crosses(order.side, order.price, now_ms):
            enough = book.takes(order.orig_qty, rules.step) == order.orig_qty
            if order.time_in_force != "FOK" or enough:
                market = self._market.market_price(order.side, now_ms)
                bounded = min(market, order.price) if order.side == "BUY" else max(market, order.price)
                self._take(order, bounded, now_ms, book, rules)
        if order.time_in_force == "IOC":
            self._finish(order, "UNFILLED_IOC_QUANTITY_EXPIRED")
        elif order.time_in_force == "FOK":
            self._finish(order, "UNFILLED_FOK_ORDER_EXPIRED")
        elif not order.remaining:
            self._finish(order, "")
        else:
            order.status = "PARTIALLY_FILLED" if order.executed_qty else "NEW"
            self._lock(order, 1)

    def _crosses(self, side: Side, price: Decimal, now_ms: int) -> bool:
        quote = self._market.quote(now_ms)
        return price >= quote.ask if side == "BUY" else price <= quote.bid

    def _take(self, order: VenueOrder, price: Decimal, now_ms: int, book: Book, rules: SymbolFilters) -> None:
        worse = self._market.tick if order.side == "BUY" else -self._market.tick
        for part in book.parts(book.takes(order.orig_qty, rules.step), rules.step):
            if order.type != "MARKET":
                price = min(price, order.price) if order.side == "BUY" else max(price, order.price)
            self._fill(order, part, price, now_ms, is_maker=False)
            price += worse

    def _fill(self, order: VenueOrder, qty: Decimal, price: Decimal, time_ms: int, is_maker: bool) -> None:
        charged, asset = self._commission(order.side, qty, price)
        trade = VenueTrade(
            trade_id=self._orders.next_trade_id,
            order_id=order.order_id,
            price=price,
            qty=qty,
            commission=charged,
            commission_asset=asset,
            time=time_ms,
            is_buyer=order.side == "BUY",
            is_maker=is_maker,
        )
        self._account.book_trade(order, trade)

    def _commission(self, side: Side, qty: Decimal, price: Decimal) -> tuple[Decimal, str]:
        """What an execution is charged, and in which asset: the fee asset if its free stock covers the whole of it, as
        Binance does, else what is received."""
        fee = self._fee_asset
        if fee is not None:
            value = value_charged(qty * price, self._fee_rate * (1 - fee.discount))
            amount = asset_charged(value, fee.price)
            if amount <= self._account.free.get(fee.name, ZERO):
                return amount, fee.name
        received = self._orders.base if side == "BUY" else self._orders.quote
        return commission(side, qty, price, self._fee_rate), received

    def _finish(self, order: VenueOrder, reason: str) -> None:
        filled = not order.remaining
        order.status = "FILLED" if filled else "EXPIRED"
        order.expiry_reason = "" if filled else reason

    def _lock(self, order: VenueOrder, sign: int) -> None:
        if order.side == "BUY":
            self._account.lock(self._orders.quote, sign * order.remaining * order.price)
        else:
            self._account.lock(self._orders.base, sign * order.remaining)

    def cancel(self, order: VenueOrder, now_ms: int) -> None:
        """Take an open order off the book and give back what was locked for it."""
        self._lock(order, -1)
        order.status, order.update_time = "CANCELED", now_ms

    def fill_resting(self, order: VenueOrder, time_ms: int) -> None:
        """Fill an open order whole, at its own price, as maker."""
        self._lock(order, -1)
        self._fill(order, order.remaining, order.price, time_ms, is_maker=True)
        self._finish(order, "")

    def is_reached(self, order: VenueOrder, open_time: int) -> bool:
        """Whether the hour that opened then went through an open order's price, or the next one opens at or beyond it."""
        span = self._market.range_of_hour(open_time)
        if span and (span[0] < order.price if order.side == "BUY" else span[1] > order.price):
            return True
        following = open_time + HOUR_MS
        return self._market.is_open(following) and self._crosses(order.side, order.price, following)
