"""The signed reads of `/api/v3`: account, orders and trades of the past, limits, commission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from trader.core.types import DAY_MS
from trader.exchange.account import VenueTrade
from trader.exchange.filters import ZERO
from trader.exchange.order_api import discount, order_row
from trader.exchange.params import RequestParams
from trader.exchange.public_api import need_symbol
from trader.exchange.replies import ApiError, eight
from trader.exchange.venue import ApiCall, Venue

PAGE_DEFAULT, PAGE_MAX = 500, 1000
T = TypeVar("T")


def account(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /account."""
    rate = eight(venue.config.costs.fee_rate)
    points = int(venue.config.costs.fee_rate * 10_000)
    nothing = eight(ZERO)
    return {
        "makerCommission": points,
        "takerCommission": points,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": rate, "taker": rate, "buyer": nothing, "seller": nothing},
        "canTrade": not call.plan.has("no_trade"),
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": venue.account.update_time,
        "accountType": "SPOT",
        "balances": venue.account.balances_json(call.params.flag("omitZeroBalances", False)),
        "permissions": ["SPOT"],
        "uid": 1,
    }


def all_orders(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """GET /allOrders: from an order id on, or by time."""
    params = call.params
    known = need_symbol(venue, params).orders.by_id.values()
    from_id, span = params.integer("orderId"), _span(params)
    limit = params.limit(PAGE_DEFAULT, PAGE_MAX)
    orders = [order for order in known if venue.sees(order, call)]
    if from_id is not None:
        return [order_row(order) for order in orders if order.order_id >= from_id][:limit]
    return [order_row(order) for order in _page(orders, lambda order: order.time, span, limit)]


def my_trades(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """GET /myTrades: of one order, from a trade id on, or by time."""
    params = call.params
    known = need_symbol(venue, params).orders.by_id
    order_id, from_id = params.integer("orderId"), params.integer("fromId")
    span, limit = _span(params), params.limit(PAGE_DEFAULT, PAGE_MAX)
    if span != (None, None) and (order_id is not None or from_id is not None):
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    asked = known.values() if order_id is None else [known.get(order_id)]
    seen = [order for order in asked if order is not None and venue.sees(order, call)]
    trades = sorted((trade for order in seen for trade in order.trades), key=lambda trade: trade.trade_id)
    if from_id is not None:
        chosen = [trade for trade in trades if trade.trade_id >= from_id][:limit]
    else:
        chosen = _page(trades, lambda trade: trade.time, span, limit)
    symbol = params.needed("symbol")
    return [trade_row(symbol, trade) for trade in chosen]


def order_limits(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """GET /rateLimit/order."""
    counts = venue.limiter.order_counts(call.now_ms)
    rows = venue.limiter.limits.orders_json()
    return [{**row, "count": count} for row, count in zip(rows, counts, strict=True)]


def commission_rates(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /account/commission."""
    symbol = need_symbol(venue, call.params).symbol
    rate, nothing = eight(venue.config.costs.fee_rate), eight(ZERO)
    free = {"maker": nothing, "taker": nothing, "buyer": nothing, "seller": nothing}
    return {
        "symbol": symbol,
        "standardCommission": {**free, "maker": rate, "taker": rate},
        "specialCommission": free,
        "taxCommission": free,
        "discount": discount(venue),
    }


def my_filters(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /myFilters: the symbol's filters; no limit hangs on the account or on an asset."""
    row, _ = need_symbol(venue, call.params).row_for(call.plan)
    return {"exchangeFilters": [], "symbolFilters": row["filters"], "assetFilters": []}


def trade_row(symbol: str, trade: VenueTrade) -> dict[str, Any]:
    """A trade as /myTrades tells it."""
    return {
        "symbol": symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": eight(trade.price),
        "qty": eight(trade.qty),
        "quoteQty": eight(trade.price * trade.qty),
        "commission": eight(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time,
        "isBuyer": trade.is_buyer,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def _span(params: RequestParams) -> tuple[int | None, int | None]:
    start, end = params.moment("startTime"), params.moment("endTime")
    if start is not None and end is not None:
        if start > end:
            raise ApiError(-1023, "Start time is greater than end time.")
        if end - start > DAY_MS:
            raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return start, end


def _page(
    items: list[T], time_of: Callable[[T], int], span: tuple[int | None, int | None], limit: int
) -> list[T]:
    """Oldest first. With a start the oldest from there, without it the newest up to the end."""
    start, end = span
    chosen = [
        item for item in items if (end is None or time_of(item) <= end) and (start or 0) <= time_of(item)
    ]
    return chosen[-limit:] if start is None else chosen[:limit]
