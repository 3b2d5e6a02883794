"""Exact equities of a ledger that stands still, for many closes at once.

Decimals are kept as integers times a power of ten: sums and products of integers are exact, ten times faster than
Decimal's, and equal to Decimal's as long as no result needs more digits than Decimal keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from trader.core.costs import exact
from trader.core.ledger import Ledger
from trader.core.types import Floats, plain

# Beyond this Decimal's default context rounds, and then only Decimal itself knows how.
_DECIMAL_DIGITS = 28
# Decimals of up to 15 digits survive a float and come back the same.
_FLOAT_DIGITS = 15
_MOST_PRICE_DECIMALS = 10


@dataclass(frozen=True, slots=True)
class ScaledPrices:
    """Prices as integers: units[i] x 10^-decimals."""

    units: list[int]
    decimals: int

    def cut(self, start: int, stop: int) -> ScaledPrices:
        """The prices start <= i < stop."""
        return ScaledPrices(self.units[start:stop], self.decimals)


def scaled_prices(prices: Floats) -> ScaledPrices | None:
    """Prices whose shortest decimals are short, as integers; None where one of them is long.

    A decimal of at most 15 digits that reads back as the float is the shortest that does, so it is `exact`'s.
    """
    largest = float(np.abs(prices).max(initial=0.0))
    for decimals in range(_MOST_PRICE_DECIMALS + 1):
        if not largest * 10.0**decimals < 10.0**_FLOAT_DIGITS:
            return None
        units = np.rint(prices * 10.0**decimals)
        if np.array_equal(units / 10.0**decimals, prices):
            return ScaledPrices(units.astype(np.int64).tolist(), decimals)
    return None


@dataclass(frozen=True, slots=True)
class UnitMarks:
    """Equities as integers: units[i] x 10^-decimals."""

    units: list[int]
    decimals: int

    def floats(self) -> list[float]:
        """Each as the nearest float: division of integers rounds correctly, as reading a decimal does."""
        unit = 10**self.decimals
        return [value / unit for value in self.units]

    def texts(self) -> list[str]:
        """Each in plain notation."""
        if self.decimals == 0:
            return [str(value) for value in self.units]
        return [_plain_units(value, self.decimals) for value in self.units]


@dataclass(frozen=True, slots=True)
class DecimalMarks:
    """Equities as Decimals, the whole series `times` times."""

    values: list[Decimal]
    times: int = 1

    def floats(self) -> list[float]:
        """Each as the nearest float."""
        return [float(value) for value in self.values] * self.times

    def texts(self) -> list[str]:
        """Each in plain notation."""
        return [plain(value) for value in self.values] * self.times


Marks = UnitMarks | DecimalMarks


def marks(ledger: Ledger, close: Floats, scaled: ScaledPrices | None) -> Marks:
    """`ledger.equity` at each of `close` (n,), n >= 1, of which `scaled` are the integers, if there are any."""
    if not ledger.position:
        return DecimalMarks([ledger.equity(exact(float(close[0])))], len(close))
    if scaled is not None:
        decimals = max(_decimals(ledger.cash), _decimals(ledger.position) + scaled.decimals)
        cash = int(ledger.cash.scaleb(decimals))
        position = int(ledger.position.scaleb(decimals - scaled.decimals))
        largest = abs(cash) + abs(position) * max(scaled.units)
        if largest < 10**_DECIMAL_DIGITS:
            return UnitMarks([cash + position * price for price in scaled.units], decimals)
    return DecimalMarks([ledger.equity(exact(price)) for price in close.tolist()])


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _plain_units(units: int, decimals: int) -> str:
    digits = str(abs(units)).zfill(decimals + 1)
    text = f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")
    return f"-{text}" if units < 0 else text
