"""What the page of a book remembers beside its symbols' own series: the book records, folded one by one.

The last KEPT_HOURS stand hourly, everything older by day, as in `series`; so the page of fifty symbols and years stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trader.core.book import BookHour
from trader.core.types import DAY_MS, Json, plain
from trader.dashboard.series import KEPT_HOURS

SCHEMA = "book-series/1"
KEPT_MOVES = 500


def fresh_book() -> Json:
    """Before the first record."""
    return {"schema": SCHEMA, "until": 0, "hours": [], "days": [], "moves": []}


def fold_book(series: Json, book_hour: BookHour) -> None:
    """Take one hour's record in. Records come in the order of their hours; one that was taken in already is passed over."""
    if book_hour.close_time <= series["until"]:
        return
    series["hours"].append(_row(book_hour))
    if book_hour.transfers:
        moved = {symbol: plain(amount) for symbol, amount in book_hour.transfers.items()}
        series["moves"] = [*series["moves"], [book_hour.close_time, moved]][-KEPT_MOVES:]
    series["until"] = book_hour.close_time
    if len(series["hours"]) > KEPT_HOURS + 24:
        rows = series["hours"]
        day = rows[0][0] // DAY_MS
        cut = next(i for i, row in enumerate(rows) if row[0] // DAY_MS != day)
        series["days"].append(_by_day(rows[:cut]))
        series["hours"] = rows[cut:]


def _row(book_hour: BookHour) -> list[Any]:
    """time, cash in no symbol, peak and base of the risk epoch, halted, late symbols."""
    risk = book_hour.risk
    return [
        book_hour.close_time,
        round(float(book_hour.reserve_usdt), 2),
        round(float(risk.peak_equity), 2),
        round(float(risk.base_equity), 2),
        int(book_hour.halted),
        len(book_hour.late),
    ]


def _by_day(rows: list[list[Any]]) -> list[Any]:
    """A day's hours as one row at its last hour: halted or late where it was so at any hour."""
    return [*rows[-1][:4], max(row[4] for row in rows), max(row[5] for row in rows)]


@dataclass(frozen=True, slots=True)
class BookColumns:
    """The book over the hours and days that it and all its symbols have a row of, (n,) each. times: UTC ms. equity, cash,
    reserve: USDT; reserve is in no symbol. drawdown, epoch_return: shares. linked: each symbol's equity without transfers;
    sleeves: with them; closes: prices of the hourly rows, from `hourly` on."""

    times: list[int]
    equity: list[float]
    cash: list[float]
    reserve: list[float]
    drawdown: list[float]
    epoch_return: list[float]
    linked: Mapping[str, list[float]]
    sleeves: Mapping[str, list[float]]
    closes: Mapping[str, list[float]]
    hourly: int


def columns_of(book: Json, symbols: Mapping[str, Json]) -> BookColumns:
    """The series of a book and of its symbols, side by side."""
    book_rows = {row[0]: row for row in [*book["days"], *book["hours"]]}
    days = {name: {row[0]: row for row in it["days"]} for name, it in symbols.items()}
    hours = {name: {row[0]: row for row in it["hours"]} for name, it in symbols.items()}
    times = sorted(
        book_rows.keys() & set.intersection(*(days[it].keys() | hours[it].keys() for it in symbols))
    )
    in_hours = [time for time in times if all(time in hours[it] for it in symbols)]
    # A row's place of cash and equity is another by the day than by the hour.
    cells = {
        name: [_cells(hours[name].get(time), days[name].get(time)) for time in times] for name in symbols
    }
    reserve = [float(book_rows[time][1]) for time in times]
    equity = [round(kept + sum(cells[it][i][2] for it in symbols), 2) for i, kept in enumerate(reserve)]
    peaks = [max(float(book_rows[time][2]), now) for time, now in zip(times, equity, strict=True)]
    return BookColumns(
        times=times,
        equity=equity,
        cash=[round(kept + sum(cells[it][i][1] for it in symbols), 2) for i, kept in enumerate(reserve)],
        reserve=reserve,
        drawdown=[round(1 - now / peak, 6) for now, peak in zip(equity, peaks, strict=True)],
        epoch_return=[
            round(now / float(book_rows[t][3]) - 1, 6) for t, now in zip(times, equity, strict=True)
        ],
        linked={it: [row[0] for row in cells[it]] for it in symbols},
        sleeves={it: [row[2] for row in cells[it]] for it in symbols},
        closes={it: [float(hours[it][time][1]) for time in in_hours] for it in symbols},
        hourly=len(times) - len(in_hours),
    )


def _cells(hour: list[Any] | None, day: list[Any] | None) -> tuple[float, float, float]:
    """Equity without transfers, cash, and equity of a row."""
    if hour is not None:
        return float(hour[2]), float(hour[12]), float(hour[13])
    assert day is not None, "a time is of an hour or of a day"  # noqa: S101 - for the type checker
    return float(day[2]), float(day[9]), float(day[10])
