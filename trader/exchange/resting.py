"""Orders that rest while hours pass, of every symbol.

A resting order fills whole, at its own price, as maker:
- when an hour has closed whose range went through its price (the price stands at the open until the hour is over,
  so the whole hour counts, the one in which it was placed too); touching the price is not enough;
- when a later hour opens with the quote at or beyond its price.
"""

from __future__ import annotations

from collections.abc import Mapping

from trader.core.types import HOUR_MS, floor_hour
from trader.exchange.account import Account, VenueOrder
from trader.exchange.instruments import Instrument


class RestingOrders:
    """Fills the account's open orders when their hour has come."""

    def __init__(self, account: Account, instruments: Mapping[str, Instrument], now_ms: int) -> None:
        self._account, self._instruments = account, instruments
        self._advanced_ms = floor_hour(now_ms)

    def advance(self, now_ms: int) -> list[VenueOrder]:
        """Let time pass: fill the resting orders that the hours up to now reached; returns those that changed.

        Safe to call at every request: without an open order, within the same hour, or for an earlier one it does nothing.
        """
        previous, hour = self._advanced_ms, max(self._advanced_ms, floor_hour(now_ms))
        self._advanced_ms = hour
        waiting = self._account.open_orders() if hour > previous else []
        changed = []
        for opening in range(previous, hour, HOUR_MS) if waiting else ():
            reached = [it for it in waiting if self._instruments[it.symbol].matching.is_reached(it, opening)]
            for order in reached:
                self._instruments[order.symbol].matching.fill_resting(order, opening + HOUR_MS)
                waiting.remove(order)
            changed += reached
            if not waiting:
                break
        return changed

    def fill(self, symbol: str, now_ms: int) -> list[VenueOrder]:
        """Fill the open orders of a symbol, of all where it is "", as if somebody had come along; returns them."""
        orders = [it for it in self._account.open_orders() if symbol in ("", it.symbol)]
        for order in orders:
            self._instruments[order.symbol].matching.fill_resting(order, now_ms)
        return orders
