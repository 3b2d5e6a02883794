"""The account covers the sum of all sleeves of a book, or the book halts before an order of the hour leaves."""

from __future__ import annotations

import shutil
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.book_crew import HOUR, SYMBOLS, BegunBook, BookScene, Fall, Killed, a_book, trap_book
from trader.app.account_care import flatten
from trader.app.book_halts import resume_book
from trader.app.book_tick import tick_book
from trader.app.halts import standing_halt
from trader.app.layout import BOOK
from trader.core.errors import Halt
from trader.core.types import HOUR_MS

BUYS = ("BTCUSDT", "SOLUSDT")


def moved(made: BookScene, asset: str, amount: str) -> None:
    """A person moves this much of an asset into the account, or out of it."""
    made.sim(
        "/sim/faults", [{"path": "/api/*", "nth": 1, "action": "deposit", "asset": asset, "amount": amount}]
    )


@pytest.mark.parametrize(
    ("asset", "amount", "missing"),
    [("USDT", "-1", "1 USDT"), ("ETH", "-2", "2 ETH"), ("USDT", "-25000", "USDT")],
)
def test_a_withdrawal_halts_the_book(fresh_book: BookScene, asset: str, amount: str, missing: str) -> None:
    """What was taken out is missing to the sum of all sleeves, although each order alone is covered: nothing is bought, what a
    symbol holds is sold as far as it is there, and the halt says how much is missing and the ways out."""
    moved(fresh_book, asset, amount)
    with fresh_book.book() as book:
        ticked = tick_book(book)
    assert ticked.failed == {}
    assert ticked.halted
    halt = standing_halt(fresh_book.journal(BOOK))
    assert halt is not None
    assert (halt.reason, halt.by) == ("reconcile", "bot")
    for words in (f"{missing} missing", "trader resume --book", "trader adopt"):
        assert words in halt.message
    assert fresh_book.book_hour(HOUR).transfers == {}
    assert [fresh_book.orders(it) for it in BUYS] == [[], []]
    [sale] = fresh_book.orders("ETHUSDT")
    held = fresh_book.journal("ETHUSDT").record(HOUR - HOUR_MS)
    assert held is not None
    there = held.ledger.position + (Decimal(amount) if asset == "ETH" else 0)
    assert sale["side"] == "SELL"
    assert there - Decimal(sale["executedQty"]) < Decimal("0.0001")


def test_what_was_put_back_is_traded_again(fresh_book: BookScene) -> None:
    """After a shortage is mended and the book resumed, the next hours are traded and the money is all there; a resume without
    that halts it again."""
    moved(fresh_book, "USDT", "-1")
    with fresh_book.book() as book:
        tick_book(book)
    fresh_book.sim("/sim/faults", [])
    journals = [fresh_book.journal(it) for it in (BOOK, *SYMBOLS)]
    resume_book(journals[0], journals[1:], HOUR + 60_000, "looked away")
    fresh_book.move_to(HOUR + HOUR_MS)
    assert fresh_book.finish(HOUR + HOUR_MS).halted
    moved(fresh_book, "USDT", "1")
    journals = [fresh_book.journal(it) for it in (BOOK, *SYMBOLS)]
    resume_book(journals[0], journals[1:], HOUR + HOUR_MS + 60_000, "put back")
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    assert not fresh_book.finish(HOUR + 2 * HOUR_MS).halted
    fresh_book.check_money(HOUR + 2 * HOUR_MS)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_orders_of_the_very_hour_are_no_shortage(fresh_book: BookScene, n: int) -> None:
    """A tick that was killed after some of its orders had left is finished by the next: what those took is not missed."""
    trap = Fall(n, "after")
    with fresh_book.book() as book:
        trap_book(book, "write", trap)
        with pytest.raises(Killed):
            tick_book(book)
    fresh_book.finish()
    assert standing_halt(fresh_book.journal(BOOK)) is None
    fresh_book.check_hour()
    fresh_book.check_money(HOUR)


@pytest.mark.parametrize("symbol", ["ETHUSDT", "SOLUSDT"])
def test_an_order_in_doubt_is_no_shortage(fresh_book: BookScene, symbol: str) -> None:
    """The order of an hour, a purchase or a sale, was executed and is not found in the next: what it took is not missed."""
    lost = {
        "method": "POST",
        "path": "/api/v3/order",
        "nth": 1,
        "phase": "after",
        "action": "reset",
        "name": "lost",
    }
    deaf = {"path": "/api/v3/order", "method": "GET", "since": "lost", "action": "reply", "status": 503}
    fresh_book.sim("/sim/faults", [{**it, "symbol": symbol} for it in (lost, deaf)])
    for hour in (HOUR, HOUR + HOUR_MS):
        fresh_book.move_to(hour)
        with fresh_book.book() as book:
            assert set(tick_book(book).failed) == {symbol}
    assert standing_halt(fresh_book.journal(BOOK)) is None
    fresh_book.sim("/sim/faults", [])
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    fresh_book.finish(HOUR + 2 * HOUR_MS)
    fresh_book.check_hour()
    fresh_book.check_money(HOUR + 2 * HOUR_MS)


def test_two_books_on_one_account(fresh_book: BookScene, begun_book: BegunBook, tmp_path: Path) -> None:
    """A second book of the same name with a store of its own sees the first one's orders: each of its symbols that the first has
    traded halts, and no order is sent twice."""
    fresh_book.finish()
    second = tmp_path / "second"
    shutil.copytree(begun_book.folder / "store", second)
    birth = second / "state" / "store"
    birth.write_text(birth.read_text().replace(fresh_book.journal(BOOK).store_id(), "0e0e"))
    before = fresh_book.sim("/sim/ledger")
    with a_book(fresh_book.url, second) as book:
        failed = tick_book(book).failed
    assert set(failed) == set(SYMBOLS)
    assert all(isinstance(it, Halt) and it.reason == "two_stores" for it in failed.values())
    assert fresh_book.sim("/sim/ledger") == before


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_sale_that_a_person_ordered_is_no_shortage(fresh_book: BookScene, n: int) -> None:
    """Sold at once right before the hour, also where that was killed after its first writes: the next tick brings it to its end
    and books it, and the account covers the book."""
    trap = Fall(n, "after")
    with fresh_book.book() as book:
        trap_book(book, "write", trap)
        with suppress(Killed):
            flatten(book.sleeves["ETHUSDT"], "enough")
    fresh_book.finish()
    assert standing_halt(fresh_book.journal(BOOK)) is None
    fresh_book.check_adopted(HOUR)
    assert [it["side"] for it in fresh_book.orders("ETHUSDT")] == ["SELL"]
