"""A traded symbol at work: its market, its rules, and the matching of the account's orders in it."""

from __future__ import annotations

import copy
from typing import Any

from trader.core.costs import CostModel
from trader.core.errors import ConfigError
from trader.core.types import HOUR_MS, floor_hour
from trader.exchange.account import Account
from trader.exchange.config import TradedSymbol
from trader.exchange.faults import RequestFaults
from trader.exchange.filters import SymbolFilters, symbol_row
from trader.exchange.market import Market
from trader.exchange.matching import FeeAsset, Matching


class Instrument:
    """One traded symbol. Raises ConfigError for an exchangeInfo row that is another symbol's or has no filters."""

    def __init__(
        self, traded: TradedSymbol, account: Account, costs: CostModel, fee_asset: FeeAsset | None
    ) -> None:
        self.symbol = traded.name
        self.row = _checked_row(traded)
        self.rules = SymbolFilters(self.row)
        self.market = Market(traded.bars, costs, traded.filters.tick_size)
        self.orders = account.orders[traded.name]
        self.matching = Matching(self.market, account, self.orders, costs.fee_rate, fee_asset)

    def row_for(self, plan: RequestFaults) -> tuple[dict[str, Any], SymbolFilters]:
        """Its exchangeInfo row and its rules as a request's faults make them look."""
        statuses, patches = plan.of_symbol(self.symbol, "status"), plan.of_symbol(self.symbol, "filters")
        if not statuses and not patches:
            return self.row, self.rules
        row = copy.deepcopy(self.row)
        for fault in statuses:
            row["status"] = fault.settings["status"]
        for fault in patches:
            for entry in row["filters"]:
                entry.update(fault.settings["set"].get(entry["filterType"], {}))
        return row, SymbolFilters(row)

    def info_row(self, plan: RequestFaults, now_ms: int) -> dict[str, Any]:
        """Its row in an answer of exchangeInfo. After its last bar, while other symbols go on, it is no longer traded."""
        row, _ = self.row_for(plan)
        has_ended = floor_hour(now_ms) + HOUR_MS > self.market.bars.last
        return {**row, "status": "BREAK"} if has_ended else dict(row)


def _checked_row(traded: TradedSymbol) -> dict[str, Any]:
    derived = symbol_row(traded.name, traded.base, traded.quote, traded.filters)
    if traded.exchange_info_row is None:
        return derived
    row = copy.deepcopy(dict(traded.exchange_info_row))
    wanted = {"symbol": traded.name, "baseAsset": traded.base, "quoteAsset": traded.quote}
    for name, value in wanted.items():
        if row.setdefault(name, value) != value:
            raise ConfigError(
                f"the exchangeInfo row says {name} {row[name]}, the exchange was asked for {value}"
            )
    if not isinstance(row.get("filters"), list):
        raise ConfigError("the exchangeInfo row has no list of filters")
    return {**derived, **row}
