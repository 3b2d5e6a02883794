"""Limits of a whole book on its purchases: how much each symbol may spend in an hour, fixed before any symbol decides it. Pure.

Symbols decide an hour apart from one another, so what the book allows is shared out before it is known who buys: together they
keep every limit, whoever does. A sale is never held back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Literal

from trader.core.book_params import BookParams
from trader.core.types import HOUR_MS

LimitName = Literal["largest_order_usdt", "largest_exposure", "orders_a_day"]
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class SleeveStanding:
    """A symbol's sleeve as its newest record says it. record_hour: that record's close time, UTC ms, None before the first.
    equity_usdt, cash_usdt: after that hour. halted: whether its trading is. orders_a_day: its orders of the hours
    hour - 24 h < T < hour, looked at only where the book limits them."""

    symbol: str
    record_hour: int | None = None
    equity_usdt: Decimal = Decimal(0)
    cash_usdt: Decimal = Decimal(0)
    halted: bool = False
    orders_a_day: int = 0

    def moves(self, hour: int) -> bool:
        """Whether it gives and takes at `hour` (UTC ms): it is not halted, and its hour before that is closed, if it had one."""
        return not self.halted and not self.is_late(hour)

    def is_late(self, hour: int) -> bool:
        """Whether its hour before `hour` (UTC ms) is not closed, although it had one."""
        return self.record_hour is not None and self.record_hour < hour - HOUR_MS


@dataclass(frozen=True, slots=True)
class PurchaseLimit:
    """The most that a symbol's purchase of an hour may cost, USDT, and the limit of the book that says so."""

    most_usdt: Decimal
    limit: LimitName


def purchase_limits(
    params: BookParams,
    hour: int,
    equity_usdt: Decimal,
    standings: Sequence[SleeveStanding],
    transfers: Mapping[str, Decimal],
) -> dict[str, PurchaseLimit]:
    """What each symbol may spend at `hour` (UTC ms), alphabetical; a symbol that could spend all of its cash is not there.

    equity_usdt: of the whole book. transfers: of this hour, which the cash of a standing does not hold yet. `largest_exposure`
    leaves room for the equity x the limit - what is held, shared in proportion to the cash of those that may buy; a late symbol
    counts as fully invested, for nobody knows what it has bought since. `orders_a_day` leaves as many purchases as orders are
    left; where more symbols could buy, turns go round by the hour.
    """
    cash = {it.symbol: it.cash_usdt + transfers.get(it.symbol, Decimal(0)) for it in standings}
    buyers = sorted(
        it.symbol for it in standings if not it.halted and not it.is_late(hour) and cash[it.symbol] > 0
    )
    found: dict[str, PurchaseLimit] = {}

    def limit(symbol: str, most: Decimal, name: LimitName) -> None:
        least = found[symbol].most_usdt if symbol in found else cash[symbol]
        if most < least:
            found[symbol] = PurchaseLimit(most, name)

    if params.largest_order_usdt is not None:
        for symbol in cash:
            limit(symbol, params.largest_order_usdt, "largest_order_usdt")
    if params.largest_exposure is not None:
        held = sum(
            (it.equity_usdt if it.is_late(hour) else it.equity_usdt - it.cash_usdt for it in standings),
            Decimal(0),
        )
        room = max(Decimal(0), params.largest_exposure * equity_usdt - held)
        there = sum((cash[it] for it in buyers), Decimal(0))
        for symbol in buyers if room < there else ():
            most = (room * cash[symbol] / there).quantize(CENT, ROUND_DOWN)
            limit(symbol, most, "largest_exposure")
    if params.orders_a_day is not None:
        left = max(0, params.orders_a_day - sum(it.orders_a_day for it in standings))
        for symbol in _after_turns(buyers, hour, left):
            limit(symbol, Decimal(0), "orders_a_day")
    return dict(sorted(found.items()))


def _after_turns(buyers: Sequence[str], hour: int, left: int) -> list[str]:
    """Those whose turn to buy is not in this hour (UTC ms), where `left` may."""
    if left >= len(buyers):
        return []
    first = hour // HOUR_MS % len(buyers)
    return [*buyers[first:], *buyers[:first]][left:]
