"""What breaks for one symbol of a book holds up no other, and nothing is counted twice when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.support.book_crew import CAPITAL, HOUR, SYMBOLS, BookScene
from trader.app.book_tick import BookTicked, tick_book
from trader.app.order_ids import client_order_id
from trader.core.book import PendingTransfer
from trader.core.errors import Halt, OrderInDoubt, Retry
from trader.core.types import HOUR_MS
from trader.exchange.scenarios import SCENARIOS

SOL, OTHERS = "SOLUSDT", ("BTCUSDT", "ETHUSDT")
# Its four hours over, the book moves cash again.
NEXT_REBALANCE = HOUR + 4 * HOUR_MS
DEADLINE_MS = 10 * 60_000


def of_symbol(faults: Sequence[dict[str, Any]], symbol: str = SOL) -> list[dict[str, Any]]:
    """These faults where a request names the symbol."""
    return [{**it, "symbol": symbol} for it in faults]


SHUT = of_symbol([{"path": "/api/*", "action": "reply", "status": 503, "body": {"code": -1001, "msg": "no"}}])


def ticked_at(made: BookScene, hour: int, **more: Any) -> BookTicked:
    """What a tick of the book does at an hour, in a process that has just begun."""
    made.move_to(hour)
    with made.book(**more) as book:
        ticked: BookTicked = tick_book(book)
        return ticked


def in_time(made: BookScene, hour: int, symbols: Sequence[str] = OTHERS) -> None:
    """These symbols have closed the hour, by a decision that was made within it."""
    for symbol in symbols:
        record = made.journal(symbol).record(hour)
        assert record is not None, symbol
        assert record.line.reason not in ("missed", "venue_closed"), symbol
        assert all(it["time"] <= hour + DEADLINE_MS for it in made.orders(symbol, hour))


def over_at(made: BookScene, hour: int) -> None:
    """The faults are gone at this hour: every symbol closes it, and the money is all there."""
    made.sim("/sim/faults", [])
    made.move_to(hour)
    made.finish(hour)
    made.check_money(hour)


def test_a_symbol_shut_at_the_rebalance_hour(fresh_book: BookScene) -> None:
    """The book moves cash of all three and the others trade; the symbol's own move waits for it, is part of the book's equity
    meanwhile, and is booked once with its missed hour."""
    fresh_book.sim("/sim/faults", SHUT)
    ticked = ticked_at(fresh_book, HOUR)
    assert isinstance(ticked.failed.pop(SOL), Retry)
    assert ticked.failed == {}
    in_time(fresh_book, HOUR)
    given = fresh_book.said(HOUR).transfer(SOL)
    assert given < 0
    ticked_at(fresh_book, HOUR + HOUR_MS)
    word = fresh_book.said(HOUR + HOUR_MS)
    assert word.pending == {SOL: PendingTransfer(HOUR, given)}
    assert word.late == (SOL,)
    in_time(fresh_book, HOUR + HOUR_MS)
    over_at(fresh_book, HOUR + 2 * HOUR_MS)
    record = fresh_book.journal(SOL).record(HOUR)
    assert record is not None
    assert record.line.reason == "missed"
    assert fresh_book.said(HOUR + 2 * HOUR_MS).pending == {}


def test_a_symbol_shut_before_the_rebalance_hour(fresh_book: BookScene) -> None:
    """It is marked by its newest record and moves no cash, while the others share what they have."""
    for hour in range(HOUR, NEXT_REBALANCE - HOUR_MS, HOUR_MS):
        ticked_at(fresh_book, hour)
    fresh_book.sim("/sim/faults", SHUT)
    ticked_at(fresh_book, NEXT_REBALANCE - HOUR_MS)
    ticked = ticked_at(fresh_book, NEXT_REBALANCE)
    word = fresh_book.said(NEXT_REBALANCE)
    assert (word.reason, word.late) == ("rebalance", (SOL,))
    assert word.records[SOL] == NEXT_REBALANCE - 2 * HOUR_MS
    assert SOL not in word.transfers
    assert set(ticked.failed) == {SOL}
    in_time(fresh_book, NEXT_REBALANCE)
    over_at(fresh_book, NEXT_REBALANCE + HOUR_MS)


def test_a_symbol_shut_after_the_rebalance_hour(fresh_book: BookScene) -> None:
    """What it was given is in its record, so nothing of it is pending while it is late."""
    ticked_at(fresh_book, HOUR)
    fresh_book.sim("/sim/faults", SHUT)
    for hour in (HOUR + HOUR_MS, HOUR + 2 * HOUR_MS):
        ticked_at(fresh_book, hour)
        in_time(fresh_book, hour)
    word = fresh_book.said(HOUR + 2 * HOUR_MS)
    assert (word.late, word.pending, word.records[SOL]) == ((SOL,), {}, HOUR)
    over_at(fresh_book, HOUR + 3 * HOUR_MS)


def test_a_symbol_whose_bar_is_late(fresh_book: BookScene) -> None:
    """The others trade the hour; the symbol trades it with the tick that finds its bar."""
    fresh_book.sim("/sim/faults", of_symbol(SCENARIOS["late_candle"]))
    ticked = ticked_at(fresh_book, HOUR)
    assert set(ticked.failed) == {SOL}
    in_time(fresh_book, HOUR)
    fresh_book.sim("/sim/faults", [])
    fresh_book.finish()
    in_time(fresh_book, HOUR, SYMBOLS)
    fresh_book.check_hour()
    fresh_book.check_money(HOUR)


def test_a_symbol_whose_order_is_in_doubt(fresh_book: BookScene) -> None:
    """Its order was executed and no query is answered: the others trade, in the next hour as well; then the order is found and
    booked once, in its hour."""
    lost = {**SCENARIOS["rst_after_commit"][0], "name": "lost"}
    deaf = {"path": "/api/v3/order", "method": "GET", "since": "lost", "action": "reply", "status": 503}
    fresh_book.sim("/sim/faults", of_symbol([lost, deaf]))
    ticked = ticked_at(fresh_book, HOUR)
    assert isinstance(ticked.failed[SOL], OrderInDoubt)
    in_time(fresh_book, HOUR)
    ticked_at(fresh_book, HOUR + HOUR_MS)
    in_time(fresh_book, HOUR + HOUR_MS)
    assert fresh_book.said(HOUR + HOUR_MS).late == (SOL,)
    over_at(fresh_book, HOUR + 2 * HOUR_MS)
    fresh_book.check_hour()


def test_a_foreign_order_on_one_symbol(fresh_book: BookScene) -> None:
    """An order of another store under this bot's name halts its symbol and no other."""
    with fresh_book.book() as book:
        bot = book.sleeves[SOL]
        name = client_order_id(bot.name, "0e0e", SOL, HOUR, "d", 1)
        now = bot.exchange.time_ms()
        assert bot.exchange.send(bot.exchange.sign(SOL, "BUY", Decimal(10), name, now)).outcome == "accepted"
        halt = tick_book(book).failed[SOL]
        assert isinstance(halt, Halt)
        assert halt.reason == "two_stores"
    in_time(fresh_book, HOUR)
    ticked_at(fresh_book, HOUR + HOUR_MS)
    in_time(fresh_book, HOUR + HOUR_MS)


def test_a_symbol_that_trades_no_more(fresh_book: BookScene) -> None:
    """Its status is BREAK and its filters are gone: it halts by itself, the book speaks and the others trade."""
    fresh_book.sim("/sim/faults", of_symbol(SCENARIOS["symbol_delisted"]))
    for hour in (HOUR, HOUR + HOUR_MS):
        ticked = ticked_at(fresh_book, hour)
        assert set(ticked.failed) == {SOL}
        in_time(fresh_book, hour)
    over_at(fresh_book, HOUR + 2 * HOUR_MS)


def test_a_book_halted_while_a_symbol_is_late(fresh_book: BookScene) -> None:
    """The book's own limit halts the others at once, and the late symbol with the hours that it closes; all end flat."""
    limit = {"halt_cumulative_return": Decimal("-0.0001")}
    fresh_book.sim("/sim/faults", SHUT)
    ticked = ticked_at(fresh_book, HOUR, **limit)
    assert ticked.halted
    assert fresh_book.said(HOUR).reason == "halt"
    ticked_at(fresh_book, HOUR + HOUR_MS, **limit)
    fresh_book.sim("/sim/faults", [])
    fresh_book.move_to(HOUR + 2 * HOUR_MS)
    fresh_book.finish(HOUR + 2 * HOUR_MS, **limit)
    fresh_book.check_money(HOUR + 2 * HOUR_MS)
    for symbol in SYMBOLS:
        record = fresh_book.journal(symbol).record(HOUR + 2 * HOUR_MS)
        assert record is not None
        assert (record.halted, record.risk.halt_reason) == (True, "book"), symbol
        assert record.ledger.position * record.close < 10, symbol
    assert fresh_book.said(HOUR + 2 * HOUR_MS).equity_usdt < CAPITAL
