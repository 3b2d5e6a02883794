"""The same trades in an ideal account: floats, no filters, the fee in quote. What the exact account is measured by.

Nothing is rounded: not to the tick, not to the step, not at eight decimals. So whole stretches of hours are one
product, and the exact account must stay near: how near is a property test. Returns compound.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trader.core.decision import shortest
from trader.core.errors import ConfigError
from trader.core.features import Matrix
from trader.core.params import Params
from trader.core.types import HOUR_MS, Bars, Bools, Floats, Ints

_BPS = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Ideal:
    """equity: (n,) float64 after each hour's trade, marked at close[T]. orders: hours that traded, buys and sells in
    turn, as indices."""

    equity: Floats
    orders: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Per hour (n,): whether it can be traded, the prices that a purchase and a sale would get, and the close."""

    tradable: Bools
    buy: Floats
    sell: Floats
    close: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Per hour (n,): may a flat account buy, may a long one sell, and at which quotes. What was bought is kept for
    `hold` hours at least."""

    enter: Bools
    leave: Bools
    at: Quotes
    hold: int = 1


def quotes(bars: Bars, params: Params, start: int, stop: int) -> Quotes:
    """Of the hours start <= T < stop, by the parameters' spread and slippage. An hour without its own bar, or while the
    venue is shut, cannot be traded."""
    first, n = bars.row(start), (stop - start) // HOUR_MS
    here, following = slice(first, first + n), slice(first + 1, first + n + 1)
    worse = (1 + float(params.half_spread_bps) * _BPS) * (1 + float(params.slippage_bps) * _BPS)
    better = (1 - float(params.half_spread_bps) * _BPS) * (1 - float(params.slippage_bps) * _BPS)
    opens = bars.open[following]
    return Quotes(
        ~bars.flagged[here] & ~bars.flagged[following], opens * worse, opens * better, bars.close[here]
    )


def signals(at: Quotes, p_up: Matrix, params: Params) -> Signals:
    """What P(up), (n,) float32, says in these hours; without a prediction, nothing. Raises ConfigError for an exposure
    that goes short."""
    if params.exposure != "long_flat":
        raise ConfigError(f"the ideal account holds long or flat, not {params.exposure!r}")
    up = p_up >= least_float32(0.5 + params.enter_edge)
    down = ~up & (p_up < least_float32(np.nextafter(0.5 - params.exit_edge, 1.0)))
    return Signals(up & at.tradable, down & at.tradable, at, params.horizon_hours)


@lru_cache(maxsize=4096)
def least_float32(limit: float) -> np.float32:
    """The least float32 whose shortest decimal is at or above `limit`: shortest decimals keep the order of floats, so
    one comparison of float32 decides as the written numbers do."""
    guess = np.nextafter(np.float32(limit), np.float32(-np.inf))
    while shortest(guess) < limit:
        guess = np.nextafter(guess, np.float32(np.inf))
    return np.float32(guess)


def account(told: Signals, fee_rate: float, cash_buffer: float, allocation: float) -> Ideal:
    """Follow signals with all cash but the buffer: a flat account buys at the first `enter`, a long one sells at the
    first `leave`. Quantity = cash x (1 - buffer) / (price x (1 + fee)); a sale brings quantity x price x (1 - fee)."""
    n = len(told.at.close)
    orders = _turns(told)
    buys, sells = orders[0::2], orders[1::2]
    spent = 1 - cash_buffer
    # A round trip multiplies the cash: what was kept, and what was spent times sale over purchase.
    bought = 1 / (told.at.buy[buys] * (1 + fee_rate))
    received = told.at.sell[sells] * (1 - fee_rate)
    round_trip = cash_buffer + spent * bought[: len(sells)] * received
    cash_flat = allocation * np.cumprod(np.concatenate(([1.0], round_trip)))
    before = cash_flat[: len(buys)]
    cash, units = np.empty(len(orders) + 1), np.zeros(len(orders) + 1)
    cash[0::2] = cash_flat[: len(sells) + 1]
    cash[1::2] = before * cash_buffer
    units[1::2] = before * spent * bought
    lengths = np.diff(np.concatenate(([0], orders, [n])))
    equity = np.repeat(units, lengths)
    equity *= told.at.close
    equity += np.repeat(cash, lengths)
    return Ideal(equity, orders)


def halted(ideal: Ideal, told: Signals, params: Params) -> Floats:
    """The equity, (n,), of an account that sells in the hour in which it reaches a limit, and stays flat."""
    start, equity = float(params.allocation_usdt), ideal.equity
    low = np.zeros(len(equity), np.bool_)
    if params.halt_cumulative_return is not None:
        low |= equity <= start * (1 + float(params.halt_cumulative_return))
    if params.halt_drawdown is not None:
        peaks = np.maximum(np.maximum.accumulate(equity), start)
        low |= equity <= peaks * (1 - float(params.halt_drawdown))
    if not low.any():
        return equity
    at = int(low.argmax())
    long = np.searchsorted(ideal.orders, at, side="right") % 2 == 1
    kept = told.at.sell[at] * (1 - float(params.fee_rate)) / told.at.close[at] if long else 1.0
    result = equity.copy()
    result[at:] = equity[at] * kept
    return result


def _turns(told: Signals) -> Ints:
    """The hours that trade: of each run of equal signals the first, beginning with a buy."""
    if told.hold > 1:
        return _held_turns(told)
    said = np.flatnonzero(told.enter | told.leave)
    buys = told.enter[said]
    turns = np.empty(len(said), np.bool_)
    turns[:1] = buys[:1]
    np.not_equal(buys[1:], buys[:-1], out=turns[1:])
    return said[turns]


def _held_turns(told: Signals) -> Ints:
    """The same where a purchase binds the hours after it: from one order to the next."""
    buys, sells = np.flatnonzero(told.enter).tolist(), np.flatnonzero(told.leave).tolist()
    turns: list[int] = []
    hour = 0
    while True:
        said, first = (sells, hour + told.hold) if len(turns) % 2 else (buys, hour)
        at = bisect_left(said, first)
        if at == len(said):
            return np.array(turns, dtype=np.int64)
        hour = said[at]
        turns.append(hour)


def simulate_ideal(bars: Bars, p_up: Matrix, params: Params, start: int, stop: int) -> Ideal:
    """Trade the hours start <= T < stop as `simulate` does, in an ideal account that never halts."""
    told = signals(quotes(bars, params, start, stop), p_up, params)
    return account(told, float(params.fee_rate), float(params.cash_buffer), float(params.allocation_usdt))
