"""An hour of a book, with a move of cash among three symbols and an order in each, killed at every step and done again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.book_crew import HOUR, SYMBOLS, BegunBook, BookScene, fall, kill
from trader.app.book_tick import tick_book
from trader.app.codec_events import HALT
from trader.app.layout import BOOK
from trader.core.types import HOUR_MS

MOST_STEPS = 80
# The book has lost more than this when the hour begins.
AT_A_LIMIT = {"halt_cumulative_return": Decimal("-0.0001")}
# Of three symbols: the book records, and a decision, an attempt, an outcome and a record of each.
WRITES = 1 + 3 * 4
# Of three symbols: the orders since the newest record, bars, price, the order's query, balances and the order itself.
REQUESTS = 3 * 6
# Each step takes a second or two on a machine that others use.
LONGEST_S = 1_800
EVERY_STEP = (pytest.mark.long, pytest.mark.timeout(LONGEST_S))


def done_again(made: BookScene) -> dict[str, Any]:
    """What the hour and the one after it hold once the next ticks have closed them, the money checked after each."""
    made.finish()
    made.check_hour()
    made.check_money(HOUR)
    made.move_to(HOUR + HOUR_MS)
    made.finish(HOUR + HOUR_MS)
    made.check_money(HOUR + HOUR_MS)
    return made.objects(HOUR, HOUR + HOUR_MS)


@pytest.fixture(scope="module")
def undisturbed(begun_book: BegunBook, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the two hours hold where nothing breaks."""
    with begun_book.again(tmp_path_factory.mktemp("undisturbed")) as made:
        with made.book() as book:
            ticked = tick_book(book)
        assert (ticked.outcome, ticked.failed) == ("traded", {})
        assert made.book_hour(HOUR).reason == "rebalance"
        assert sorted(made.book_hour(HOUR).transfers) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        return done_again(made)


@pytest.mark.parametrize(
    ("kind", "when", "every"),
    [
        ("write", "after", 2),
        ("request", "after", 4),
        *(
            pytest.param(kind, when, 1, marks=EVERY_STEP)
            for kind in ("write", "request")
            for when in ("before", "after")
        ),
    ],
)
def test_a_book_that_falls_at_every_step(
    kind: str, when: str, every: int, begun_book: BegunBook, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """A tick of a book that ends just after writes and requests, every one of them in the long run, and the ticks after it: one
    order a symbol and hour, transfers once, cash and positions the account's, and book records, decisions and records those of an
    undisturbed hour. (Just before a step is just after the one before it.)"""
    fallen = 0
    for n in range(1, MOST_STEPS, every):
        with begun_book.again(tmp_path / str(n)) as made:
            if not fall(made, kind, n, when):
                break
            fallen += 1
            assert done_again(made) == undisturbed, n
    else:
        pytest.fail("a tick of a book has more steps than this test tries")
    assert fallen >= (WRITES if kind == "write" else REQUESTS) // every


@pytest.mark.parametrize(
    ("kind", "n"),
    [("write", 5), ("request", 20)],
)
def test_a_book_killed_in_a_process_of_its_own(
    kind: str, n: int, begun_book: BegunBook, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """SIGKILL after a symbol's decision, and in the midst of requests: as above."""
    with begun_book.again(tmp_path) as made:
        assert kill(made, kind, n, "after")
        assert done_again(made) == undisturbed


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["write", "request"])
def test_a_book_killed_at_every_step_in_processes(
    kind: str, when: str, begun_book: BegunBook, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """All points by SIGKILL."""
    killed = 0
    for n in range(1, MOST_STEPS):
        with begun_book.again(tmp_path / str(n)) as made:
            if not kill(made, kind, n, when):
                break
            killed += 1
            assert done_again(made) == undisturbed, n
    assert killed >= (WRITES if kind == "write" else REQUESTS)


def told(made: BookScene) -> dict[str, Any]:
    """What was traded and why trading stopped, without the numbers of events: who dies after an event finds it there."""
    halts = {it: [event.content for event in made.journal(it).events(HALT)] for it in (BOOK, *SYMBOLS)}
    lines = {it: [record.line for record in made.journal(it).records(HOUR)] for it in SYMBOLS}
    orders = {it: [(row["side"], row["executedQty"]) for row in made.orders(it)] for it in SYMBOLS}
    book_records = [
        (it.reason, it.equity_usdt, it.transfers) for it in map(made.book_hour, (HOUR, HOUR + HOUR_MS))
    ]
    return {"halts": halts, "lines": lines, "orders": orders, "book": book_records}


def halted_hours(made: BookScene) -> dict[str, Any]:
    """What the hour of the halt and the one after it tell once the next ticks have closed them."""
    made.finish(HOUR, **AT_A_LIMIT)
    made.check_money(HOUR)
    made.move_to(HOUR + HOUR_MS)
    made.finish(HOUR + HOUR_MS, **AT_A_LIMIT)
    made.check_money(HOUR + HOUR_MS)
    return told(made)


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=EVERY_STEP)])
def test_a_book_that_falls_at_every_write_of_its_halt(
    every: int, begun_book: BegunBook, tmp_path: Path
) -> None:
    """The hour in which the whole book reaches its limit, ended after writes, every one of them in the long run: one halt of the
    book and of each symbol, and each sale once."""
    with begun_book.again(tmp_path / "clean") as made:
        clean = halted_hours(made)
    assert [len(it) for it in clean["halts"].values()] == [1, 1, 1, 1]
    assert [reason for reason, _, _ in clean["book"]] == ["halt", "halted"]
    fallen = 0
    for n in range(1, MOST_STEPS, every):
        with begun_book.again(tmp_path / str(n)) as made:
            if not fall(made, "write", n, "after", **AT_A_LIMIT):
                break
            fallen += 1
            assert halted_hours(made) == clean, n
    # Halts of the book and of three symbols, the book record, three decisions and records, a sale's attempt and outcome.
    assert fallen >= (4 + 1 + 3 * 2 + 2) // every
