"""The endpoints: what each costs, whether it is signed, and who answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trader.exchange import account_api, order_api, pretrade_api, public_api
from trader.exchange.params import RequestParams
from trader.exchange.public_api import DEPTH_DEFAULT
from trader.exchange.venue import ApiCall, Venue

Weight = int | Callable[[RequestParams], int]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint. `is_order` marks those that cost no weight when they succeed and count as orders, `is_history` those that tell
    what is over, and that are answered about a symbol which cannot be traded now."""

    handler: Callable[[Venue, ApiCall], Any]
    weight: Weight
    is_signed: bool = False
    is_order: bool = False
    is_history: bool = False

    def cost(self, params: RequestParams) -> int:
        """The request weight of one call."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)


def _by_symbol(one: int, all_symbols: int) -> Weight:
    return lambda params: one if "symbol" in params else all_symbols


def _depth_weight(params: RequestParams) -> int:
    text = params.text("limit") or ""
    limit = int(text) if text.isascii() and text.isdigit() else DEPTH_DEFAULT
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if limit <= most), 250)


def _test_weight(params: RequestParams) -> int:
    return 20 if (params.text("computeCommissionRates") or "").lower() == "true" else 1


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/api/v3/ping"): Route(public_api.ping, 1),
    ("GET", "/api/v3/time"): Route(public_api.server_time, 1),
    ("GET", "/api/v3/exchangeInfo"): Route(public_api.exchange_info, 20),
    ("GET", "/api/v3/klines"): Route(public_api.klines, 2, is_history=True),
    ("GET", "/api/v3/uiKlines"): Route(public_api.klines, 2, is_history=True),
    ("GET", "/api/v3/avgPrice"): Route(public_api.average_price, 2),
    ("GET", "/api/v3/depth"): Route(public_api.depth, _depth_weight),
    ("GET", "/api/v3/ticker/price"): Route(public_api.ticker_price, _by_symbol(2, 4)),
    ("GET", "/api/v3/ticker/bookTicker"): Route(public_api.book_ticker, _by_symbol(2, 4)),
    ("GET", "/api/v3/ticker/24hr"): Route(public_api.ticker_day, _by_symbol(2, 80)),
    ("GET", "/api/v3/account"): Route(account_api.account, 20, is_signed=True),
    ("POST", "/api/v3/order"): Route(order_api.new_order, 1, is_signed=True, is_order=True),
    ("POST", "/api/v3/order/test"): Route(order_api.test_order, _test_weight, is_signed=True),
    ("GET", "/api/v3/order"): Route(order_api.query_order, 4, is_signed=True),
    ("DELETE", "/api/v3/order"): Route(order_api.cancel_order, 1, is_signed=True, is_order=True),
    ("GET", "/api/v3/openOrders"): Route(order_api.open_orders, _by_symbol(6, 80), is_signed=True),
    ("DELETE", "/api/v3/openOrders"): Route(order_api.cancel_all, 1, is_signed=True, is_order=True),
    ("GET", "/api/v3/allOrders"): Route(account_api.all_orders, 20, is_signed=True),
    ("GET", "/api/v3/myTrades"): Route(
        account_api.my_trades, lambda params: 5 if "orderId" in params else 20, is_signed=True
    ),
    ("GET", "/api/v3/rateLimit/order"): Route(account_api.order_limits, 40, is_signed=True),
    ("GET", "/api/v3/account/commission"): Route(account_api.commission_rates, 20, is_signed=True),
    ("GET", "/api/v3/myFilters"): Route(account_api.my_filters, 40, is_signed=True),
    ("GET", "/api/v3/executionRules"): Route(public_api.execution_rules, 2),
    ("GET", "/api/v3/referencePrice"): Route(public_api.reference_price, 2),
    # Outside `/api` Binance counts in other purses, so nothing is charged here.
    ("GET", "/sapi/v1/capital/config/getall"): Route(pretrade_api.coins, 0, is_signed=True),
    ("GET", "/sapi/v1/margin/allPairs"): Route(pretrade_api.nothing, 0, is_signed=True),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Route(pretrade_api.nothing, 0, is_signed=True),
    ("GET", "/fapi/v1/exchangeInfo"): Route(pretrade_api.no_contracts, 0),
    ("GET", "/dapi/v1/exchangeInfo"): Route(pretrade_api.no_contracts, 0),
}
