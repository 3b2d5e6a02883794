"""What the exchange accepts for its symbol: the exchangeInfo row, and the checks that follow from its filters.

These are the exchange's own checks. They share no code with the bot's sizing, so that each can prove the other wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from trader.core.types import Filters, Side
from trader.exchange.replies import ApiError, eight

ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")
SELF_TRADE_MODES = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
ZERO = Decimal(0)
# A parameter has up to 20 digits before and after its point; a remainder has to count them all.
EXACT = Context(prec=60)


def symbol_row(symbol: str, base: str, quote: str, filters: Filters) -> dict[str, Any]:
    """An exchangeInfo row for a symbol that has these filters, with all the field names of the real one."""
    switches = {
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
    }
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(ORDER_TYPES),
        **switches,
        "filters": _filter_rows(filters),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": SELF_TRADE_MODES,
    }


def _filter_rows(filters: Filters) -> list[dict[str, Any]]:
    # A coin of a thousandth of a cent is traded by the billion.
    most = Decimal(90_000_000_000_000) if filters.max_qty is None else filters.max_qty
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": eight(filters.tick_size),
            "maxPrice": "10000000.00000000",
            "tickSize": eight(filters.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": eight(max(filters.min_qty, filters.step_size)),
            "maxQty": eight(most),
            "stepSize": eight(filters.step_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": eight(ZERO),
            "maxQty": eight(most),
            "stepSize": eight(ZERO),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": eight(filters.min_notional),
            "applyMinToMarket": True,
            "maxNotional": "1000000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ]


@dataclass(frozen=True, slots=True)
class CheckedOrder:
    """An order as the filters see it. `price` is its limit, or for MARKET the price it would fill at."""

    side: Side
    is_market: bool
    qty: Decimal
    price: Decimal
    last_price: Decimal
    open_orders: int
    base_held: Decimal


class SymbolFilters:
    """The filters of an exchangeInfo row, ready to check orders. Filter types it does not know are let through."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._by_type: dict[str, Mapping[str, Any]] = {f["filterType"]: f for f in row["filters"]}

    def value(self, filter_type: str, name: str, default: Decimal = ZERO) -> Decimal:
        """One figure of a filter; `default` where the row has none."""
        return Decimal(str(self._by_type.get(filter_type, {}).get(name, default)))

    @property
    def step(self) -> Decimal:
        """The coarsest quantity step that a MARKET order must keep to; zero where there is none."""
        return max(self.value("LOT_SIZE", "stepSize"), self.value("MARKET_LOT_SIZE", "stepSize"))

    def check(self, order: CheckedOrder) -> None:
        """Raise -1013 (MAX_POSITION: -2010) with the name of the first filter that the order breaks."""
        for filter_type, passes in _CHECKS.items():
            if filter_type in self._by_type and not passes(self, order):
                # Positions are known to the engine alone, and what the engine refuses is -2010.
                code = -2010 if filter_type == "MAX_POSITION" else -1013
                raise ApiError(code, f"Filter failure: {filter_type}")

    def _price_filter(self, order: CheckedOrder) -> bool:
        if order.is_market:
            return True
        return self._within("PRICE_FILTER", ("minPrice", "maxPrice", "tickSize"), order.price)

    def _lot_size(self, order: CheckedOrder) -> bool:
        return self._within("LOT_SIZE", ("minQty", "maxQty", "stepSize"), order.qty)

    def _market_lot_size(self, order: CheckedOrder) -> bool:
        if not order.is_market:
            return True
        return self._within("MARKET_LOT_SIZE", ("minQty", "maxQty", "stepSize"), order.qty)

    def _within(self, filter_type: str, names: tuple[str, str, str], value: Decimal) -> bool:
        least, most, step = (self.value(filter_type, name) for name in names)
        if (least and value < least) or (most and value > most):
            return False
        return not step or EXACT.remainder(value, step) == 0

    # Binance judges a MARKET order's notional by the average price of the last five minutes. An hourly bar has no
    # such average, so the price the order would fill at stands in for it.
    def _min_notional(self, order: CheckedOrder) -> bool:
        row = self._by_type["MIN_NOTIONAL"]
        if order.is_market and not row.get("applyToMarket", True):
            return True
        return order.price * order.qty >= self.value("MIN_NOTIONAL", "minNotional")

    def _notional(self, order: CheckedOrder) -> bool:
        row = self._by_type["NOTIONAL"]
        notional = order.price * order.qty
        mind_min = not order.is_market or row.get("applyMinToMarket", True)
        mind_max = not order.is_market or row.get("applyMaxToMarket", False)
        most = self.value("NOTIONAL", "maxNotional")
        if mind_min and notional < self.value("NOTIONAL", "minNotional"):
            return False
        return not (mind_max and most and notional > most)

    def _percent_price(self, order: CheckedOrder) -> bool:
        if order.is_market:
            return True
        down, up = (self.value("PERCENT_PRICE", name) for name in ("multiplierDown", "multiplierUp"))
        return order.last_price * down <= order.price <= order.last_price * up

    def _percent_price_by_side(self, order: CheckedOrder) -> bool:
        if order.is_market:
            return True
        side = "bid" if order.side == "BUY" else "ask"
        down = self.value("PERCENT_PRICE_BY_SIDE", f"{side}MultiplierDown")
        up = self.value("PERCENT_PRICE_BY_SIDE", f"{side}MultiplierUp")
        return order.last_price * down <= order.price <= order.last_price * up

    def _max_num_orders(self, order: CheckedOrder) -> bool:
        return order.is_market or order.open_orders < self.value("MAX_NUM_ORDERS", "maxNumOrders")

    def _max_position(self, order: CheckedOrder) -> bool:
        return order.side == "SELL" or order.base_held + order.qty <= self.value(
            "MAX_POSITION", "maxPosition"
        )


_CHECKS = {
    "PRICE_FILTER": SymbolFilters._price_filter,
    "PERCENT_PRICE": SymbolFilters._percent_price,
    "PERCENT_PRICE_BY_SIDE": SymbolFilters._percent_price_by_side,
    "LOT_SIZE": SymbolFilters._lot_size,
    "MARKET_LOT_SIZE": SymbolFilters._market_lot_size,
    "MIN_NOTIONAL": SymbolFilters._min_notional,
    "NOTIONAL": SymbolFilters._notional,
    "MAX_NUM_ORDERS": SymbolFilters._max_num_orders,
    "MAX_POSITION": SymbolFilters._max_position,
}
