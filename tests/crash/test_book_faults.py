"""What breaks for one symbol of a book holds up no other, and nothing is counted twice when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tests.support.book_crew import CAPITAL, HOUR, SYMBOLS, BookScene
from trader.app.book_halts import resume_book
from trader.app.book_tick import BookTicked, tick_book
from trader.app.layout import BOOK
from trader.app.order_care import adopt
from trader.app.order_ids import client_order_id
from trader.core.book import PendingTransfer
from trader.core.errors import Halt, OrderInDoubt, Retry
from trader.core.types import HOUR_MS
from trader.exchange.scenarios import SCENARIOS

SOL, OTHERS = "SOLUSDT", ("BTCUSDT", "ETHUSDT")
# Its four hours over, the book moves cash again.
NEXT_REBALANCE = HOUR + 4 * HOUR_MS
DEADLINE_MS = 10 * 60_000

UNKNOWN = {"code": -2013, "msg": "Order does not exist."}
NO_SYMBOL = {"code": -1121, "msg": "Invalid symbol."}
NO_QUOTES_TOGETHER = [
    {"path": "/api/v3/ticker/bookTicker", "nth": 1, "action": "reply", "status": 400, "body": NO_SYMBOL}
]


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
        assert record.line.reason not in ("missed", "venue_closed", "halt", "halted"), symbol
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
    given = fresh_book.book_hour(HOUR).transfer(SOL)
    assert given < 0
    ticked_at(fresh_book, HOUR + HOUR_MS)
    newest_hour = fresh_book.book_hour(HOUR + HOUR_MS)
    assert newest_hour.pending == {SOL: PendingTransfer(HOUR, given)}
    assert newest_hour.late == (SOL,)
    in_time(fresh_book, HOUR + HOUR_MS)
    over_at(fresh_book, HOUR + 2 * HOUR_MS)
    record = fresh_book.journal(SOL).record(HOUR)
    assert record is not None
    assert record.line.reason == "missed"
    assert fresh_book.book_hour(HOUR + 2 * HOUR_MS).pending == {}


def test_a_symbol_shut_before_the_rebalance_hour(fresh_book: BookScene) -> None:
    """It is marked by its newest record and moves no cash, while the others share what they have."""
    for hour in range(HOUR, NEXT_REBALANCE - HOUR_MS, HOUR_MS):
        ticked_at(fresh_book, hour)
    fresh_book.sim("/sim/faults", SHUT)
    ticked_at(fresh_book, NEXT_REBALANCE - HOUR_MS)
    ticked = ticked_at(fresh_book, NEXT_REBALANCE)
    newest_hour = fresh_book.book_hour(NEXT_REBALANCE)
    assert (newest_hour.reason, newest_hour.late) == ("rebalance", (SOL,))
    assert newest_hour.records[SOL] == NEXT_REBALANCE - 2 * HOUR_MS
    assert SOL not in newest_hour.transfers
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
    newest_hour = fresh_book.book_hour(HOUR + 2 * HOUR_MS)
    assert (newest_hour.late, newest_hour.pending, newest_hour.records[SOL]) == ((SOL,), {}, HOUR)
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
    assert fresh_book.book_hour(HOUR + HOUR_MS).late == (SOL,)
    over_at(fresh_book, HOUR + 2 * HOUR_MS)
    fresh_book.check_hour()


def foreign_order(made: BookScene) -> str:
    """Another store under this bot's name buys, and the tick that meets it: the order's name."""
    with made.book() as book:
        bot = book.sleeves[SOL]
        name = client_order_id(bot.name, "0e0e", SOL, HOUR, "d", 1)
        now = bot.exchange.time_ms()
        assert bot.exchange.send(bot.exchange.sign(SOL, "BUY", Decimal(10), name, now)).outcome == "accepted"
        halt = tick_book(book).failed[SOL]
        assert isinstance(halt, Halt)
        assert halt.reason == "two_stores"
    return name


def test_a_foreign_order_on_one_symbol(fresh_book: BookScene) -> None:
    """An order of another store under this bot's name, paid from cash that is not the book's, halts its symbol and no other."""
    deposit = {"path": "/api/*", "nth": 1, "action": "deposit", "asset": "USDT", "amount": "1000"}
    fresh_book.sim("/sim/faults", [deposit])
    foreign_order(fresh_book)
    in_time(fresh_book, HOUR)
    ticked_at(fresh_book, HOUR + HOUR_MS)
    in_time(fresh_book, HOUR + HOUR_MS)


def test_a_foreign_order_from_the_cash_of_the_book(fresh_book: BookScene) -> None:
    """It takes what other symbols count on, so the whole book halts; once a person has adopted it, and resumed, the money is all
    there again."""
    name = foreign_order(fresh_book)
    assert fresh_book.book_hour(HOUR).reason == "halt"
    with fresh_book.book() as book:
        adopt(book.sleeves[SOL], name, "the other store is gone")
    fresh_book.finish()
    journals = [fresh_book.journal(it) for it in (BOOK, *SYMBOLS)]
    resume_book(journals[0], journals[1:], HOUR + 60_000, "adopted")
    fresh_book.move_to(HOUR + HOUR_MS)
    assert not fresh_book.finish(HOUR + HOUR_MS).halted
    fresh_book.check_adopted(HOUR + HOUR_MS)


def test_a_symbol_that_trades_no_more(fresh_book: BookScene) -> None:
    """Its status is BREAK and its filters are gone: it halts by itself, the book record is made and the others trade."""
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
    assert fresh_book.book_hour(HOUR).reason == "halt"
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
    assert fresh_book.book_hour(HOUR + 2 * HOUR_MS).equity_usdt < CAPITAL


def test_a_symbol_whose_bars_for_the_shares_cannot_be_had(fresh_book: BookScene) -> None:
    """Shares by volatility need bars of every symbol: one whose market does not answer is waited for as a late one is, then the
    others share what they and the book have, and trade in time."""
    rule = {"shares": "inverse_volatility"}
    fresh_book.sim("/sim/faults", SHUT)
    ticked = ticked_at(fresh_book, HOUR, **rule)
    assert set(ticked.failed) == {SOL}
    in_time(fresh_book, HOUR)
    newest_hour = fresh_book.book_hour(HOUR)
    assert (newest_hour.reason, sorted(newest_hour.weights)) == ("rebalance", list(OTHERS))
    assert SOL not in newest_hour.transfers
    fresh_book.sim("/sim/faults", [])
    fresh_book.finish(HOUR, **rule)
    fresh_book.check_money(HOUR)


def test_a_purchase_waits_for_no_outcome_of_a_sale(fresh_book: BookScene) -> None:
    """One connection for all: ETHUSDT's sale was executed and no query of it is answered. Both purchases leave within the second
    in which the sale did; after them the sale is looked for."""
    lost = {**SCENARIOS["rst_after_commit"][0], "name": "lost"}
    deaf = {
        "path": "/api/v3/order",
        "method": "GET",
        "since": "lost",
        "action": "reply",
        "status": 400,
        "body": UNKNOWN,
    }
    fresh_book.sim("/sim/faults", of_symbol([lost, deaf], "ETHUSDT"))
    fresh_book.move_to(HOUR)
    with fresh_book.book() as book:
        ticked = tick_book(book)
    assert isinstance(ticked.failed["ETHUSDT"], OrderInDoubt | Retry | Halt)
    [sale] = fresh_book.orders("ETHUSDT")
    for symbol in ("BTCUSDT", SOL):
        [order] = fresh_book.orders(symbol)
        assert order["time"] - sale["time"] < 1_000, symbol


def test_quotes_of_a_lane_are_one_request(fresh_book: BookScene) -> None:
    """Three symbols decide an hour by one request for quotes; where it fails each asks for its own."""
    for hour, faults, expected in ((HOUR, [], 1), (HOUR + HOUR_MS, NO_QUOTES_TOGETHER, 4)):
        fresh_book.move_to(hour)
        fresh_book.sim("/sim/faults", faults)
        with fresh_book.book() as book:
            session = next(iter(book.sleeves.values())).exchange._api.client.session
            asked, real = list[str](), session.request

            def counted(
                method: str, url: str, *rest: Any, real: Any = real, asked: list[str] = asked, **more: Any
            ) -> Any:
                if "bookTicker" in url:
                    asked.append(url)
                return real(method, url, *rest, **more)

            session.request = counted
            assert tick_book(book).failed == {}
        assert len(asked) == expected, asked
    fresh_book.check_money(HOUR + HOUR_MS)


def test_a_tick_of_a_closed_hour_says_that_it_was_closed(fresh_book: BookScene) -> None:
    """The first tick closes three of three; the next says that they were closed before."""
    assert ticked_at(fresh_book, HOUR).message.endswith("3 of 3 symbols closed")
    assert ticked_at(fresh_book, HOUR).message.endswith("3 of 3 symbols closed, all of them before this tick")
