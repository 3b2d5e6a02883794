"""A book whose lanes ask it beside one another."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tests.support.fakes import MemoryStore
from trader.app.book import Book
from trader.app.book_journal import BookJournal
from trader.app.journal import Journal
from trader.app.layout import BOOK
from trader.core.book_params import BookParams
from trader.core.types import HOUR_MS, parse_hour

START = parse_hour("2022-01-01T00:00")
HOURS = 60


def test_lanes_that_ask_at_once_hear_the_same() -> None:
    """Eight threads ask for the words of hours that passed unspoken, each in its own order: one word an hour, in one run."""
    store, names = MemoryStore(), ("AAUSDT", "BBUSDT")
    params = BookParams.model_validate({"symbols": names, "capital_usdt": 1_000})
    book = Book(params, BookJournal(Journal(store, BOOK, names)), {}, [])
    book._start = START
    hours = [START + i * HOUR_MS for i in range(HOURS)]

    def asked(seed: int) -> list[str]:
        mine = hours * 4
        Random(seed).shuffle(mine)
        heard = {hour: book.book_record(hour, START + HOURS * HOUR_MS) for hour in mine}
        return [it.digest for hour in hours if (it := heard[hour]) is not None]

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(asked, range(8)))
    finally:
        sys.setswitchinterval(switching)
    assert [len(it) for it in digests] == [HOURS] * 8
    assert len({tuple(it) for it in digests}) == 1
