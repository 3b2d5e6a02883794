"""The copies for people: the journal's lines and the market's candles, renewed after each hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.fakes import MemoryStore
from tests.support.life import HOURS, START
from trader.adapters.files import read_bars
from trader.adapters.store_local import LocalStore
from trader.adapters.tables import write_csv
from trader.app.journal import Journal
from trader.core.news import News
from trader.core.types import HOUR_MS, Bars, no_bars, parse_hour
from trader.observers.copies import Copies, by_month, candles_key, merged, results_key

# The first bar that opens in March closes here.
MARCH = parse_hour("2021-03-01T01:00")


@pytest.fixture
def market(gappy_bars: Path) -> Bars:
    """The bars that the bot traded on, up to its last hour."""
    return read_bars(gappy_bars, "BTCUSDT").until(START + (HOURS - 1) * HOUR_MS)


def news_of(traded: Path, first: int, last: int) -> News:
    """The hours `first` to `last` (counted from the beginning) as an observer hears them."""
    journal = Journal(LocalStore(traded), "BTCUSDT")
    records = list(journal.records(START + first * HOUR_MS, START + last * HOUR_MS))
    return News("BTCUSDT", "abcd", START, records, lambda _: [], [], journal.store)


def told(store: MemoryStore, traded: Path, market: Bars, *parts: tuple[int, int]) -> None:
    """An observer hears of these hours, each part in a process of its own."""
    for first, last in parts:
        Copies(store, market.span).observe(news_of(traded, first, last))


def test_results_are_the_journal_as_csv(traded: Path, market: Bars, tmp_path: Path) -> None:
    """Hour by hour, or all at once, or twice: the file is what `trader journal --csv` prints."""
    lines = [record.line for record in Journal(LocalStore(traded), "BTCUSDT").records()]
    with (tmp_path / "wanted.csv").open("w") as file:
        write_csv(file, lines)
    wanted = (tmp_path / "wanted.csv").read_bytes()
    for parts in ([(0, HOURS)], [(i, i + 1) for i in range(HOURS)], [(0, 30), (20, 40), (39, HOURS)]):
        store = MemoryStore()
        told(store, traded, market, *parts)
        assert store.get(results_key("BTCUSDT", "2021")) == wanted


def test_candles_are_read_back_as_the_bars_they_were(traded: Path, market: Bars, tmp_path: Path) -> None:
    """The month is there from its first hour on; read by `--bars`, the bars are equal, gaps and all."""
    store = MemoryStore()
    told(store, traded, market, (0, 5), (5, HOURS))
    key = candles_key("BTCUSDT", "2021-03")
    assert store.list("candles/") == [key]
    (tmp_path / "BTCUSDT-copy.csv").write_bytes(store.objects[key])
    again, wanted = read_bars(tmp_path / "BTCUSDT-copy.csv"), market.rows(market.row(MARCH), len(market))
    for column in ("close_time", "open", "high", "low", "close", "volume", "flagged"):
        assert np.array_equal(getattr(again, column), getattr(wanted, column)), column


def test_news_over_two_months_renew_both(gappy_bars: Path) -> None:
    """A backlog that begins in February and ends in March writes both months; an hour belongs to the month of its open."""
    bars = read_bars(gappy_bars, "BTCUSDT")
    hours = by_month(bars.span(MARCH - 2 * HOUR_MS, MARCH + HOUR_MS))
    assert {month: len(text.splitlines()) - 1 for month, text in hours.items()} == {
        "2021-02": 2,
        "2021-03": 1,
    }


def test_nothing_new_writes_nothing(traded: Path, market: Bars) -> None:
    """Events without a closed hour leave the copies alone; without bars only the results are written."""
    store = MemoryStore()
    told(store, traded, market, (3, 3))
    assert store.objects == {}
    told(store, traded, no_bars("BTCUSDT"), (3, 4))
    assert store.list("") == [results_key("BTCUSDT", "2021")]


@pytest.mark.parametrize("there", [None, b"", b"\xff\xfe", b"other,columns\n1,2\n", b"a,b\n1\n", b'a,b\n"1'])
def test_a_damaged_copy_is_begun_anew(there: bytes | None) -> None:
    """A copy decides nothing: what cannot be read is replaced."""
    assert merged(there, ("a", "b"), [("2", "x")]) == b"a,b\n2,x\n"
