"""Columns say what lines say: equities of a ledger that stands still, exact and in plain text."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.core import strategies as our
from trader.core.costs import exact
from trader.core.ledger import Ledger
from trader.core.marks import UnitMarks, marks, scaled_prices
from trader.core.track import hour_texts
from trader.core.types import HOUR_MS, iso, plain

amounts = our.decimals("-100000", "100000", 8) | st.sampled_from(
    [Decimal("1E+4"), Decimal("0E-9"), Decimal(7)]
)
short_closes = st.lists(our.decimals("0.01", "90000", 2).map(float), min_size=1, max_size=20)
any_closes = st.lists(st.floats(1e-7, 1e6), min_size=1, max_size=20)


@given(cash=amounts, position=amounts, closes=short_closes | any_closes)
def test_marks_equal_the_ledger_one_by_one(cash: Decimal, position: Decimal, closes: list[float]) -> None:
    """Text and float of every equity are those of the Decimal, whatever the digits."""
    ledger, close = Ledger(cash, position), np.array(closes)
    got = marks(ledger, close, scaled_prices(close))
    want = [ledger.equity(exact(price)) for price in closes]
    assert got.texts() == [plain(equity) for equity in want]
    assert got.floats() == [float(equity) for equity in want]


def test_prices_of_an_exchange_are_counted_in_integers() -> None:
    """The quick way is taken where it can be: prices of few decimals, a position, sums within Decimal's digits."""
    close = np.array([46_216.93, 46_210.0, 46_199.5])
    scaled = scaled_prices(close)
    assert scaled is not None
    assert (scaled.units, scaled.decimals) == ([4_621_693, 4_621_000, 4_619_950], 2)
    assert isinstance(marks(Ledger(Decimal("10.5"), Decimal("0.21")), close, scaled), UnitMarks)


@given(closes=any_closes | short_closes)
def test_scaled_prices_are_the_shortest_decimals(closes: list[float]) -> None:
    """Where there are integers, each is the price that `exact` gives."""
    scaled = scaled_prices(np.array(closes))
    if scaled is not None:
        assert [Decimal(unit).scaleb(-scaled.decimals) for unit in scaled.units] == [exact(c) for c in closes]


@given(first=st.integers(0, 600_000), hours=st.integers(0, 60))
def test_hours_are_written_as_one_by_one(first: int, hours: int) -> None:
    """A day's text is made once and every hour reads the same."""
    times = (first + np.arange(hours, dtype=np.int64)) * HOUR_MS
    assert hour_texts(times) == [iso(int(time)) for time in times]
