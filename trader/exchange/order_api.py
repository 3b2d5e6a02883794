"""Orders: what is done at their endpoints, and how an order is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from trader.exchange.account import SymbolOrders, VenueOrder, VenueTrade
from trader.exchange.filters import SymbolFilters
from trader.exchange.instruments import Instrument
from trader.exchange.intents import client_id_of, intent_of, own_id
from trader.exchange.params import check_timing
from trader.exchange.public_api import need_symbol
from trader.exchange.replies import ApiError, Reply, eight
from trader.exchange.venue import ApiCall, Venue

# What Binance leaves of the commission of those who pay in BNB.
USUAL_MULTIPLIER = Decimal("0.75")
CANCEL_RESTRICTIONS = {None: None, "ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}


def new_order(venue: Venue, call: ApiCall) -> dict[str, Any] | Reply:
    """POST /order."""
    intent = intent_of(venue, call.params)
    instrument, rules = _tradable(venue, call)
    instrument.matching.check(intent, rules, call.now_ms, call.plan.book)
    # What a filter refuses is not counted as an order; what the late check below refuses is.
    venue.limiter.admit_order(call.now_ms)
    # Binance looks at the timestamp again right before the engine: a request that was held up is too late here.
    check_timing(call.params, call.now_ms)
    if call.plan.has("late_commit"):
        venue.hold_back(instrument, intent, rules, call.plan, call.now_ms)
        return Reply(ending="silence")
    order = venue.place(instrument, intent, rules, call.plan.book, call.now_ms)
    return _placed(order, intent.response)


def test_order(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """POST /order/test: every check of an order, and no order."""
    with_rates = call.params.flag("computeCommissionRates", False)
    intent = intent_of(venue, call.params)
    instrument, rules = _tradable(venue, call)
    instrument.matching.check(intent, rules, call.now_ms, call.plan.book)
    if not with_rates:
        return {}
    rate = eight(venue.config.costs.fee_rate)
    nothing = {"maker": eight(Decimal(0)), "taker": eight(Decimal(0))}
    return {
        "standardCommissionForOrder": {"maker": rate, "taker": rate},
        "specialCommissionForOrder": nothing,
        "taxCommissionForOrder": nothing,
        "discount": discount(venue),
    }


def discount(venue: Venue) -> dict[str, Any]:
    """The discount on the standard commission as Binance tells it: a multiplier, said whether it is switched on or not."""
    fee = venue.config.fee_asset
    return {
        "enabledForAccount": fee is not None,
        "enabledForSymbol": fee is not None,
        "discountAsset": "BNB" if fee is None else fee.name,
        "discount": eight(USUAL_MULTIPLIER if fee is None else 1 - fee.discount),
    }


def query_order(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """GET /order by orderId or origClientOrderId; the id finds the newest order that carries it."""
    order = _named(need_symbol(venue, call.params).orders, venue, call, -2013, "Order does not exist.")
    return order_row(order)


def cancel_order(venue: Venue, call: ApiCall) -> dict[str, Any]:
    """DELETE /order."""
    params = call.params
    orders = need_symbol(venue, params).orders
    new_id = client_id_of(venue, params)
    restriction = params.text("cancelRestrictions")
    if restriction not in CANCEL_RESTRICTIONS:
        raise ApiError(-1145, "cancelRestrictions has to be either ONLY_NEW or ONLY_PARTIALLY_FILLED.")
    order = _named(orders, venue, call, -2011, "Unknown order sent.")
    check_timing(params, call.now_ms)
    if not order.is_open:
        raise ApiError(-2011, "Unknown order sent.")
    if restriction and order.status != CANCEL_RESTRICTIONS[restriction]:
        raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
    return _cancel(venue, call, order, new_id)


def cancel_all(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """DELETE /openOrders."""
    orders = need_symbol(venue, call.params).orders.open_orders()
    if not orders:
        raise ApiError(-2011, "Unknown order sent.")
    return [_cancel(venue, call, order, own_id(venue, order.order_id)) for order in orders]


def open_orders(venue: Venue, call: ApiCall) -> list[dict[str, Any]]:
    """GET /openOrders: of the symbol that is named, or of all."""
    known = need_symbol(venue, call.params).orders if "symbol" in call.params else venue.account
    return [order_row(order) for order in known.open_orders() if venue.sees(order, call)]


def order_row(order: VenueOrder) -> dict[str, Any]:
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


def fill_row(trade: VenueTrade) -> dict[str, Any]:
    """A fill as a FULL reply tells it."""
    return {
        "price": eight(trade.price),
        "qty": eight(trade.qty),
        "commission": eight(trade.commission),
        "commissionAsset": trade.commission_asset,
        "tradeId": trade.trade_id,
    }


def _amounts(order: VenueOrder) -> dict[str, Any]:
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


def _placed(order: VenueOrder, response: str) -> dict[str, Any]:
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


def _cancel(venue: Venue, call: ApiCall, order: VenueOrder, new_id: str) -> dict[str, Any]:
    venue.instruments[order.symbol].matching.cancel(order, call.now_ms)
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


def _named(orders: SymbolOrders, venue: Venue, call: ApiCall, code: int, message: str) -> VenueOrder:
    order_id, client_id = call.params.integer("orderId"), call.params.text("origClientOrderId")
    if order_id is None and client_id is None:
        raise ApiError(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    order = orders.by_client_id(client_id or "") if order_id is None else orders.by_id.get(order_id)
    if order is None or not venue.sees(order, call):
        raise ApiError(code, message)
    if client_id is not None and order.client_order_id != client_id:
        raise ApiError(-2039, "Client order ID is not correct for this order ID.")
    return order


def _tradable(venue: Venue, call: ApiCall) -> tuple[Instrument, SymbolFilters]:
    """The symbol of an order and its rules. Raises ApiError for strays among the parameters, and where it does not trade."""
    instrument = need_symbol(venue, call.params)
    call.params.finish()
    row, rules = instrument.row_for(call.plan)
    if row["status"] == "BREAK":
        raise ApiError(-1013, "Market is closed.")
    if row["status"] != "TRADING":
        raise ApiError(-2010, "This order type is not possible in this trading phase.")
    return instrument, rules
