"""Limits of a whole book live: purchases are held back or cut, a person reads why, and a decision beyond them is not sent."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.support.book_crew import HOUR, SYMBOLS, BookScene, book_params
from trader.app.book_doctor import limits_check
from trader.app.book_status import book_status
from trader.app.book_tick import tick_book
from trader.app.explain import explain
from trader.app.explain_words import words
from trader.app.halts import standing_halt
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.app.tick import catch_up, decide
from trader.core.records import Order
from trader.forecasters.registry import forecaster_of

BUYS = ("BTCUSDT", "SOLUSDT")


def test_purchases_are_held_back_and_a_person_reads_why(fresh_book: BookScene) -> None:
    """At an hour that would buy two symbols and sell one no order is left of the day: the sale leaves, status, doctor and explain
    name the limit, and the book is not halted by it."""
    limits = {"orders_a_day": 0}
    with fresh_book.book(**limits) as book:
        ticked = tick_book(book)
        found = limits_check(book)
    assert (ticked.failed, ticked.halted) == ({}, False)
    assert [len(fresh_book.orders(it)) for it in SYMBOLS] == [0, 1, 0]
    journals = {it: fresh_book.journal(it) for it in SYMBOLS}
    assert all(journals[it].record(HOUR).line.reason == "book_limit" for it in BUYS)  # type: ignore[union-attr]
    status = book_status(fresh_book.journal(BOOK), journals, book_params(**limits), HOUR)
    assert {it.symbol: it.held_back for it in status.sleeves} == {
        **dict.fromkeys(BUYS, "orders_a_day"),
        "ETHUSDT": "",
    }
    assert (found.verdict, "BTCUSDT by orders_a_day, SOLUSDT by orders_a_day" in found.said) == ("warn", True)
    told = " ".join(words(explain(journals["BTCUSDT"], forecaster_of, HOUR)).split())
    assert "orders_a_day allows purchases of 0 USDT" in told
    fresh_book.check_money(HOUR)


def test_a_purchase_is_cut_to_what_the_book_allows(fresh_book: BookScene) -> None:
    """Both purchases cost at most what one order of the book may, and the money is all there."""
    with fresh_book.book(largest_order_usdt=100) as book:
        assert tick_book(book).failed == {}
    for symbol in BUYS:
        [order] = fresh_book.orders(symbol)
        assert Decimal(90) < Decimal(order["cummulativeQuoteQty"]) <= Decimal(100), symbol
    fresh_book.check_money(HOUR)


def test_a_decision_beyond_the_books_limit_is_not_sent(fresh_book: BookScene) -> None:
    """Whoever wrote a purchase of more than the book allows into the store: nothing is sent for it, and the symbol halts."""
    with fresh_book.book(largest_order_usdt=100) as book:
        for bot in book.sleeves.values():
            catch_up(bot)
        book.record_hour(HOUR)
        bot = book.sleeves["BTCUSDT"]
        journal = Journal(bot.journal.store, "BTCUSDT", SYMBOLS)
        pending = catch_up(bot)
        real = journal.decide
        wrong: list[Decimal] = []

        def more(decision):  # type: ignore[no-untyped-def]
            order = decision.order
            assert order is not None
            wrong.append(order.qty * 3 * order.expected_price)
            return real(replace(decision, order=Order(order.side, order.qty * 3, order.expected_price)))

        bot.journal.decide = more
        decide(bot, pending)  # type: ignore[arg-type]
        bot.journal = journal
        tick_book(book)
    assert wrong
    assert fresh_book.orders("BTCUSDT") == []
    halt = standing_halt(fresh_book.journal("BTCUSDT"))
    assert halt is not None
    assert "its book allows 100 in this hour" in halt.message
