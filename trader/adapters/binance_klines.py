"""Closed hourly bars from a keyless Binance host: an own pager, one request a page of 1,000, closed bars only."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from trader.adapters.binance_client import VenueAddress
from trader.adapters.binance_connection import Quota, VenueApi
from trader.adapters.binance_replies import is_moment, listed
from trader.core.bars import bars_from_columns
from trader.core.errors import DataError
from trader.core.ports import Clock
from trader.core.text import plural
from trader.core.types import HOUR_MS, Bars, Progress, floor_hour, iso, no_bars

Row = list[Any]

KLINES_PAGE = 1_000
# A bar that the source does not show this long after its hour will not come: the exchange was down.
LATE_BAR_MS = 15 * 60_000

# A kline: open time, open, high, low, close, volume, close time, quote volume, trades, taker's base, taker's quote, "0".
FIELDS = 12
TEXTS = {1: "open", 2: "high", 3: "low", 4: "close", 5: "volume"}
TEXTS |= {7: "quote_volume", 9: "taker_buy_base", 10: "taker_buy_quote"}
TRADES = 8
DECIMAL = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")


class BinanceKlines:
    """The signal's market. Rows that are not what Binance documents are refused, never repaired."""

    def __init__(
        self,
        connection: VenueAddress,
        clock: Clock,
        progress: Progress | None = None,
        quota: Quota | None = None,
    ) -> None:
        self._api = VenueApi(connection, clock, quota)
        self._progress = progress
        self._source = f"klines of {connection.url}"

    def close(self) -> None:
        """Give back the connections."""
        self._api.close()

    def bars(self, symbol: str, start: int, stop: int) -> Bars:
        """Bars with start <= close_time < stop that are over, gaps filled flat and flagged.

        A bar is over once the source shows a later one, the forming one included; so the last row may be flagged,
        and rows that the source does not show yet are missing at the end. Empty if there is none.
        Raises DataError for rows that are no bars, Retry and ConfigError as the venue answers.
        """
        rows, over_until = self._pages(symbol, start - HOUR_MS, stop)
        if not rows or rows[0][0] > start - HOUR_MS:
            rows = self._page(symbol, endTime=start - HOUR_MS - 1, limit=1) + rows
        if over_until < stop - HOUR_MS:
            over_until = max(over_until, floor_hour(self._api.measure() - LATE_BAR_MS))
        closed = [row for row in rows if row[0] + HOUR_MS <= over_until]
        if not closed:
            return no_bars(symbol)
        bars = _parse(symbol, closed, self._source).extended_to(min(over_until, stop - HOUR_MS))
        return bars.span(start, stop)

    def time_ms(self) -> int:
        """The host's clock, UTC ms."""
        return self._api.measure()

    def _pages(self, symbol: str, first_open: int, stop: int) -> tuple[list[Row], int]:
        """Rows that open from `first_open` on and before `stop`, and the newest open shown."""
        rows: list[Row] = []
        begin, last_open = first_open, stop - HOUR_MS
        while begin <= last_open:
            # One bar beyond the wanted ones shows whether the last wanted one is over.
            wanted = min(KLINES_PAGE, (last_open - begin) // HOUR_MS + 1)
            if rows:
                self._api.ease()
            page = self._page(symbol, startTime=begin, endTime=last_open, limit=wanted)
            rows += page
            if self._progress:
                self._progress(len(rows), (stop - first_open) // HOUR_MS)
            if len(page) < wanted:
                break
            begin = page[-1][0] + HOUR_MS
        return rows, rows[-1][0] if rows else first_open

    def _page(self, symbol: str, limit: int, endTime: int, startTime: int = 0) -> list[Row]:
        """One request, its rows checked: they are hours in order, and none but those asked for."""
        bounds: dict[str, Any] = {"endTime": endTime, "limit": limit}
        if startTime:
            bounds["startTime"] = startTime
        rows: list[Row] = self._api.read(
            self._api.client.get_klines, listed, symbol=symbol, interval="1h", **bounds
        )
        if len(rows) > limit:
            raise DataError(f"{self._source}: {plural(len(rows), 'row')} came for a limit of {limit}")
        before = startTime - HOUR_MS
        for number, row in enumerate(rows):
            if problem := _problem(row, before, endTime):
                raise DataError(f"{self._source}: row {number} of a page {problem}")
            before = row[0]
        return rows


def _problem(row: Any, before: int, until: int) -> str:
    """What is wrong with a row, given the open time that it must come after; "" if nothing is."""
    if not isinstance(row, list) or len(row) < FIELDS:
        return f"has not the {FIELDS} values of a kline: {row!r:.100}"
    opened, closed = row[0], row[6]
    if type(opened) is not int or type(closed) is not int or type(row[TRADES]) is not int:
        return f"has a time or a count that is no whole number: {row!r:.100}"
    if opened % HOUR_MS or not is_moment(opened) or closed != opened + HOUR_MS - 1:
        return f"is not an hour in milliseconds: {opened} to {closed}"
    if opened <= before:
        return f"({iso(opened)}) comes twice or out of order"
    if opened > until:
        return f"({iso(opened)}) is later than it was asked for"
    for column, name in TEXTS.items():
        if not isinstance(row[column], str) or not DECIMAL.fullmatch(row[column]):
            return f"({iso(opened)}): {name} is {row[column]!r:.40}, not a decimal in text"
    return ""


def _parse(symbol: str, rows: list[Row], source: str) -> Bars:
    open_time = np.array([row[0] for row in rows], dtype=np.int64)
    columns = {name: np.array([float(row[column]) for row in rows]) for column, name in TEXTS.items()}
    columns["trades"] = np.array([float(row[TRADES]) for row in rows])
    return bars_from_columns(symbol, open_time, columns, source)
