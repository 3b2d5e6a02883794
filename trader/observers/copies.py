"""Copies for people, beside the journal: every closed hour as a row of a CSV, and the candles of each month.

    results/<symbol>/<yyyy>/results.csv    the journal's lines of a year, for a spreadsheet
    candles/<symbol>/<yyyy>/<mm>.csv       the signal's bars by the month of their open; `--bars` reads them

An observer writes them after the record. They decide nothing and can be made again from the journal and the market. No cell is
a formula: a text that would be one begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from trader.core.features import month_start
from trader.core.hours import LINE_KEYS, line_json
from trader.core.news import News
from trader.core.ports import Store
from trader.core.text import write_csv_rows
from trader.core.types import HOUR_MS, OPTIONAL_COLUMNS, Bars, iso

CANDLE_KEYS = ("open_time", "open", "high", "low", "close", "volume")


class Copies:
    """An observer that keeps both copies in a store. Safe to repeat: rows are renewed by their time.

    bars(start, stop) gives the signal's bars with start <= close_time < stop, UTC ms.
    """

    name = "copies"

    def __init__(self, store: Store, bars: Callable[[int, int], Bars]) -> None:
        self._store = store
        self._bars = bars

    def observe(self, news: News) -> None:
        """Renew the results, and the candles of the months in which the news' hours opened."""
        if not news.records:
            return
        years: dict[str, list[list[str]]] = {}
        for line in (line_json(record.line) for record in news.records):
            row = ["" if line[key] is None else str(line[key]) for key in LINE_KEYS]
            years.setdefault(line["close_time"][:4], []).append(row)
        for year, rows in years.items():
            key = results_key(news.symbol, year)
            self._store.put(key, merged(self._store.get(key), LINE_KEYS, rows))
        hours = [record.close_time for record in news.records]
        bars = self._bars(month_start(hours[0] - HOUR_MS) + HOUR_MS, hours[-1] + HOUR_MS)
        for month, candles in by_month(bars).items():
            self._store.put(candles_key(news.symbol, month), candles)


def by_month(bars: Bars) -> dict[str, bytes]:
    """A CSV for each month (yyyy-mm, of the open); rows that only fill a gap are left out."""
    columns = (*CANDLE_KEYS, *(name for name in OPTIONAL_COLUMNS if getattr(bars, name) is not None))
    months: dict[str, list[list[str]]] = {}
    for row in np.flatnonzero(~bars.flagged):
        opened = iso(int(bars.close_time[row]) - HOUR_MS)
        values = (_text(getattr(bars, name)[row]) for name in columns[1:])
        months.setdefault(opened[:7], []).append([opened, *values])
    return {month: merged(None, columns, rows) for month, rows in months.items()}


def results_key(symbol: str, year: str) -> str:
    """Where the results of a year lie."""
    return f"results/{symbol}/{year}/results.csv"


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
    write_csv_rows(text, [columns, *(known[time] for time in sorted(known))])
    return text.getvalue().encode()


def _text(value: float) -> str:
    """The shortest text that reads as the same number; empty for what is unknown."""
    return "" if np.isnan(value) else repr(float(value))
