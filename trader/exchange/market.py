"""Bars as a market: what an hour trades at, when the venue is shut, and how bars look on the wire."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from trader.core.costs import CostModel, exact, fill_price, quote_at
from trader.core.types import HOUR_MS, Bars, Ints, Quote, Side, floor_hour
from trader.exchange.synthetic import SyntheticMarket, TrueEdge, synthetic

__all__ = ["Market", "SyntheticMarket", "TrueEdge", "number", "synthetic"]

KLINES_DEFAULT = 500
KLINES_MAX = 1000


def number(value: float) -> str:
    """A float as Binance writes it, eight decimals, or longer where eight would not read back to the same float."""
    text = f"{value:.8f}"
    return text if float(text) == value else format(exact(value), "f")


class Market:
    """One symbol's market. Inside the hour that opened at T it trades at that bar's open, and only there.

    The hour that opened at T is the row that closes at T + 1 h. Where that row is flagged or beyond the file,
    the venue is shut for exactly that hour.
    """

    def __init__(self, bars: Bars, costs: CostModel, tick: Decimal) -> None:
        self.bars = bars
        self.costs = costs
        self.tick = tick
        self._genuine: Ints = np.flatnonzero(~bars.flagged)
        self._open_times: Ints = bars.close_time[self._genuine] - HOUR_MS
        # Lists of Python floats: reading single numbers out of an array is several times slower.
        self._prices = [column.tolist() for column in (bars.open, bars.high, bars.low, bars.close)]
        # The protocol has no word for "unknown"; what a file lacks is served as zero.
        self._amounts = [
            None if column is None else column.tolist()
            for column in (
                bars.volume,
                bars.quote_volume,
                bars.trades,
                bars.taker_buy_base,
                bars.taker_buy_quote,
            )
        ]
        self._closed_rows: list[str | None] = [None] * len(bars)
        self._priced: tuple[int, Decimal, Quote] | None = None

    def is_open(self, now_ms: int) -> bool:
        """Whether the venue is there at all at a time."""
        return self.bars.has(floor_hour(now_ms) + HOUR_MS)

    def last_price(self, now_ms: int) -> Decimal:
        """The price of the current hour, to the digits of the file; after the last bar its close, as of a symbol that is
        traded no more."""
        return self._price(now_ms)[1]

    def quote(self, now_ms: int) -> Quote:
        """Best bid and ask of the current hour."""
        return self._price(now_ms)[2]

    def market_price(self, side: Side, now_ms: int) -> Decimal:
        """What a MARKET order gets in the current hour."""
        return fill_price(side, self.quote(now_ms), self.costs, self.tick)

    def _price(self, now_ms: int) -> tuple[int, Decimal, Quote]:
        hour = floor_hour(now_ms)
        if self._priced is None or self._priced[0] != hour:
            row = self.bars.row(hour + HOUR_MS)
            price = exact(float(self.bars.open[row] if row < len(self.bars) else self.bars.close[-1]))
            self._priced = (hour, price, quote_at(price, self.costs, self.tick))
        return self._priced

    def range_of_hour(self, open_time: int) -> tuple[Decimal, Decimal] | None:
        """Low and high of the hour that opened then; None where there was no trading."""
        if not self.bars.has(open_time + HOUR_MS):
            return None
        row = self.bars.row(open_time + HOUR_MS)
        return exact(float(self.bars.low[row])), exact(float(self.bars.high[row]))

    def klines(self, now_ms: int, start: int | None, end: int | None, limit: int, micro: bool = False) -> str:
        """A JSON page of hourly candles by open time, bounds inclusive; the last may be the forming one.

        Without `start` it is the newest `limit` rows up to `end`, with it the oldest from there.
        """
        forming = floor_hour(now_ms)
        newest = forming if end is None else min(end, forming)
        stop = int(np.searchsorted(self._open_times, newest, side="right"))
        if start is None:
            first = max(0, stop - limit)
        else:
            first = int(np.searchsorted(self._open_times, start, side="left"))
            stop = min(stop, first + limit)
        rows = [self._kline(int(self._genuine[i]), forming, micro) for i in range(first, stop)]
        return f"[{','.join(rows)}]"

    def _kline(self, row: int, forming: int, micro: bool) -> str:
        open_time = int(self.bars.close_time[row]) - HOUR_MS
        if open_time == forming:
            # A forming bar must not give away its future: it is its open, and nothing has been traded yet.
            price = number(float(self.bars.open[row]))
            return _row(open_time, [price] * 4, ["0.00000000"] * 2, 0, ["0.00000000"] * 2, micro)
        if micro:
            return self._closed(row, open_time, micro=True)
        text = self._closed_rows[row]
        if text is None:
            text = self._closed_rows[row] = self._closed(row, open_time, micro=False)
        return text

    def _closed(self, row: int, open_time: int, micro: bool) -> str:
        prices = [number(column[row]) for column in self._prices]
        volume, turnover, trades, taker_base, taker_quote = (
            "0.00000000" if column is None or math.isnan(column[row]) else number(column[row])
            for column in self._amounts
        )
        return _row(
            open_time, prices, [volume, turnover], int(float(trades)), [taker_base, taker_quote], micro
        )

    def day(self, now_ms: int) -> list[int]:
        """Indices of the genuine bars that closed within the last 24 hours, oldest first."""
        last = floor_hour(now_ms)
        start, stop = np.searchsorted(self._open_times, [last - 24 * HOUR_MS, last], side="left")
        return [int(row) for row in self._genuine[start:stop]]


def _row(
    open_time: int, prices: list[str], volumes: list[str], trades: int, takers: list[str], micro: bool
) -> str:
    close_time = open_time + HOUR_MS - 1
    if micro:
        open_time, close_time = open_time * 1000, open_time * 1000 + HOUR_MS * 1000 - 1
    opening, high, low, close = prices
    return (
        f'[{open_time},"{opening}","{high}","{low}","{close}","{volumes[0]}",{close_time},'
        f'"{volumes[1]}",{trades},"{takers[0]}","{takers[1]}","0"]'
    )
