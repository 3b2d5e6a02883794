"""Fills -> cash, position, fees, equity: the bot's own allocation inside an account, exact."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.core.types import Fill, Filters, Target


@dataclass(frozen=True, slots=True)
class Ledger:
    """cash, fees_usdt in quote; position in base (negative when short); counts since the ledger's start."""

    cash: Decimal
    position: Decimal = Decimal(0)
    fees_usdt: Decimal = Decimal(0)
    orders: int = 0
    fills: int = 0

    def after(self, fill: Fill) -> Ledger:
        """The ledger after one execution. Commission is taken from the asset that the fill names; what the account paid in a
        third asset is owed to it by the allocation, so its value leaves the cash (ADR 19)."""
        notional = fill.qty * fill.price
        sign = 1 if fill.side == "BUY" else -1
        in_base = fill.commission_in == "base"
        return Ledger(
            cash=self.cash - sign * notional - (0 if in_base else fill.commission),
            position=self.position + sign * fill.qty - (fill.commission if in_base else 0),
            fees_usdt=self.fees_usdt + fee_usdt(fill),
            orders=self.orders,
            fills=self.fills + 1,
        )

    def equity(self, close: Decimal) -> Decimal:
        """Mark to market at `close`, in quote."""
        return self.cash + self.position * close

    def held(self, close: Decimal, filters: Filters) -> Target:
        """The side that is held: what is worth less than the minimum notional is dust, so flat."""
        worth = self.position * close
        if worth >= filters.min_notional:
            return "long"
        return "short" if -worth >= filters.min_notional else "flat"


def fee_usdt(fill: Fill) -> Decimal:
    """A fill's commission in quote, a commission in base valued at the fill price."""
    return fill.commission * fill.price if fill.commission_in == "base" else fill.commission
