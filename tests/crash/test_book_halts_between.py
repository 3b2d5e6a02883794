"""A person halts, changes the list or starts a second book between two steps of a running one: no order leaves that should not,
and no cash is lost or counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.book_crew import (
    CAPITAL,
    HOUR,
    PARAMS,
    SYMBOLS,
    BegunBook,
    BookScene,
    a_book,
    book_exchange,
    fall,
    settings_for,
)
from tests.support.crew import STATE, STORE
from trader import wiring
from trader.adapters.clocks import SimClock
from trader.app.book_halts import halt_book, release, resume_book
from trader.app.book_replay import replay_book
from trader.app.book_store_check import check_book
from trader.app.book_symbols import change_symbols
from trader.app.book_tick import BookTicked, tick_book
from trader.app.halts import announce, standing_halt
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.retrain import retrain
from trader.core.types import HOUR_MS

SOL, OTHERS = "SOLUSDT", ("BTCUSDT", "ETHUSDT")


def of_list(made: BookScene, symbol: str, symbols: tuple[str, ...] = SYMBOLS) -> Journal:
    """A journal of a book of these symbols."""
    return Journal(wiring.make_store(settings_for(made.url, made.store)), symbol, symbols)


def ticked(made: BookScene, hour: int, symbols: tuple[str, ...] = SYMBOLS) -> BookTicked:
    """One tick at an hour by a process that has just begun with these symbols."""
    made.move_to(hour)
    with a_book(made.url, made.store, symbols=symbols) as book:
        return tick_book(book)


def resumed(made: BookScene, hour: int, symbols: tuple[str, ...] = SYMBOLS) -> None:
    """A person resumes the book."""
    sleeves = [of_list(made, it, symbols) for it in symbols]
    resume_book(of_list(made, BOOK, symbols), sleeves, hour, "looked at")


def holds_together(made: BookScene, symbols: tuple[str, ...] = SYMBOLS) -> None:
    """`trader store verify` of the whole book finds nothing."""
    checks = check_book([of_list(made, it, symbols) for it in symbols])
    assert {name: it.problems for name, it in checks.items()} == {it: [] for it in checks}


def test_a_symbol_is_halted_while_its_transfer_is_on_its_way(fresh_book: BookScene) -> None:
    """Killed after the book record of a rebalance, then a person halts a symbol: its transfer is booked once, it buys nothing,
    and the others trade the hour."""
    assert fall(fresh_book, "write", 1, "after")
    given = fresh_book.book_hour(HOUR).transfer(SOL)
    assert given != 0
    announce(fresh_book.journal(SOL), HOUR, "person", freeze=False, by="person", message="what is this")
    fresh_book.finish()
    fresh_book.check_money(HOUR)
    record = fresh_book.journal(SOL).record(HOUR)
    assert record is not None
    assert record.halted
    assert "BUY" not in {it["side"] for it in fresh_book.orders(SOL)}
    assert [it["side"] for it in fresh_book.orders("BTCUSDT")] == ["BUY"]
    fresh_book.move_to(HOUR + HOUR_MS)
    fresh_book.finish(HOUR + HOUR_MS)
    fresh_book.check_money(HOUR + HOUR_MS)
    assert fresh_book.book_hour(HOUR + HOUR_MS).pending == {}
    holds_together(fresh_book)


def test_the_book_is_halted_while_transfers_are_on_their_way(fresh_book: BookScene) -> None:
    """Killed after the book record and one decision, then a person halts the whole book: the hour ends by its record, every
    symbol is sold in the next one, and each transfer is booked once."""
    assert fall(fresh_book, "write", 2, "after")
    halt_book(fresh_book.journal(BOOK), HOUR, freeze=False, message="what is this")
    fresh_book.finish()
    fresh_book.check_money(HOUR)
    for hour in (HOUR + HOUR_MS, HOUR + 2 * HOUR_MS):
        fresh_book.move_to(hour)
        fresh_book.finish(hour)
        fresh_book.check_money(hour)
        assert fresh_book.book_hour(hour).halted
        assert fresh_book.book_hour(hour).transfers == {}
    for symbol in SYMBOLS:
        record = fresh_book.journal(symbol).record(HOUR + 2 * HOUR_MS)
        assert record is not None
        assert (record.halted, record.risk.halt_reason) == (True, "book")
        assert record.ledger.position * record.close < 10
    holds_together(fresh_book)


def test_a_symbol_is_removed_while_the_book_is_halted(fresh_book: BookScene) -> None:
    """Sold by the halt of the book, released and taken out of the list: after the resume the others trade with all the cash, and
    the removed one is never traded again."""
    halt_book(fresh_book.journal(BOOK), HOUR, freeze=False, message="SOL is renamed")
    assert ticked(fresh_book, HOUR).failed == {}
    release(fresh_book.journal(BOOK), fresh_book.journal(SOL), HOUR, "renamed")
    assert ticked(fresh_book, HOUR + HOUR_MS).failed == {}
    changed = change_symbols(of_list(fresh_book, BOOK), OTHERS, HOUR + HOUR_MS, "renamed")
    assert changed is not None
    assert changed.written_off_usdt < 10
    halted = ticked(fresh_book, HOUR + 2 * HOUR_MS, OTHERS)
    assert (halted.failed, halted.halted) == ({}, True)
    resumed(fresh_book, HOUR + 2 * HOUR_MS, OTHERS)
    for hour in range(HOUR + 3 * HOUR_MS, HOUR + 5 * HOUR_MS, HOUR_MS):
        done = ticked(fresh_book, hour, OTHERS)
        assert (done.failed, done.halted) == ({}, False)
    assert done.book_record is not None
    said = done.book_record.hour
    assert (said.reason, set(said.weights)) == ("rebalance", set(OTHERS))
    assert abs(said.equity_usdt / CAPITAL - 1) < Decimal("0.05")
    assert fresh_book.orders(SOL, HOUR + 2 * HOUR_MS) == []
    holds_together(fresh_book, OTHERS)


@pytest.fixture
def two_of_three(begun_book: BegunBook, tmp_path: Path) -> Iterator[BookScene]:
    """A book of two that has traded four hours before HOUR, at an exchange that trades three."""
    first = HOUR - 4 * HOUR_MS
    with book_exchange(begun_book.bars, first - HOUR_MS, tmp_path / STATE) as served:
        with a_book(served.url, tmp_path / STORE, symbols=OTHERS) as book:
            clock = next(iter(book.sleeves.values())).clock
            assert isinstance(clock, SimClock)
            replay_book(book, clock, dict.fromkeys(OTHERS, PARAMS), first, HOUR)
        yield BookScene(served, tmp_path / STORE)


def test_a_symbol_is_added_while_the_book_is_halted(two_of_three: BookScene) -> None:
    """It begins halted, without cash and without an order; the resume lifts its halt with those of the others, and at the next
    rebalance it gets its share."""
    made = two_of_three
    halt_book(of_list(made, BOOK, OTHERS), HOUR, freeze=False, message="a person looks")
    assert ticked(made, HOUR, OTHERS).failed == {}
    change_symbols(of_list(made, BOOK, OTHERS), SYMBOLS, HOUR, "added")
    with a_book(made.url, made.store, symbols=SYMBOLS) as book:
        bot = book.sleeves[SOL]
        retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, HOUR + HOUR_MS, bot.version)
    done = ticked(made, HOUR + HOUR_MS)
    assert (done.failed, done.halted) == ({}, True)
    record = of_list(made, SOL).record(HOUR + HOUR_MS)
    assert record is not None
    assert (record.halted, record.ledger.cash, record.ledger.position) == (True, 0, 0)
    resumed(made, HOUR + HOUR_MS)
    for hour in range(HOUR + 2 * HOUR_MS, HOUR + 5 * HOUR_MS, HOUR_MS):
        done = ticked(made, hour)
        assert (done.failed, done.halted) == ({}, False), hour
    assert done.book_record is not None
    assert done.book_record.hour.transfer(SOL) > 4_000
    holds_together(made)


def test_a_second_book_on_the_account_buys_nothing(fresh_book: BookScene, tmp_path: Path) -> None:
    """Another store counts on the same cash: its first hour halts before an order leaves, and the first book trades on."""
    second = tmp_path / "second"
    before = fresh_book.sim("/sim/ledger")
    with a_book(fresh_book.url, second) as book:
        for bot in book.sleeves.values():
            retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, HOUR, bot.version)
        done = tick_book(book)
        assert done.halted
        halt = standing_halt(book.hours.journal)
    assert halt is not None
    assert halt.reason == "reconcile"
    assert "USDT missing" in halt.message
    assert fresh_book.sim("/sim/ledger") == before
    fresh_book.finish()
    fresh_book.check_hour()
    fresh_book.check_money(HOUR)
