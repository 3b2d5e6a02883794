"""Eight processes tick the same hours of a book at the same moments."""

from __future__ import annotations

import pytest

from tests.support.book_crew import HOUR, SYMBOLS, BookScene, book_racer
from tests.support.forked import crew
from trader.core.types import HOUR_MS

RIVALS = 8


def race(made: BookScene, rounds: int, lanes: int) -> None:
    """So many hours from `HOUR` on, each ticked by all rivals at once."""
    barrier = crew.Barrier(RIVALS + 1)
    children = [
        crew.Process(target=book_racer, args=(made.url, made.store, rounds, lanes, barrier))
        for _ in range(RIVALS)
    ]
    for child in children:
        child.start()
    try:
        for i in range(rounds):
            made.move_to(HOUR + i * HOUR_MS)
            barrier.wait(400)
            barrier.wait(400)
        for child in children:
            child.join(400)
        assert {child.exitcode for child in children} == {0}
    finally:
        for child in children:
            child.kill()
            child.join(10)


@pytest.mark.parametrize(
    ("rounds", "lanes"),
    [
        (5, 1),
        (2, 3),
        pytest.param(100, 1, marks=pytest.mark.long),
        pytest.param(20, 3, marks=pytest.mark.long),
    ],
)
def test_eight_processes_on_one_hour_of_a_book(fresh_book: BookScene, rounds: int, lanes: int) -> None:
    """Exactly one order a symbol and hour, transfers once, cash and positions the account's to the last unit; the same where each
    process asks the venue in three threads."""
    race(fresh_book, rounds, lanes)
    last = HOUR + (rounds - 1) * HOUR_MS
    fresh_book.finish(last)
    fresh_book.check_hour()
    fresh_book.check_money(last)
    for symbol in SYMBOLS:
        hours = [it.close_time for it in fresh_book.journal(symbol).records(HOUR)]
        assert hours == list(range(HOUR, last + HOUR_MS, HOUR_MS))
