"""An order as it is asked for: what must be there, what must not, and how each parameter has to look."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import cast

from trader.core.types import Side
from trader.exchange.matching import OrderRequest
from trader.exchange.params import RequestParams, missing
from trader.exchange.replies import ApiError
from trader.exchange.venue import Venue

CLIENT_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")
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


def intent_of(venue: Venue, params: RequestParams) -> OrderRequest:
    """Read an order; refuse what is missing, superfluous or malformed, in Binance's words."""
    side = _choice(params, "side", ("BUY", "SELL"), -1117, "Invalid side.")
    kind = _offered_type(params)
    qty, quote_qty, price = (params.decimal(name) for name in ("quantity", "quoteOrderQty", "price"))
    in_force = params.text("timeInForce")
    if in_force not in (None, "GTC", "IOC", "FOK"):
        raise ApiError(-1115, "Invalid timeInForce.")
    if kind == "MARKET":
        _check_market(qty, quote_qty, price, in_force)
    else:
        _check_limit(kind, qty, quote_qty, price, in_force)
    _check_positive(qty=qty, quote_qty=quote_qty, price=price)
    response = _one_of(
        params, "newOrderRespType", RESPONSES, "FULL" if kind in ("MARKET", "LIMIT") else "ACK"
    )
    mode = _one_of(params, "selfTradePreventionMode", SELF_TRADE_MODES, "EXPIRE_MAKER")
    params.integer("strategyId")
    params.integer("strategyType")
    return OrderRequest(
        client_order_id=client_id_of(venue, params),
        side=cast("Side", side),
        type=kind,
        time_in_force=in_force or "GTC",
        qty=qty,
        quote_qty=quote_qty,
        price=price or Decimal(0),
        response=response,
        self_trade_mode=mode,
    )


def _offered_type(params: RequestParams) -> str:
    kind = _choice(
        params, "type", ("LIMIT", "LIMIT_MAKER", "MARKET", *STOP_TYPES), -1116, "Invalid orderType."
    )
    if kind in STOP_TYPES:
        raise ApiError(-2010, STOP_TYPES[kind])
    for name, (code, message) in NOT_OFFERED.items():
        if name in params:
            raise ApiError(code, message)
    return kind


def _one_of(params: RequestParams, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = params.text(name) or default
    if value not in allowed:
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return value


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


def _choice(params: RequestParams, name: str, choices: tuple[str, ...], code: int, message: str) -> str:
    value = params.needed(name)
    if value not in choices:
        raise ApiError(code, message)
    return value


def client_id_of(venue: Venue, params: RequestParams) -> str:
    """The id that the request gives, or one of the exchange's own."""
    given = params.text("newClientOrderId")
    if given is None:
        return own_id(venue)
    if not CLIENT_ID.fullmatch(given):
        raise ApiError(
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        )
    return given


def own_id(venue: Venue, about: int = 0) -> str:
    """An id for an order that came without one: unlike any other, and yet the same when the same is asked again."""
    account = venue.account
    text = f"{account.epoch} {account.accepted + 1} {venue.request_count} {about}"
    return hashlib.sha256(text.encode()).hexdigest()[:22]
