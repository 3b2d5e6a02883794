"""Which asset a symbol is quoted in, as its name tells."""

from __future__ import annotations

# Longest first where one ends with another.
QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "EUR", "TRY", "BTC", "ETH", "BNB")


def quote_asset_of(symbol: str) -> str:
    """The asset that a symbol's name ends with, "" where it is none of QUOTES."""
    return next((it for it in QUOTES if symbol.endswith(it) and symbol != it), "")
