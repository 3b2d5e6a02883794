"""Copies for people, beside the journal: every closed hour as a row of a CSV, and the candles of each month.

    results/<symbol>/results.csv              the journal's lines, for a spreadsheet
    candles/<symbol>/<yyyy>/<mm>.csv          the signal's bars by the month of their open; `--bars` reads them

An observer writes them after the record. They decide nothing and can be made again from the journal and the market.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from trader.core.hours import LINE_KEYS
from trader.core.news import News
from trader.core.ports import Store
from trader.core.types import HOUR_MS, OPTIONAL_COLUMNS, Bars, iso

CANDLE_KEYS = ("open_time", "open", "high", "low", "close", "volume")


class Copies:
    """An observer that keeps both copies in a store. Safe to repeat: rows are renewed by their time."""

    name = "copies"

    def __init__(self, store: Store, bars: Callable[[], Bars]) -> None:
        self._store = store
        self._bars = bars

    def observe(self, news: News) -> None:
        """Renew the results, then the months of the news; with a bot's first hour, every month that is known."""
        if not news.records:
            return
        lines = [record["line"] for record in news.records]
        rows = [["" if line[key] is None else str(line[key]) for key in LINE_KEYS] for line in lines]
        self._renew(results_key(news.symbol), LINE_KEYS, rows)
        bars = self._bars()
        hours = [record["close_time"] for record in news.records]
        if len(bars):
            self._renew_candles(bars, hours, everything=hours[0] == news.began)

    def _renew_candles(self, bars: Bars, hours: Sequence[int], *, everything: bool) -> None:
        columns = (*CANDLE_KEYS, *(name for name in OPTIONAL_COLUMNS if getattr(bars, name) is not None))
        wanted = {iso(hour - HOUR_MS)[:7] for hour in hours}
        months: dict[str, list[list[str]]] = {}
        for row in np.flatnonzero(~bars.flagged):
            opened = iso(int(bars.close_time[row]) - HOUR_MS)
            if everything or opened[:7] in wanted:
                values = (_text(getattr(bars, name)[row]) for name in columns[1:])
                months.setdefault(opened[:7], []).append([opened, *values])
        begins = iso(bars.first - HOUR_MS)
        for month, rows in months.items():
            # A month that is known from its beginning need not be read first.
            whole = begins < month
            self._renew(candles_key(bars.symbol, month), columns, rows, whole=whole)

    def _renew(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[str]], whole: bool = False
    ) -> None:
        there = None if whole else self._store.get(key)
        self._store.put(key, merged(there, columns, rows))


def results_key(symbol: str) -> str:
    """Where the results of a symbol lie."""
    return f"results/{symbol}/results.csv"


def candles_key(symbol: str, month: str) -> str:
    """Where the candles of a month (yyyy-mm) lie."""
    return f"candles/{symbol}/{month[:4]}/{month[5:7]}.csv"


def merged(there: bytes | None, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV with these rows and those of `there` that they do not replace, by the first column, which sorts. A file with
    other columns, or one that is no text, is begun anew."""
    known: dict[str, Sequence[str]] = {}
    try:
        old = list(csv.reader(io.StringIO(there.decode()))) if there else []
    except (UnicodeDecodeError, csv.Error):
        old = []
    if old and old[0] == list(columns):
        known = {row[0]: row for row in old[1:] if len(row) == len(columns)}
    known.update((row[0], row) for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(known[time] for time in sorted(known))
    return text.getvalue().encode()


def _text(value: float) -> str:
    """The shortest text that reads as the same number; empty for what is unknown."""
    return "" if np.isnan(value) else repr(float(value))
