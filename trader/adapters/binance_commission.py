"""What a Binance account is charged for its trades: its rates, and fills with their commission, in whatever asset it was taken.

An account that "uses BNB to pay for fees" is charged from its stock of BNB, and from what it receives once that stock is
used up, so fills of one order may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from trader.adapters.binance_connection import VenueApi
from trader.adapters.binance_replies import Reply, amount, text, whole
from trader.core.costs import value_charged
from trader.core.errors import TraderError
from trader.core.executions import MOST_COMMISSION
from trader.core.ports import CommissionTerms
from trader.core.types import Fill, PaidIn, Side

BAD_SYMBOL = -1121


class Commissions:
    """The commission of one account at one host."""

    def __init__(self, api: VenueApi) -> None:
        self._api = api

    def terms(self, symbol: str) -> CommissionTerms:
        """From /account/commission. The discount meets the standard part alone and is a multiplier: 0.75 charges three
        quarters. One that is none, as a host without discounts says, charges the whole."""

        def parse(rates: Reply) -> CommissionTerms:
            standard = amount(rates["standardCommission"]["taker"])
            others = (rates["specialCommission"], rates["taxCommission"])
            further = sum((amount(part["taker"]) for part in others), Decimal(0))
            discount = rates["discount"]
            enabled = discount["enabledForAccount"] is True and discount["enabledForSymbol"] is True
            multiplier = amount(discount["discount"])
            charged = standard * multiplier if 0 < multiplier <= 1 else standard
            asset = text(discount["discountAsset"]) if enabled else ""
            return CommissionTerms(standard + further, charged + further, asset)

        def ask(**given: Any) -> Reply:
            answer: Reply = self._api.client._get("account/commission", True, "v3", data=given)
            return answer

        return self._api.read(ask, parse, symbol=symbol)

    def price(self, asset: str, quote: str) -> Decimal | None:
        """What a unit of an asset costs now, the best ask; None where there is no such pair, or nobody offers any."""
        asks = self._api.read(
            self._api.client.get_orderbook_ticker,
            lambda ticker: [amount(ticker["askPrice"])],
            lambda refused: [] if refused.code == BAD_SYMBOL else None,
            symbol=f"{asset}{quote}",
        )
        return asks[0] if asks and asks[0] > 0 else None

    def reader(self, symbol: str, base: str, quote: str) -> FillReader:
        """Reads the fills of one answer."""
        return FillReader(self, symbol, base, quote)


class FillReader:
    """Reads the rows of one answer as fills. A third asset's price is asked once for all of them."""

    def __init__(self, commissions: Commissions, symbol: str, base: str, quote: str) -> None:
        self._commissions, self._symbol, self._base, self._quote = commissions, symbol, base, quote
        self._prices: dict[str, Decimal | None] = {}

    def fill(self, row: Reply, side: Side, id_key: str) -> Fill:
        """One execution. Raises one of UNREADABLE, and Retry where a value cannot be had."""
        asset, taken = text(row["commissionAsset"]), amount(row["commission"])
        price, qty, trade_id = amount(row["price"]), amount(row["qty"]), whole(row[id_key])
        if asset in (self._base, self._quote) or not taken:
            paid_in: PaidIn = "base" if asset == self._base else "quote"
            return Fill(side, price, qty, taken, paid_in, trade_id)
        value, priced = self._value(asset, taken, price * qty)
        return Fill(side, price, qty, value, "other", trade_id, asset, taken, priced)

    def _value(self, asset: str, taken: Decimal, notional: Decimal) -> tuple[Decimal, Decimal | None]:
        """What was taken, in quote, and the price that it was valued at. An executed order is booked in any case: without
        a price, or with an absurd one, by what the account's rate makes of it."""
        price = self._price(asset)
        if price is not None:
            value = value_charged(taken, price)
            if value <= value_charged(notional, MOST_COMMISSION):
                return value, price
        return value_charged(notional, self._commissions.terms(self._symbol).discounted_rate), None

    def _price(self, asset: str) -> Decimal | None:
        if asset not in self._prices:
            self._prices[asset] = _or_none(lambda: self._commissions.price(asset, self._quote))
        return self._prices[asset]


def _or_none(ask: Callable[[], Decimal | None]) -> Decimal | None:
    """The answer, or None where the venue gives none."""
    try:
        return ask()
    except TraderError:
        return None
