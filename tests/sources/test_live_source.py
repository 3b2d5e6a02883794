"""A live bot whose bars come out of SQLite: the hours of a bot that asks the exchange, byte for byte."""

from __future__ import annotations

from pathlib import Path

from tests.support.bar_sources import sqlite_of
from tests.support.sourced_bot import HOURS, bars_file, lines_by_rest, lines_by_source
from trader.core.types import Bars


def test_a_bot_trades_the_same_hours_out_of_sqlite(tmp_path: Path) -> None:
    """A late bar included: one that is not there yet is waited for, then the tick ends with Retry, and the next
    one trades the hour."""
    file = bars_file(tmp_path / "market")
    expected = lines_by_rest(tmp_path / "rest", file)
    database = tmp_path / "bars.db"
    url = sqlite_of(database, [])

    def fill(bars: Bars) -> None:
        sqlite_of(database, [bars])

    found = lines_by_source(tmp_path / "source", file, url, fill)
    assert len(found) == HOURS
    assert found == expected
    assert any('"order_side":"BUY"' in line.replace(" ", "") for line in found)
