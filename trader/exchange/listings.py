"""Symbols that are quoted beside the traded ones: the account holds none of them, and no order in them is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trader.core.costs import CostModel
from trader.core.types import HOUR_MS, Bars, Filters, floor_hour
from trader.exchange.filters import symbol_row
from trader.exchange.market import Market


@dataclass(frozen=True, slots=True)
class ListedSymbol:
    """A symbol, by its bars, and what exchangeInfo says of it."""

    bars: Bars
    base: str
    quote: str
    filters: Filters


class Listings:
    """What is known of each symbol. A market is made when it is first asked for: of a whole folder few ever are."""

    def __init__(self, listed: Sequence[ListedSymbol], costs: CostModel) -> None:
        self._listed = {it.bars.symbol: it for it in sorted(listed, key=lambda it: it.bars.symbol)}
        self._costs = costs
        self._markets: dict[str, Market] = {}

    @property
    def all_names(self) -> list[str]:
        """The symbols, those too that have not begun to trade."""
        return list(self._listed)

    def names(self, now_ms: int) -> list[str]:
        """The symbols that have begun to trade by now; before its first bar opens the exchange knows none."""
        return [symbol for symbol in self._listed if self.has(symbol, now_ms)]

    def has(self, symbol: str, now_ms: int) -> bool:
        """Whether a symbol has begun to trade by now."""
        it = self._listed.get(symbol)
        return it is not None and it.bars.first - HOUR_MS <= floor_hour(now_ms)

    def market(self, symbol: str) -> Market:
        """The market of a symbol."""
        if symbol not in self._markets:
            it = self._listed[symbol]
            self._markets[symbol] = Market(it.bars, self._costs, it.filters.tick_size)
        return self._markets[symbol]

    def row(self, symbol: str, now_ms: int) -> dict[str, Any]:
        """Its row of exchangeInfo; after its last bar it trades no more."""
        it = self._listed[symbol]
        trades = floor_hour(now_ms) + HOUR_MS <= it.bars.last
        status = "TRADING" if trades else "BREAK"
        return {**symbol_row(symbol, it.base, it.quote, it.filters), "status": status}
