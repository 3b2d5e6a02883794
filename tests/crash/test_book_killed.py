"""An hour of a book, with a move of cash among three symbols and an order in each, killed at every step and done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.book_crew import HOUR, BegunBook, BookScene, fall, kill
from trader.app.book_tick import tick_book
from trader.core.types import HOUR_MS

MOST_STEPS = 80
# Of three symbols: what the book says, and a decision, an attempt, an outcome and a record of each.
WRITES = 1 + 3 * 4
# Of three symbols: the orders since the newest record, bars, price, the order's query, balances and the order itself.
REQUESTS = 3 * 6


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
        assert made.said(HOUR).reason == "rebalance"
        assert sorted(made.said(HOUR).transfers) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        return done_again(made)


@pytest.mark.parametrize("when", ["after", pytest.param("before", marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["write", "request"])
def test_a_book_that_falls_at_every_step(
    kind: str, when: str, begun_book: BegunBook, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """A tick of a book that ends just after every write and every request, and the ticks after it: one order a symbol and hour,
    transfers once, cash and positions the account's, and words, decisions and records those of an undisturbed hour. (Just before
    a step is just after the one before it.)"""
    fallen = 0
    for n in range(1, MOST_STEPS):
        with begun_book.again(tmp_path / str(n)) as made:
            if not fall(made, kind, n, when):
                break
            fallen += 1
            assert done_again(made) == undisturbed, n
    else:
        pytest.fail("a tick of a book has more steps than this test tries")
    assert fallen >= (WRITES if kind == "write" else REQUESTS)


@pytest.mark.parametrize(
    ("kind", "n"),
    [("write", 1), ("write", 5), ("request", 20)],
)
def test_a_book_killed_in_a_process_of_its_own(
    kind: str, n: int, begun_book: BegunBook, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """SIGKILL after the book's word, after a symbol's decision or attempt, in the midst of requests: as above."""
    with begun_book.again(tmp_path) as made:
        assert kill(made, kind, n, "after")
        assert done_again(made) == undisturbed


@pytest.mark.long
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
