"""Exact equities of ledgers that stand still, for many closes at once.

Decimals are kept as integers times a power of ten: their sums and products are exact, in one operation for all hours,
and equal to Decimal's as long as they fit into 63 bits, which is less than Decimal keeps. Where they do not fit, or a
price has too many digits, Decimal itself is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from trader.core.costs import exact
from trader.core.ledger import Ledger
from trader.core.types import Floats, Ints, plain

_INTEGER_LIMIT = 2**62
# Integers below it, and powers of ten up to 10^22, are floats without rounding; so their quotient is rounded once.
_FLOAT_LIMIT = 2**53
_FLOAT_POWER = 22
# Decimals of up to 15 digits survive a float and come back the same.
_FLOAT_DIGITS = 15
_MOST_PRICE_DECIMALS = 10


def scaled_prices(prices: Floats) -> tuple[Ints, int] | None:
    """Prices as (integers, decimals), price = integer x 10^-decimals; None where one has too many digits.

    A decimal of at most 15 digits that reads back as the float is the shortest that does, so it is `exact`'s.
    """
    largest = float(np.abs(prices).max(initial=0.0))
    for decimals in range(_MOST_PRICE_DECIMALS + 1):
        if not largest * 10.0**decimals < 10.0**_FLOAT_DIGITS:
            return None
        units = np.rint(prices * 10.0**decimals)
        if np.array_equal(units / 10.0**decimals, prices):
            return units.astype(np.int64), decimals
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """n equities: units (n,) int64 x 10^-decimals, or else the Decimals."""

    units: Ints
    decimals: int
    values: list[Decimal] | None = None

    def __len__(self) -> int:
        return len(self.units if self.values is None else self.values)

    def floats(self) -> Floats:
        """(n,) float64: each the float nearest to the exact amount."""
        if self.values is not None:
            return np.array([float(value) for value in self.values])
        if self.decimals <= _FLOAT_POWER and int(np.abs(self.units).max(initial=0)) < _FLOAT_LIMIT:
            return self.units / 10.0**self.decimals
        unit = 10**self.decimals
        return np.array([value / unit for value in self.units.tolist()])

    def exact(self, i: int) -> Decimal:
        """The one of hour i."""
        if self.values is not None:
            return self.values[i]
        return Decimal(int(self.units[i])).scaleb(-self.decimals)

    def texts(self) -> list[str]:
        """Each in plain notation."""
        if self.values is not None:
            return [plain(value) for value in self.values]
        if self.decimals == 0:
            return [str(value) for value in self.units.tolist()]
        if int(self.units.min(initial=_INTEGER_LIMIT)) < 10**self.decimals:
            return [_plain_units(value, self.decimals) for value in self.units.tolist()]
        point = -self.decimals
        return [f"{d[:point]}.{d[point:]}".rstrip("0").rstrip(".") for d in map(str, self.units.tolist())]


def summed(parts: Sequence[Marks]) -> list[Decimal]:
    """The exact sum of these equities in every hour, (n,)."""
    decimals = max(it.decimals for it in parts)
    powers = [10 ** (decimals - it.decimals) for it in parts]
    largest = sum(
        int(np.abs(it.units).max(initial=0)) * power for it, power in zip(parts, powers, strict=True)
    )
    if largest < _INTEGER_LIMIT and all(it.values is None for it in parts):
        units = sum((it.units * power for it, power in zip(parts, powers, strict=True)), np.int64(0))
        return [Decimal(it).scaleb(-decimals) for it in np.asarray(units).tolist()]
    hours = range(len(parts[0]))
    return [sum((it.exact(i) for it in parts), Decimal(0)) for i in hours]


def marks(ledgers: Sequence[Ledger], hours: Sequence[int], close: Floats) -> Marks:
    """`ledger.equity` at each of `close` (n,): the first ledger for its number of hours, then the second, and so on."""
    units = _in_units(ledgers, hours, close)
    if units is not None:
        return units
    parts = np.split(close, np.cumsum(hours)[:-1])
    values = [
        ledger.equity(exact(price))
        for ledger, part in zip(ledgers, parts, strict=True)
        for price in part.tolist()
    ]
    return Marks(np.zeros(0, np.int64), 0, values)


def _in_units(ledgers: Sequence[Ledger], hours: Sequence[int], close: Floats) -> Marks | None:
    scaled = scaled_prices(close)
    if scaled is None or not len(ledgers):
        return None
    prices, price_decimals = scaled
    decimals = max(max(_decimals(x.cash), _decimals(x.position) + price_decimals) for x in ledgers)
    cash = [int(ledger.cash.scaleb(decimals)) for ledger in ledgers]
    position = [int(ledger.position.scaleb(decimals - price_decimals)) for ledger in ledgers]
    dearest = int(prices.max(initial=0))
    if max(map(abs, cash)) + max(map(abs, position)) * dearest >= _INTEGER_LIMIT:
        return None
    units = np.repeat(np.array(position, np.int64), hours) * prices
    units += np.repeat(np.array(cash, np.int64), hours)
    return Marks(units, decimals)


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _plain_units(units: int, decimals: int) -> str:
    if units < 0:
        return "-" + _plain_units(-units, decimals)
    digits = str(units)
    if len(digits) <= decimals:
        digits = digits.zfill(decimals + 1)
    tail = digits[-decimals:].rstrip("0")
    return f"{digits[:-decimals]}.{tail}" if tail else digits[:-decimals]
