"""Do signal and venue speak of the same market? Bars come from one host, orders may go to another."""

from __future__ import annotations

from decimal import Decimal

from trader.core.types import Quote


def price_gap(close: Decimal, quote: Quote) -> Decimal:
    """|mid / close - 1|, a share: how far the venue's mid price lies from the newest close of the signal's bars."""
    mid = (quote.bid + quote.ask) / 2
    return abs(mid / close - 1)


def out_of_band(close: Decimal, quote: Quote | None, band: Decimal | None) -> bool:
    """True where the gap is wider than `band` (a share). None switches the band off; a shut venue has no gap."""
    return band is not None and quote is not None and price_gap(close, quote) > band
