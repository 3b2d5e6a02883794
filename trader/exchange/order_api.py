"""Orders: what a request must look like, what is done, and how an order is told."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Any, cast

from trader.core.types import Side
from trader.exchange.account import Order, Trade
from trader.exchange.matching import Intent
from trader.exchange.params import Params, check_timing, missing
from trader.exchange.public_api import need_symbol
from trader.exchange.replies import ApiError, Reply, eight
from trader.exchange.venue import Call, Venue

CLIENT_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")
CANCEL_RESTRICTIONS = {None: None, "ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}
# Orders of kinds that exchangeInfo says are not offered, each with its refusal.
NOT_OFFERED = {
    "icebergQty": (-2010, "Iceberg orders are not supported for this symbol."),
    "stopPrice": (-1106, "Parameter 'stopPrice' sent when not required."),
    "trailingDelta": (-1106, "Parameter 'trailingDelta' sent when not required."),
    "pegPriceType": (-1211, "Pegged orders are not supported for this symbol."),
}
STOP_TYPES = {
    "STOP_LOSS": "Stop loss orders are not supported for this symbol.",
    "STOP_LOSS_LIMIT": "Stop loss limit orders are not supported for this symbol.",
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}
SELF_TRADE_MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
RESPONSES = ("ACK", "RESULT", "FULL")


def new_order(venue: Venue, call: Call) -> dict[str, Any] | Reply:
    """POST /order."""
    intent = _intent(venue, call.params)
    _finish(venue, call)
    venue.matching.check(intent, call.rules, call.now_ms, call.plan.book)
    # What a filter refuses is not counted as an order; what the late check below refuses is.
    venue.limiter.admit_order(call.now_ms)
    # Binance looks at the timestamp again right before the engine: a request that was held up is too late here.
    check_timing(call.params, call.now_ms)
    if call.plan.has("late_commit"):
        venue.hold_back(intent, call.rules, call.plan, call.now_ms)
        return Reply(ending="silence")
    order = venue.place(intent, call.rules, call.plan.book, call.now_ms)
    return _placed(order, intent.response)


def test_order(venue: Venue, call: Call) -> dict[str, Any]:
    """POST /order/test: every check of an order, and no order."""
    with_rates = call.params.flag("computeCommissionRates", False)
    intent = _intent(venue, call.params)
    _finish(venue, call)
    venue.matching.check(intent, call.rules, call.now_ms, call.plan.book)
    if not with_rates:
        return {}
    rate = eight(venue.config.costs.fee_rate)
    nothing = {"maker": eight(Decimal(0)), "taker": eight(Decimal(0))}
    return {
        "standardCommissionForOrder": {"maker": rate, "taker": rate},
        "specialCommissionForOrder": nothing,
        "taxCommissionForOrder": nothing,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": "0",
        },
    }


def query_order(venue: Venue, call: Call) -> dict[str, Any]:
    """GET /order by orderId or origClientOrderId; the id finds the newest order that carries it."""
    need_symbol(venue, call.params)
    order = _named(venue, call, -2013, "Order does not exist.")
    return order_row(order)


def cancel_order(venue: Venue, call: Call) -> dict[str, Any]:
    """DELETE /order."""
    params = call.params
    need_symbol(venue, params)
    new_id = _client_id(venue, params)
    restriction = params.text("cancelRestrictions")
    if restriction not in CANCEL_RESTRICTIONS:
        raise ApiError(-1145, "cancelRestrictions has to be either ONLY_NEW or ONLY_PARTIALLY_FILLED.")
    order = _named(venue, call, -2011, "Unknown order sent.")
    check_timing(params, call.now_ms)
    if not order.is_open:
        raise ApiError(-2011, "Unknown order sent.")
    if restriction and order.status != CANCEL_RESTRICTIONS[restriction]:
        raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
    return _cancel(venue, call, order, new_id)


def cancel_all(venue: Venue, call: Call) -> list[dict[str, Any]]:
    """DELETE /openOrders."""
    need_symbol(venue, call.params)
    orders = venue.account.open_orders()
    if not orders:
        raise ApiError(-2011, "Unknown order sent.")
    return [_cancel(venue, call, order, _own_id(venue, order.order_id)) for order in orders]


def open_orders(venue: Venue, call: Call) -> list[dict[str, Any]]:
    """GET /openOrders."""
    if "symbol" in call.params:
        need_symbol(venue, call.params)
    return [order_row(order) for order in venue.account.open_orders() if venue.sees(order, call)]


def order_row(order: Order) -> dict[str, Any]:
    """An order as GET /order, /openOrders and /allOrders tell it."""
    row = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        **_amounts(order),
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": order.time,
        "updateTime": order.update_time,
        "isWorking": True,
        "workingTime": order.time,
        "selfTradePreventionMode": order.self_trade_mode,
    }
    return {**row, "expiryReason": order.expiry_reason} if order.expiry_reason else row


def fill_row(trade: Trade) -> dict[str, Any]:
    """A fill as a FULL reply tells it."""
    return {
        "price": eight(trade.price),
        "qty": eight(trade.qty),
        "commission": eight(trade.commission),
        "commissionAsset": trade.commission_asset,
        "tradeId": trade.trade_id,
    }


def _amounts(order: Order) -> dict[str, Any]:
    return {
        "price": eight(order.price),
        "origQty": eight(order.orig_qty),
        "executedQty": eight(order.executed_qty),
        "origQuoteOrderQty": eight(order.quote_order_qty),
        "cummulativeQuoteQty": eight(order.cumulative_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }


def _placed(order: Order, response: str) -> dict[str, Any]:
    reply: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.time,
    }
    if response == "ACK":
        return reply
    reply |= {**_amounts(order), "workingTime": order.time}
    if response == "FULL":
        reply["fills"] = [fill_row(trade) for trade in order.trades]
    reply["selfTradePreventionMode"] = order.self_trade_mode
    return {**reply, "expiryReason": order.expiry_reason} if order.expiry_reason else reply


def _cancel(venue: Venue, call: Call, order: Order, new_id: str) -> dict[str, Any]:
    venue.matching.cancel(order, call.now_ms)
    venue.save("cancel", call.now_ms, [order])
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": new_id,
        "transactTime": call.now_ms,
        **_amounts(order),
        "selfTradePreventionMode": order.self_trade_mode,
    }


def _named(venue: Venue, call: Call, code: int, message: str) -> Order:
    order_id, client_id = call.params.integer("orderId"), call.params.text("origClientOrderId")
    if order_id is None and client_id is None:
        raise ApiError(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    account = venue.account
    order = account.by_client_id(client_id or "") if order_id is None else account.orders.get(order_id)
    if order is None or not venue.sees(order, call):
        raise ApiError(code, message)
    if client_id is not None and order.client_order_id != client_id:
        raise ApiError(-2039, "Client order ID is not correct for this order ID.")
    return order


def _finish(venue: Venue, call: Call) -> None:
    """The symbol, strays among the parameters, and whether the symbol trades at all."""
    need_symbol(venue, call.params)
    call.params.finish()
    if call.symbol_row["status"] != "TRADING":
        raise ApiError(-2010, "This order type is not possible in this trading phase.")


def _intent(venue: Venue, params: Params) -> Intent:
    """Read an order; refuse what is missing, superfluous or malformed, in Binance's words."""
    side = _choice(params, "side", ("BUY", "SELL"), -1117, "Invalid side.")
    kind = _choice(
        params, "type", ("LIMIT", "LIMIT_MAKER", "MARKET", *STOP_TYPES), -1116, "Invalid orderType."
    )
    if kind in STOP_TYPES:
        raise ApiError(-2010, STOP_TYPES[kind])
    for name, (code, message) in NOT_OFFERED.items():
        if name in params:
            raise ApiError(code, message)
    qty, quote_qty, price = (params.decimal(name) for name in ("quantity", "quoteOrderQty", "price"))
    in_force = params.text("timeInForce")
    if in_force not in (None, "GTC", "IOC", "FOK"):
        raise ApiError(-1115, "Invalid timeInForce.")
    if kind == "MARKET":
        _check_market(qty, quote_qty, price, in_force)
    else:
        _check_limit(kind, qty, quote_qty, price, in_force)
    _check_positive(qty=qty, quote_qty=quote_qty, price=price)
    mode = params.text("selfTradePreventionMode") or "EXPIRE_MAKER"
    response = params.text("newOrderRespType") or ("FULL" if kind in ("MARKET", "LIMIT") else "ACK")
    if mode not in SELF_TRADE_MODES or response not in RESPONSES:
        name = "newOrderRespType" if response not in RESPONSES else "selfTradePreventionMode"
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    params.integer("strategyId")
    params.integer("strategyType")
    return Intent(
        client_order_id=_client_id(venue, params),
        side=cast("Side", side),
        type=kind,
        time_in_force=in_force or "GTC",
        qty=qty,
        quote_qty=quote_qty,
        price=price or Decimal(0),
        response=response,
        self_trade_mode=mode,
    )


def _check_market(
    qty: Decimal | None, quote_qty: Decimal | None, price: Decimal | None, in_force: str | None
) -> None:
    for name, value in (("timeInForce", in_force), ("price", price)):
        if value is not None:
            raise ApiError(-1106, f"Parameter '{name}' sent when not required.")
    if qty is None and quote_qty is None:
        raise ApiError(-1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")
    if qty is not None and quote_qty is not None:
        raise ApiError(-1128, "Combination of optional parameters invalid.")


def _check_limit(
    kind: str, qty: Decimal | None, quote_qty: Decimal | None, price: Decimal | None, in_force: str | None
) -> None:
    if quote_qty is not None:
        raise ApiError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
    if kind == "LIMIT_MAKER" and in_force is not None:
        raise ApiError(-1106, "Parameter 'timeInForce' sent when not required.")
    if kind == "LIMIT" and in_force is None:
        raise missing("timeInForce")
    for name, value in (("quantity", qty), ("price", price)):
        if value is None:
            raise missing(name)


def _check_positive(qty: Decimal | None, quote_qty: Decimal | None, price: Decimal | None) -> None:
    for name, value in (("quantity", qty), ("quote order qty", quote_qty), ("price", price)):
        if value is not None and value <= 0:
            raise ApiError(-1013, f"Invalid {name}.")


def _choice(params: Params, name: str, choices: tuple[str, ...], code: int, message: str) -> str:
    value = params.needed(name)
    if value not in choices:
        raise ApiError(code, message)
    return value


def _client_id(venue: Venue, params: Params) -> str:
    given = params.text("newClientOrderId")
    if given is None:
        return _own_id(venue)
    if not CLIENT_ID.fullmatch(given):
        raise ApiError(
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        )
    return given


def _own_id(venue: Venue, about: int = 0) -> str:
    """An id for an order that came without one: unlike any other, and yet the same when the same is asked again."""
    account = venue.account
    text = f"{account.epoch} {account.next_order_id} {venue.request_count} {about}"
    return hashlib.sha256(text.encode()).hexdigest()[:22]
