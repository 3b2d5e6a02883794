"""Do signal and venue speak of the same market? Bars come from one host, orders may go to another, and a bar may be wrong.

A price band says how far a price of the venue may lie from the newest close. Beyond it the close is doubted: it moves no
equity, no peak and no limit until the venue's book or a second bar confirms it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trader.core.types import Quote


@dataclass(frozen=True, slots=True)
class UnconfirmedClose:
    """A close that the venue's book disagreed with, in quote per base, kept until the book agrees.

    close: of the newest bar. mark: the last confirmed close, which marks the equity instead; None once a second bar has
    said the same as the one before it, so that the close counts although the book still disagrees.
    """

    close: Decimal
    mark: Decimal | None

    @property
    def last_confirmed(self) -> Decimal:
        """The newest close that was confirmed, by the book or by a second bar."""
        return self.close if self.mark is None else self.mark


def marked_at(close: Decimal, doubt: UnconfirmedClose | None) -> Decimal:
    """What marks an hour's equity: its close, or the last confirmed one while it is doubted."""
    return close if doubt is None or doubt.mark is None else doubt.mark


def mid(quote: Quote) -> Decimal:
    """The middle of bid and ask."""
    return (quote.bid + quote.ask) / 2


def price_gap(close: Decimal, price: Decimal) -> Decimal:
    """|price / close - 1|, a share: how far a price of the venue lies from a close of the signal's bars."""
    return abs(price / close - 1)


def out_of_band(close: Decimal, price: Decimal | None, band: Decimal | None) -> bool:
    """True where the gap is wider than `band` (a share). No band refuses nothing, and no price is no gap."""
    return band is not None and price is not None and abs(price - close) > band * close


def doubt_of(
    before: UnconfirmedClose | None,
    close_before: Decimal | None,
    close: Decimal,
    book: Decimal | None,
    band: Decimal | None,
    *,
    gap: bool,
) -> UnconfirmedClose | None:
    """Whether an hour's close is doubted, None where it is not.

    before, close_before: the doubt and the close of the hour before, None in the first hour. book: the venue's price at the
    hour, None where nobody knows it. gap: the hour has no bar of its own, so that `close` only repeats an earlier one.
    """
    if band is None:
        return None
    if book is None:
        return before if gap else None
    if not out_of_band(close, book, band):
        return None
    if before is None:
        return UnconfirmedClose(close, close if close_before is None else close_before)
    if gap:
        return UnconfirmedClose(close, before.mark)
    confirmed = not out_of_band(before.close, close, band)
    return UnconfirmedClose(close, None if confirmed else before.last_confirmed)
