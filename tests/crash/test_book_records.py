"""What a book says of an hour: that every symbol of that very hour decides by it, that it is not lost unseen, and that halts and
resumes of a person between hours reach all symbols."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.book_crew import (
    HOUR,
    PARAMS,
    START,
    SYMBOLS,
    BegunBook,
    BookScene,
    Fall,
    Killed,
    a_book,
    book_exchange,
    trap_book,
)
from tests.support.crew import TrappedStore
from tests.support.fakes import FakeClock
from trader.adapters.clocks import SimClock
from trader.app.book import Book
from trader.app.book_halts import halt_book, resume_book
from trader.app.book_journal import hour_key
from trader.app.book_tick import tick_book
from trader.app.halts import standing_halt
from trader.app.journal import Journal, hour_folder
from trader.app.layout import BOOK
from trader.app.replay import begin
from trader.core.errors import ConfigError, DataError
from trader.core.types import HOUR_MS

SOL = "SOLUSDT"
SHUT = [
    {"path": "/api/*", "symbol": SOL, "action": "reply", "status": 503, "body": {"code": -1001, "msg": "no"}}
]


def move_within(book: Book, made: BookScene, symbol: str, to: int) -> None:
    """Set the clock forward as soon as this symbol asks for its orders."""
    exchange: Any = book.sleeves[symbol].exchange
    orders = exchange.orders

    def moved(asked: str, since_ms: int | None) -> Any:
        found = orders(asked, since_ms)
        if asked == symbol:
            made.move_to(to)
        return found

    exchange.orders = moved


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_an_hour_that_begins_within_a_tick_is_not_decided_unheard(fresh_book: BookScene, symbol: str) -> None:
    """The clock passes into the next rebalance hour while a tick is on its way: no symbol decides that hour before its
    book record is made, so that every transfer is booked."""
    for hour in range(HOUR, HOUR + 3 * HOUR_MS, HOUR_MS):
        fresh_book.move_to(hour)
        fresh_book.finish(hour)
    late, next_hour = HOUR + 3 * HOUR_MS, HOUR + 4 * HOUR_MS
    fresh_book.move_to(next_hour - 1000)
    with fresh_book.book() as book:
        move_within(book, fresh_book, symbol, next_hour)
        tick_book(book)
    assert fresh_book.book_hour(late).close_time == late
    fresh_book.finish(next_hour)
    assert fresh_book.book_hour(next_hour).transfers
    fresh_book.check_money(next_hour)


@pytest.mark.parametrize("freeze", [True, False])
def test_a_person_halts_a_book(fresh_book: BookScene, freeze: bool) -> None:
    """Every symbol halts with the next hour; it keeps what it holds where the person said so, else it sells. A resume begins
    anew in all of them."""
    fresh_book.finish()
    before = {it: fresh_book.journal(it).record(HOUR) for it in SYMBOLS}
    halt_book(fresh_book.journal(BOOK), HOUR + 60_000, freeze=freeze, message="maintenance")
    fresh_book.move_to(HOUR + HOUR_MS)
    assert fresh_book.finish(HOUR + HOUR_MS).halted
    for symbol in SYMBOLS:
        record, earlier = fresh_book.journal(symbol).record(HOUR + HOUR_MS), before[symbol]
        assert record is not None
        assert earlier is not None
        assert record.halted
        kept = earlier.ledger.position if freeze else Decimal(0)
        assert record.ledger.position // Decimal("0.01") == kept // Decimal("0.01"), symbol
    fresh_book.check_money(HOUR + HOUR_MS)
    resumed(fresh_book)
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    assert not fresh_book.finish(HOUR + 2 * HOUR_MS).halted
    fresh_book.check_money(HOUR + 2 * HOUR_MS)


def resumed(made: BookScene) -> None:
    """A person lifts the halt."""
    resume_book(
        made.journal(BOOK), [made.journal(it) for it in SYMBOLS], made.sim("/sim/clock")["now"], "over"
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_resume_killed_between_its_events(fresh_book: BookScene, n: int) -> None:
    """However many of its events were written, the next hour trades every symbol again: they follow the book."""
    fresh_book.finish()
    halt_book(fresh_book.journal(BOOK), HOUR + 60_000, freeze=True, message="maintenance")
    fresh_book.move_to(HOUR + HOUR_MS)
    fresh_book.finish(HOUR + HOUR_MS)
    trap = Fall(n, "after")
    with suppress(Killed):
        stores = [TrappedStore(fresh_book.journal(it).store, trap) for it in (BOOK, *SYMBOLS)]
        own, *sleeves = [Journal(s, it, SYMBOLS) for s, it in zip(stores, (BOOK, *SYMBOLS), strict=True)]
        resume_book(own, sleeves, HOUR + HOUR_MS + 60_000, "over")
    assert trap.fallen
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    assert not fresh_book.finish(HOUR + 2 * HOUR_MS).halted
    assert [standing_halt(fresh_book.journal(it)) for it in (BOOK, *SYMBOLS)] == [None] * 4
    fresh_book.check_money(HOUR + 2 * HOUR_MS)


def test_a_resume_while_a_symbol_is_late(fresh_book: BookScene) -> None:
    """A symbol that was shut during the whole halt closes its halted hours after the resume, and then trades on with the book."""
    fresh_book.finish()
    halt_book(fresh_book.journal(BOOK), HOUR + 60_000, freeze=False, message="maintenance")
    fresh_book.sim("/sim/faults", SHUT)
    fresh_book.move_to(HOUR + HOUR_MS)
    with fresh_book.book() as book:
        assert set(tick_book(book).failed) == {SOL}
    resumed(fresh_book)
    fresh_book.sim("/sim/faults", [])
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    assert not fresh_book.finish(HOUR + 2 * HOUR_MS).halted
    assert standing_halt(fresh_book.journal(SOL)) is None
    record = fresh_book.journal(SOL).record(HOUR + HOUR_MS)
    assert record is not None
    assert record.halted
    fresh_book.check_money(HOUR + 2 * HOUR_MS)


def test_a_symbol_that_was_halted_by_itself_stays_so(fresh_book: BookScene) -> None:
    """A resume of the book lifts no halt that a symbol has of its own."""
    fresh_book.finish()
    halt_book(fresh_book.journal(SOL), HOUR + 60_000, freeze=True, message="this one only")
    fresh_book.move_to(HOUR + HOUR_MS)
    fresh_book.finish(HOUR + HOUR_MS)
    halt_book(fresh_book.journal(BOOK), HOUR + HOUR_MS + 60_000, freeze=True, message="maintenance")
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    fresh_book.finish(HOUR + 2 * HOUR_MS)
    resumed(fresh_book)
    fresh_book.move_to(HOUR + 3 * HOUR_MS)
    fresh_book.finish(HOUR + 3 * HOUR_MS)
    halted = {it: fresh_book.journal(it).record(HOUR + 3 * HOUR_MS).halted for it in SYMBOLS}  # type: ignore[union-attr]
    assert halted == {"BTCUSDT": False, "ETHUSDT": False, SOL: True}


@pytest.mark.parametrize("lost", [(HOUR,), (HOUR, HOUR - HOUR_MS), (START,), (HOUR - 4 * HOUR_MS,)])
def test_a_lost_book_record_is_noticed(fresh_book: BookScene, lost: tuple[int, ...]) -> None:
    """A book record that symbols have decided by is gone: none is made in its place, which would move its cash a second time; the
    message names the object and the way out. Once the object is back, the book goes on."""
    fresh_book.finish()
    kept = {hour: (fresh_book.store / hour_key(hour)).read_bytes() for hour in lost}
    for hour in lost:
        (fresh_book.store / hour_key(hour)).unlink()
    fresh_book.move_to(HOUR + HOUR_MS)
    if HOUR in lost:
        with fresh_book.book() as book, pytest.raises(DataError, match="restore it from a copy"):
            tick_book(book)
        assert not (fresh_book.store / hour_key(HOUR)).exists()
        assert not (fresh_book.store / hour_key(HOUR + HOUR_MS)).exists()
    for hour, data in kept.items():
        (fresh_book.store / hour_key(hour)).write_bytes(data)
    fresh_book.finish(HOUR + HOUR_MS)
    fresh_book.check_money(HOUR + HOUR_MS)


def test_an_edited_book_record_is_noticed(fresh_book: BookScene) -> None:
    """A transfer is changed after symbols have decided by it: nothing is sent for a decision that was made by another record."""
    trap = Fall(3, "after")  # the book record, and two decisions
    with fresh_book.book() as book:
        trap_book(book, "write", trap)
        with suppress(Killed):
            tick_book(book)
    path = fresh_book.store / hour_key(HOUR)
    kept = path.read_bytes()
    content = json.loads(kept)
    content["transfers"]["BTCUSDT"] = "1083.23"
    path.write_text(json.dumps(content))
    with fresh_book.book() as book:
        failed = tick_book(book).failed
    assert "another book record" in str(failed["BTCUSDT"])
    assert isinstance(failed["BTCUSDT"], DataError)
    assert fresh_book.orders("BTCUSDT") == []
    assert fresh_book.orders("ETHUSDT") == []
    # SOLUSDT had not decided: it cannot know what the record was.
    path.write_bytes(kept)
    (fresh_book.store / hour_folder(SOL, HOUR) / "decision").unlink(missing_ok=True)


def test_a_book_whose_first_hour_is_missed(tmp_path: Path, begun_book: BegunBook) -> None:
    """Nobody ticks the first hour: no symbol without capital halts by that, and the next hour shares all of it."""
    with (
        book_exchange(begun_book.bars, START - HOUR_MS, None) as served,
        a_book(served.url, tmp_path) as book,
    ):
        clock = next(iter(book.sleeves.values())).clock
        assert isinstance(clock, SimClock)
        for bot in book.sleeves.values():
            begin(bot, clock, PARAMS, START, None)
        clock.move_to(START + HOUR_MS)
        ticked = tick_book(book)
    assert (ticked.failed, ticked.halted) == ({}, False)
    assert ticked.book_record is not None
    assert (ticked.book_record.hour.reason, sorted(ticked.book_record.hour.transfers)) == (
        "rebalance",
        list(SYMBOLS),
    )


def test_a_clock_that_goes_back(fresh_book: BookScene) -> None:
    """The venue says an hour that is over: nothing is done, nothing is said; with the next right hour all goes on."""
    fresh_book.finish()
    fresh_book.move_to(HOUR + HOUR_MS)
    fresh_book.finish(HOUR + HOUR_MS)
    before = fresh_book.objects(HOUR, HOUR + HOUR_MS)
    fresh_book.sim("/sim/faults", [{"path": "/api/v3/time", "action": "skew", "ms": -HOUR_MS}])
    with fresh_book.book() as book:
        assert tick_book(book).outcome == "done"
    fresh_book.sim("/sim/faults", [{"path": "/api/v3/time", "action": "skew", "ms": -40 * HOUR_MS}])
    with fresh_book.book() as book:
        assert tick_book(book).outcome == "not_begun"
    fresh_book.sim("/sim/faults", [])
    assert fresh_book.objects(HOUR, HOUR + HOUR_MS) == before
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    fresh_book.finish(HOUR + 2 * HOUR_MS)
    fresh_book.check_money(HOUR + 2 * HOUR_MS)


def test_a_clock_that_cannot_be_right(fresh_book: BookScene) -> None:
    """The venue and this machine live in two hours: no book record is made, since records stay for ever."""
    keys = fresh_book.journal(BOOK).store.list("journal/_book/")
    with fresh_book.book() as book:
        for bot in book.sleeves.values():
            bot.wall = FakeClock(HOUR - 48 * HOUR_MS)
        with pytest.raises(ConfigError, match="one of them is wrong"):
            tick_book(book)
    assert fresh_book.journal(BOOK).store.list("journal/_book/") == keys
