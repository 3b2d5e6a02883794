"""A Binance reply, read strictly: money comes as decimals in text, ids and times as whole numbers, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from trader.core.ports import OrderState

Reply = Mapping[str, Any]

AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
# A reply that lacks what it must hold, or holds it in another shape.
UNREADABLE = (KeyError, IndexError, TypeError, ValueError, ArithmeticError, AttributeError)


def whole(value: Any) -> int:
    """A JSON number without a fraction. Raises TypeError."""
    if type(value) is not int:
        raise TypeError(f"{value!r:.40} is not a whole number")
    return value


def is_moment(value: int) -> bool:
    """True for UTC milliseconds between the years 2000 and 2100; other units lie outside."""
    return 946_684_800_000 <= value < 4_102_444_800_000


def moment(value: Any) -> int:
    """A time in UTC milliseconds. Raises TypeError, ValueError."""
    if not is_moment(whole(value)):
        raise ValueError(f"{value} is no time in milliseconds")
    return whole(value)


def listed(value: Any) -> list[Any]:
    """A JSON array. Raises TypeError."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.40} is not a list")
    return value


def states(rows: Any) -> list[OrderState]:
    """A list of orders. Raises one of UNREADABLE."""
    return [order_state(row, row["clientOrderId"]) for row in listed(rows)]


def order_state(reply: Reply, client_order_id: str) -> OrderState:
    """The order that was asked for by this id. Raises one of UNREADABLE, also for another order."""
    if reply["side"] not in ("BUY", "SELL") or reply["clientOrderId"] != client_order_id:
        raise ValueError(f"not order {client_order_id}")
    return OrderState(
        client_order_id=text(reply["clientOrderId"]),
        order_id=whole(reply["orderId"]),
        status=text(reply["status"]),
        side="BUY" if reply["side"] == "BUY" else "SELL",
        executed_qty=amount(reply["executedQty"]),
        quote_qty=amount(reply["cummulativeQuoteQty"]),
        transact_ms=moment(reply["transactTime"] if "transactTime" in reply else reply["time"]),
        symbol=text(reply["symbol"]),
        type=text(reply["type"]),
        orig_qty=amount(reply["origQty"]),
    )


def amount(value: Any) -> Decimal:
    """Money and quantities come as decimals in text, never as floats. Raises TypeError, ValueError."""
    if not AMOUNT.fullmatch(text(value)):
        raise ValueError(f"{value!r:.40} is not an amount")
    return Decimal(value)


def text(value: Any) -> str:
    """A JSON string. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value
