"""Columns say what lines say: equities of a ledger that stands still, exact and in plain text."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies as our
from trader.core.costs import exact
from trader.core.ledger import Ledger
from trader.core.marks import marks, scaled_prices, summed
from trader.core.track import hour_texts
from trader.core.types import HOUR_MS, iso, plain

amounts = our.decimals("-100000", "100000", 8) | st.sampled_from(
    [Decimal("1E+4"), Decimal("0E-9"), Decimal(7)]
)
short_closes = our.decimals("0.01", "90000", 2).map(float)
any_closes = st.floats(1e-7, 1e6)


accounts = st.lists(st.tuples(amounts, amounts, st.integers(0, 4)), min_size=1, max_size=6)


@given(accounts=accounts, data=st.data())
def test_marks_equal_the_ledgers_one_by_one(
    accounts: list[tuple[Decimal, Decimal, int]], data: st.DataObject
) -> None:
    """Text and float of every equity are those of the Decimal, whatever the digits, ledger after ledger."""
    hours = [n for _, _, n in accounts]
    price = data.draw(st.sampled_from([short_closes, any_closes]))
    closes = data.draw(st.lists(price, min_size=sum(hours), max_size=sum(hours)))
    ledgers = [Ledger(cash, position) for cash, position, _ in accounts]
    got = marks(ledgers, hours, np.array(closes, dtype=float))
    each = [ledger for ledger, n in zip(ledgers, hours, strict=True) for _ in range(n)]
    want = [ledger.equity(exact(close)) for ledger, close in zip(each, closes, strict=True)]
    assert got.texts() == [plain(equity) for equity in want]
    assert got.floats().tolist() == [float(equity) for equity in want]


def test_prices_of_an_exchange_are_counted_in_integers() -> None:
    """The quick way is taken where it can be: prices of few decimals and sums within 62 bits."""
    close = np.array([46_216.93, 46_210.0, 46_199.5])
    got = marks([Ledger(Decimal("10.5"), Decimal("0.21"))], [3], close)
    assert got.values is None
    assert (got.units[0], got.decimals) == (105_000 + 21 * 4_621_693, 4)
    assert marks([Ledger(Decimal("1E+15"), Decimal("0.21000001"))], [3], close).values is not None


@given(closes=st.lists(any_closes, max_size=20) | st.lists(short_closes, max_size=20))
def test_scaled_prices_are_the_shortest_decimals(closes: list[float]) -> None:
    """Where there are integers, each is the price that `exact` gives."""
    scaled = scaled_prices(np.array(closes))
    if scaled is not None:
        assert [Decimal(unit).scaleb(-scaled[1]) for unit in scaled[0].tolist()] == [exact(c) for c in closes]


@given(first=st.integers(0, 600_000), hours=st.integers(0, 60))
def test_hours_are_written_as_one_by_one(first: int, hours: int) -> None:
    """A day's text is made once and every hour reads the same."""
    times = (first + np.arange(hours, dtype=np.int64)) * HOUR_MS
    assert hour_texts(times) == [iso(int(time)) for time in times]


@pytest.mark.parametrize("decimals", [2, 14])
def test_equities_of_several_symbols_are_summed_exactly(decimals: int) -> None:
    """As integers of different scales, and as Decimals where one has too many digits: a sum of Decimals, hour by hour."""
    random = np.random.default_rng(decimals)
    parts = []
    for cash, position, price in (("1000.37", "0.25", 40_000.0), ("17", "3.125", 12.0), ("0", "0", 5.0)):
        close = np.round(price * np.exp(random.normal(0, 0.01, 50).cumsum()), decimals)
        parts.append(marks([Ledger(Decimal(cash), Decimal(position))], [50], close))
    assert any(it.values is not None for it in parts) == (decimals == 14)
    assert summed(parts) == [sum((it.exact(i) for it in parts), Decimal(0)) for i in range(50)]
    assert [float(it) for it in summed(parts)] == pytest.approx(sum(it.floats() for it in parts))
