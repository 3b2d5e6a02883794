"""How much capital a book's symbols carry, and how much of its shares the venue's filters take away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from backtest.engine.book import BookRun, Sleeve, SleeveRun
from trader.core.book import BookHour
from trader.core.costs import exact, quote_at
from trader.core.ledger import Ledger
from trader.core.sizing import SizedOrder, size
from trader.core.types import Bars, Floats

# An order should be no more than this share of what is traded in the hour that it fills in.
SHARE_OF_VOLUME = 0.01
# Of all fills so many, as a share, stay within it at the capital that is told.
FILLS_WITHIN = 0.95


@dataclass(frozen=True, slots=True)
class Capacity:
    """Of a symbol. median_share, largest_share: of the quote volume of the bar that a fill falls into. capital_usdt: the capital
    of the whole book at which FILLS_WITHIN of the fills are at most SHARE_OF_VOLUME of it. None without a fill, and where bars
    have no volume."""

    fills: int
    median_share: float | None
    largest_share: float | None
    capital_usdt: float | None


@dataclass(frozen=True, slots=True)
class Regret:
    """What the least order and the step of quantity take away of a symbol's share. wished_share: mean weight over all rebalances.
    taken_away: share of the wished USDT that cannot be bought. too_small: rebalances whose share buys no order at all, of
    `rebalances`."""

    wished_share: float
    taken_away: float
    too_small: int
    rebalances: int


def capacity_of(sleeve: SleeveRun, bars: Bars, capital_usdt: Decimal) -> Capacity:
    """From the fills of a symbol, each in the bar that opens at its hour. bars: over all hours of the book."""
    volume = quote_volume(bars)
    fills = sleeve.run.track.fills()
    rows = [bars.row(hour) + 1 for hour, _ in fills]
    worth = np.array([float(fill.qty * fill.price) for _, fill in fills])
    there = volume[rows] if rows else np.zeros(0)
    if not len(worth) or not (there > 0).any():
        return Capacity(len(worth), None, None, None)
    with np.errstate(divide="ignore"):
        shares = worth / there
    most = float(np.quantile(shares, FILLS_WITHIN, method="higher"))
    capital = float(capital_usdt) * SHARE_OF_VOLUME / most if np.isfinite(most) else 0.0
    largest = float(shares.max())
    return Capacity(
        len(worth), float(np.median(shares)), largest if np.isfinite(largest) else None, round(capital, 2)
    )


def quote_volume(bars: Bars) -> Floats:
    """(n,) what was traded in each hour, in quote: the source's own figure, else volume x close."""
    own = bars.volume * bars.close
    if bars.quote_volume is None:
        return own
    return np.where(np.isnan(bars.quote_volume), own, bars.quote_volume)


def regrets(run: BookRun, sleeves: Sequence[Sleeve]) -> dict[str, Regret]:
    """By symbol, over every rebalance: what its share of the book's equity would buy at that hour's quote, by the bot's own
    sizing of an order."""
    moves = [hour for hour in run.hours if hour.weights]
    return {it.bars.symbol: _regret(it, moves) for it in sleeves}


def _regret(sleeve: Sleeve, moves: Sequence[BookHour]) -> Regret:
    symbol, wished, taken, small, weights = sleeve.bars.symbol, 0.0, 0.0, 0, []
    for hour in moves:
        weight = hour.weights.get(symbol)
        if weight is None:
            continue  # it gives and takes nothing at this rebalance
        weights.append(float(weight))
        cash = weight * hour.equity_usdt
        bought = _bought(sleeve, hour.close_time, cash)
        wished += float(cash)
        if bought is not None:
            spendable = cash * (1 - sleeve.rules.params.cash_buffer)
            taken += float(spendable - bought)
            small += not bought and cash > 0
    mean = float(np.mean(weights)) if weights else 0.0
    return Regret(mean, taken / wished if wished else 0.0, small, len(weights))


def _bought(sleeve: Sleeve, hour: int, cash: Decimal) -> Decimal | None:
    """What a purchase with so much cash spends, 0 where it is too small; None in an hour in which nothing can be traded."""
    bars, sizing = sleeve.bars, sleeve.rules.sizing
    row = bars.row(hour)
    if row + 1 >= len(bars) or bars.flagged[row] or bars.flagged[row + 1]:
        return None
    quote = quote_at(exact(float(bars.open[row + 1])), sizing.costs, sizing.filters.tick_size)
    order = size("long", "flat", Ledger(cash), exact(float(bars.close[row])), quote, sizing)
    return order.qty * order.expected_price if isinstance(order, SizedOrder) else Decimal(0)
