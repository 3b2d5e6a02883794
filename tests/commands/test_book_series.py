"""The page of a book over years: days and hours side by side, and pictures that stay small."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from trader.core.book import BookHour
from trader.core.risk import RiskState
from trader.core.types import DAY_MS, HOUR_MS, parse_hour
from trader.dashboard.book_figures import SPARK_POINTS, book_figures, spark
from trader.dashboard.book_series import columns_of, fold_book, fresh_book
from trader.dashboard.series import KEPT_HOURS, by_day

FIRST = parse_hour("2021-01-01T00:00Z")
HOURS = 200 * 24


def word(hour: int, **changes: Any) -> BookHour:
    """A word of a book of two symbols with 100 USDT of its own."""
    risk = RiskState.fresh(Decimal(1000))
    said = BookHour(hour, "", Decimal(1000), risk, Decimal(100), {}, {}, "", {"A": hour - HOUR_MS})
    return replace(said, **changes)


@pytest.fixture(scope="module")
def book() -> dict[str, Any]:
    """Two hundred days of words, one halt and one late symbol in January, cash moved once a week."""
    series = fresh_book()
    for i in range(HOURS):
        hour = FIRST + i * HOUR_MS
        changes: dict[str, Any] = {}
        if i == 100:
            changes = {
                "risk": replace(RiskState.fresh(Decimal(1000)), halted_at=hour, halt_reason="drawdown")
            }
        if i == 200:
            changes = {"records": {"A": hour - 5 * HOUR_MS}}
        if i % 168 == 0:
            changes = {**changes, "transfers": {"A": Decimal(5), "B": Decimal(-5)}}
        fold_book(series, word(hour, **changes))
        fold_book(series, word(hour, reserve_usdt=Decimal(0)))  # taken in already
    return series


def symbol_series(behind_hours: int = 0) -> dict[str, Any]:
    """A symbol of 450 USDT, half of it cash, by the day and by the hour."""
    rows = [
        [FIRST + i * HOUR_MS, 10.0 + i % 7, 400.0, 1, 0.5, 1, 2, 0.1, 0.0, 0.0, 3, 0, 225.0, 450.0]
        for i in range(HOURS - behind_hours)
    ]
    kept = KEPT_HOURS + 5
    days = [by_day(rows[i : i + 24]) for i in range(0, len(rows) - kept, 24)]
    first_hour = len(days) * 24
    return {"days": days, "hours": rows[first_hour:], "audit": [], "until": rows[-1][0]}


def test_old_words_become_days_and_lose_no_halt(book: dict[str, Any]) -> None:
    """Ninety days by the hour; a day is halted and late where any of its hours was; a word taken twice counts once."""
    assert KEPT_HOURS <= len(book["hours"]) <= KEPT_HOURS + 24
    assert len(book["days"]) * 24 + len(book["hours"]) == HOURS
    assert all(row[0] % DAY_MS == 23 * HOUR_MS for row in book["days"])
    assert [i for i, row in enumerate(book["days"]) if row[4]] == [100 // 24]
    assert [i for i, row in enumerate(book["days"]) if row[5]] == [200 // 24]
    assert {row[1] for row in book["days"]} == {100.0}
    assert len(book["moves"]) == -(-HOURS // 168)


@pytest.mark.parametrize("behind_hours", [0, 30])
def test_the_book_is_its_cash_and_its_symbols(book: dict[str, Any], behind_hours: int) -> None:
    """Equity, cash and what is held, over the hours and days that all have: a symbol that is behind ends them."""
    columns = columns_of(book, {"A": symbol_series(), "B": symbol_series(behind_hours)})
    assert set(columns.equity) == {1000.0}
    assert set(columns.cash) == {550.0}
    assert set(columns.drawdown) == {0.0}
    assert columns.times == sorted(columns.times)
    assert columns.times[-1] == FIRST + (HOURS - 1 - behind_hours) * HOUR_MS
    assert len(columns.closes["A"]) == len(columns.times) - columns.hourly
    view = {
        "capital": 1000.0,
        "happened": [],
        "weights": {"A": 0.5},
        "halt_drawdown": 0.3,
        "halt_cumulative_return": -0.2,
    }
    drawn = {it["id"]: it for it in book_figures(columns, book["moves"], view, public=False)}
    assert "the book halts at 30%" in drawn["drawdown"]["words"]
    assert "45% is held in symbols, 55% is cash; 10% is in no symbol" in drawn["exposure"]["words"]
    assert drawn["correlation"]["data"][0]["z"] == [[1.0, 1.0], [1.0, 1.0]]
    assert drawn["equity"]["data"][2]["text"][0] == "A +5.00, B -5.00"


def test_a_line_of_years_is_a_few_points() -> None:
    """The last value is there, the extremes stay within the picture, a flat line is drawn, and one point is none."""
    points = [tuple(map(float, it.split(","))) for it in spark([float(i) for i in range(3000)]).split()]
    assert len(points) <= SPARK_POINTS + 1
    assert points[0] == (0.0, 26.0)
    assert points[-1] == (120.0, 2.0)
    assert spark([1.0]) == ""
    assert len(spark([1.0, 1.0]).split()) == 2
