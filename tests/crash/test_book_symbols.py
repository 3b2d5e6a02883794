"""A book's list of symbols changes while it runs: a person says it, nothing is lost, and an old process stops."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.book_crew import (
    HOUR,
    PARAMS,
    SYMBOLS,
    BegunBook,
    BookScene,
    a_book,
    book_exchange,
    book_params,
    settings_for,
)
from tests.support.crew import STATE, STORE
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.book_halts import release
from trader.app.book_hours import closed_hours
from trader.app.book_journal import BookJournal
from trader.app.book_replay import replay_book
from trader.app.book_status import book_status
from trader.app.book_store_check import check_book
from trader.app.book_symbols import change_symbols
from trader.app.book_tick import BookTicked, tick_book
from trader.app.halts import announce
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.retrain import retrain
from trader.core.errors import ConfigError, WrongStore
from trader.core.types import HOUR_MS
from trader.exchange.scenarios import SCENARIOS

SOL, OTHERS = "SOLUSDT", ("BTCUSDT", "ETHUSDT")
DELISTED = [{**it, "symbol": SOL} for it in SCENARIOS["symbol_delisted"]]


def of_list(made: BookScene, symbol: str, symbols: tuple[str, ...] = SYMBOLS) -> Journal:
    """A journal of a book of these symbols."""
    return Journal(wiring.make_store(settings_for(made.url, made.store)), symbol, symbols)


def change(made: BookScene, symbols: tuple[str, ...], now: tuple[str, ...] = SYMBOLS, **more: Any) -> Any:
    """A person changes the list from `now` to these symbols."""
    return change_symbols(of_list(made, BOOK, now), symbols, HOUR, "a test", **more)


def ticked(made: BookScene, hour: int, symbols: tuple[str, ...]) -> BookTicked:
    """One tick at an hour by a process that has just begun with these symbols."""
    made.move_to(hour)
    with a_book(made.url, made.store, symbols=symbols) as book:
        return tick_book(book)


@pytest.fixture
def two_of_three(begun_book: BegunBook, tmp_path: Path) -> Iterator[BookScene]:
    """A book of two that has traded the four hours before HOUR, at an exchange that trades three."""
    first = HOUR - 4 * HOUR_MS
    with book_exchange(begun_book.bars, first - HOUR_MS, tmp_path / STATE) as served:
        with a_book(served.url, tmp_path / STORE, symbols=OTHERS) as book:
            clock = next(iter(book.sleeves.values())).clock
            assert isinstance(clock, SimClock)
            replay_book(book, clock, dict.fromkeys(OTHERS, PARAMS), first, HOUR)
        scene = BookScene(served, tmp_path / STORE)
        scene.move_to(HOUR)
        yield scene


def test_a_symbol_is_removed_after_it_was_sold_and_released(fresh_book: BookScene) -> None:
    """Each step before it is demanded in words; afterwards the others trade on with all the cash, the book's hours of before and
    after are told in one run, and the store holds together."""
    with pytest.raises(ConfigError, match="SOLUSDT still trades, so it cannot be removed"):
        change(fresh_book, OTHERS)
    ticked(fresh_book, HOUR, SYMBOLS)
    announce(of_list(fresh_book, SOL), HOUR, "person", freeze=True, by="person", message="it is renamed")
    with pytest.raises(ConfigError, match=r"SOLUSDT still has .* USDT. Give them back"):
        change(fresh_book, OTHERS)
    release(of_list(fresh_book, BOOK), of_list(fresh_book, SOL), HOUR, "it is renamed")
    ticked(fresh_book, HOUR + HOUR_MS, SYMBOLS)
    with pytest.raises(ConfigError, match=r"SOLUSDT still holds .* worth .* Sell it first"):
        change(fresh_book, OTHERS)
    before = fresh_book.book_hour(HOUR + HOUR_MS)
    event = change(fresh_book, OTHERS, write_off=True)
    assert event.symbols == OTHERS
    with pytest.raises(WrongStore, match="this store is of BTCUSDT, ETHUSDT, and the book names"):
        ticked(fresh_book, HOUR + 2 * HOUR_MS, SYMBOLS)
    done = ticked(fresh_book, HOUR + 2 * HOUR_MS, OTHERS)
    assert (done.failed, set(done.ticked)) == ({}, set(OTHERS))
    assert done.book_record is not None
    said = done.book_record.hour
    assert (said.symbols_event, set(said.records)) == (1, set(OTHERS))
    lost = before.equity_usdt - said.equity_usdt
    assert abs(lost - event.written_off_usdt) < Decimal(100)  # the others' own hour beside it
    journals = {it: of_list(fresh_book, it, OTHERS) for it in OTHERS}
    told = list(closed_hours(BookJournal(of_list(fresh_book, BOOK, OTHERS)), journals))
    assert [len(it.records) for it in told[-3:]] == [3, 3, 2]
    checks = check_book(list(journals.values()))
    assert {name: it.problems for name, it in checks.items()} == {it: [] for it in (*SYMBOLS, BOOK)}


def test_a_delisted_symbol_is_released_and_removed(fresh_book: BookScene) -> None:
    """The exchange trades it no more: it halts by itself, a person releases its cash and takes it out of the list. The equity of
    the book has no step, no tick fails for it any more, and the symbol does not come back."""
    fresh_book.sim("/sim/faults", DELISTED)
    assert set(ticked(fresh_book, HOUR, SYMBOLS).failed) == {SOL}
    release(of_list(fresh_book, BOOK), of_list(fresh_book, SOL), HOUR, "delisted")
    before = ticked(fresh_book, HOUR + HOUR_MS, SYMBOLS)
    change(fresh_book, OTHERS)
    assert change(fresh_book, OTHERS, OTHERS) is None
    done = ticked(fresh_book, HOUR + 2 * HOUR_MS, OTHERS)
    assert done.failed == {}
    assert before.book_record is not None
    assert done.book_record is not None
    said = done.book_record.hour
    assert said.pending == {}
    assert abs(said.equity_usdt / before.book_record.hour.equity_usdt - 1) < Decimal("0.03")
    assert said.reserve_usdt == before.book_record.hour.reserve_usdt > 5_000
    with pytest.raises(ConfigError, match="SOLUSDT was a symbol of this book before"):
        change(fresh_book, SYMBOLS, OTHERS)


def test_an_added_symbol_begins_with_nothing_and_gets_its_share(two_of_three: BookScene) -> None:
    """Added to a running book of two: an old process stops, the others trade before its first model, it joins with the hour that
    the model serves from, takes its share at the next rebalance, and the money is all there."""
    made = two_of_three
    with a_book(made.url, made.store, symbols=OTHERS) as old:
        change(made, SYMBOLS, OTHERS)
        with pytest.raises(ConfigError, match="changed since this process began"):
            tick_book(old)
    done = ticked(made, HOUR, SYMBOLS)
    assert set(done.failed) == {SOL}
    assert "has not begun yet" in str(done.failed[SOL])
    assert done.book_record is not None
    assert set(done.book_record.hour.transfers) <= set(OTHERS)
    with a_book(made.url, made.store, symbols=SYMBOLS) as book:
        bot = book.sleeves[SOL]
        retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, HOUR + HOUR_MS, bot.version)
    for hour in range(1, 5):
        done = ticked(made, HOUR + hour * HOUR_MS, SYMBOLS)
        assert done.failed == {}
        assert done.book_record is not None
        assert abs(done.book_record.hour.equity_usdt / 30_000 - 1) < Decimal("0.05")
        given = done.book_record.hour.transfer(SOL)
        assert (given > 1_000) == (hour == 4), (hour, given)
    journals = {it: of_list(made, it) for it in SYMBOLS}
    book_journal = BookJournal(of_list(made, BOOK))
    assert [len(it.records) for it in closed_hours(book_journal, journals)][-6:] == [2, 2, 3, 3, 3, 3]
    status = book_status(book_journal.journal, journals, book_params(), HOUR + 4 * HOUR_MS)
    assert (status.state, status.behind_hours) == ("trading", 0)
    checks = check_book(list(journals.values()))
    assert [it.problems for it in checks.values()] == [[]] * 4
