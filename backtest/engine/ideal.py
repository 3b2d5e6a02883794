"""The same trades in an ideal account: floats, no filters, the fee in quote. What the exact account is measured by.

Nothing is rounded: not to the tick, not to the step, not at eight decimals. So whole spans of hours are one product, and
the exact account must stay near: how near is a property test. Returns compound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from trader.core.costs import exact
from trader.core.errors import ConfigError
from trader.core.params import Params
from trader.core.policy import Signals, first_breach
from trader.core.sanity import UnconfirmedClose, doubt_of
from trader.core.turns import turns
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints, Matrix

_BPS = 1e-4
# Hours whose equity is computed at once: few enough that what is computed on the way stays in the processor's cache.
_BLOCK_HOURS = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Ideal:
    """equity: (n,) float64 after each hour's trade, marked at close[T]. orders: hours that traded, buys and sells in
    turn, as indices."""

    equity: Floats
    orders: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Of n hours: tradable (n,), whether an order could leave; open_next and close (n,), what is traded at and what
    marks. A purchase costs open_next x buy_factor, a sale brings open_next x sell_factor. buyable, sellable: (n,) whether
    that price lies within the price band; None without a band."""

    tradable: Bools
    open_next: Floats
    close: Floats
    buy_factor: float
    sell_factor: float
    buyable: Bools | None = None
    sellable: Bools | None = None

    def buy(self, hours: Ints | slice) -> Floats:
        """The prices of purchases in some of the hours."""
        return self.open_next[hours] * self.buy_factor

    def sell(self, hours: Ints | slice) -> Floats:
        """The prices of sales in some of the hours."""
        return self.open_next[hours] * self.sell_factor


@dataclass(frozen=True, slots=True, eq=False)
class QuotedSignals:
    """What P(up) says in hours that can be traded, and their quotes."""

    said: Signals
    at: Quotes
    horizon_hours: int = 1


def quotes(bars: Bars, params: Params, start: int, stop: int) -> Quotes:
    """Of the hours start <= T < stop, by the parameters' spread and slippage. An hour without its own bar, or while the
    venue is shut, cannot be traded."""
    first, n = bars.row(start), (stop - start) // HOUR_MS
    here, following = slice(first, first + n), slice(first + 1, first + n + 1)
    half_spread, slippage = float(params.half_spread_bps) * _BPS, float(params.slippage_bps) * _BPS
    known = Quotes(
        tradable=~(bars.flagged[here] | bars.flagged[following]),
        open_next=bars.open[following],
        close=bars.close[here],
        buy_factor=(1 + half_spread) * (1 + slippage),
        sell_factor=(1 - half_spread) * (1 - slippage),
    )
    return known if params.price_band is None else _within_band(known, bars, first, params.price_band)


def _within_band(known: Quotes, bars: Bars, first: int, band: Decimal) -> Quotes:
    """The same under a price band: an unconfirmed close is replaced by the last confirmed one, and nothing is traded in its
    hour; elsewhere neither a purchase nor a sale is, whose price lies beyond the band around the close."""
    tradable, marks = known.tradable.copy(), known.close.copy()
    for i, mark in _unconfirmed(known, bars, first, band).items():
        tradable[i], marks[i] = False, mark
    widest = float(band) * known.close
    return replace(
        known,
        tradable=tradable,
        close=marks,
        buyable=np.abs(known.buy(slice(None)) - known.close) <= widest,
        sellable=np.abs(known.sell(slice(None)) - known.close) <= widest,
    )


def _unconfirmed(known: Quotes, bars: Bars, first: int, band: Decimal) -> dict[int, float]:
    """What marks each hour whose close is doubted, by `doubt_of`. The open stands for the middle of the quote."""
    apart = np.abs(known.open_next - known.close) > float(band) * known.close
    found: dict[int, float] = {}
    doubt: UnconfirmedClose | None = None
    newest = -1
    for i in np.flatnonzero(apart & ~bars.flagged[first + 1 : first + 1 + len(apart)]).tolist():
        row = first + i
        before = exact(float(bars.close[row - 1])) if row else None
        close, book = exact(float(bars.close[row])), exact(float(bars.open[row + 1]))
        gap = bool(bars.flagged[row])
        doubt = doubt_of(doubt if newest == i - 1 else None, before, close, book, band, gap=gap)
        if doubt is not None and doubt.mark is not None:
            found[i] = float(doubt.mark)
        newest = i
    return found


def signals(at: Quotes, p_up: Matrix, params: Params) -> QuotedSignals:
    """What P(up), (n,) float32, says in these hours; without a prediction, nothing. Raises ConfigError for an exposure
    that goes short."""
    if params.exposure != "long_flat":
        raise ConfigError(f"the ideal account holds long or flat, not {params.exposure!r}")
    said = Signals.of(p_up, params.thresholds).where(at.tradable)
    if at.buyable is not None and at.sellable is not None:
        said = Signals(said.entries & at.buyable, said.exits & at.sellable)
    return QuotedSignals(said, at, params.horizon_hours)


def account(told: QuotedSignals, params: Params) -> Ideal:
    """Follow signals with all cash but the buffer: a flat account buys at the first entry, a long one sells at the first
    exit. Quantity = cash x (1 - buffer) / (price x (1 + fee)); a sale brings quantity x price x (1 - fee). A fee with a
    discount is paid beside the purchase, out of the buffer."""
    orders = turns(told.said, told.horizon_hours).hours
    buys, sells = orders[0::2], orders[1::2]
    fee, kept = float(params.costs.paid_rate), float(params.cash_buffer)
    spent = 1 - kept
    within = fee  # the share of a purchase's cost that is paid within what it spends
    if params.fee_discount is not None:
        within, kept = 0.0, kept - spent * fee
    # A round trip multiplies the cash: what was kept, and what was spent times sale over purchase.
    bought = 1 / (told.at.buy(buys) * (1 + within))
    received = told.at.sell(sells) * (1 - fee)
    round_trip = kept + spent * bought[: len(sells)] * received
    cash_flat = float(params.allocation_usdt) * np.cumprod(np.concatenate(([1.0], round_trip)))
    before = cash_flat[: len(buys)]
    cash, units = np.empty(len(orders) + 1), np.zeros(len(orders) + 1)
    cash[0::2] = cash_flat[: len(sells) + 1]
    cash[1::2] = before * kept
    units[1::2] = before * spent * bought
    return Ideal(_equity(cash, units, orders, told.at.close), orders)


def _equity(cash: Floats, units: Floats, orders: Ints, close: Floats) -> Floats:
    """(n,) what an account is worth at each close; cash and units (k + 1,) are what it holds before the first of its k
    orders and after each of them."""
    n = len(close)
    equity = np.empty(n)
    # One pass over memory: what an account holds is spread over a block of hours at a time, never over all of them.
    for first in range(0, n, _BLOCK_HOURS):
        last = min(first + _BLOCK_HOURS, n)
        since, until = np.searchsorted(orders, (first, last - 1), side="right").tolist()
        edges = np.concatenate(([first], orders[since:until], [last]))
        lengths = np.diff(edges)
        here = equity[first:last]
        np.multiply(np.repeat(units[since : until + 1], lengths), close[first:last], out=here)
        here += np.repeat(cash[since : until + 1], lengths)
    return equity


def halted(ideal: Ideal, told: QuotedSignals, params: Params) -> Floats:
    """The equity, (n,), of an account that sells in the hour in which it reaches a limit, and stays flat."""
    equity = ideal.equity
    at = first_breach(equity, float(params.allocation_usdt), params.limits(freeze=False))
    if at is None:
        return equity
    long = np.searchsorted(ideal.orders, at, side="right") % 2 == 1
    sold = told.at.sell(slice(at, at + 1))[0] * (1 - float(params.costs.paid_rate))
    result = equity.copy()
    result[at:] = equity[at] * (sold / told.at.close[at] if long else 1.0)
    return result


def simulate_ideal(bars: Bars, p_up: Matrix, params: Params, start: int, stop: int) -> Ideal:
    """Trade the hours start <= T < stop as `simulate` does, in an ideal account that never halts."""
    told = signals(quotes(bars, params, start, stop), p_up, params)
    return account(told, params)
