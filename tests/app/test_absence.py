"""An order that a query does not find is absent only if nothing else at the venue speaks of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.support.fakes import FakeClock, FakeExchange, MemoryStore
from trader.app.absence import RECHECK_DELAY_S, require_absent, shows_effect
from trader.app.journal import Journal
from trader.core.errors import Halt, OrderInDoubt
from trader.core.ports import OrderState, OwnTrade
from trader.core.records import Attempt, Balances
from trader.core.types import parse_hour

HOUR = parse_hour("2022-01-01T10:00")
DEADLINE = HOUR + 600_000
QTY, PRICE = Decimal("0.1"), Decimal(50_000)
BEFORE = Balances(Decimal(100), Decimal(1_000_000))
ATTEMPT = Attempt("BTCUSDT", False, "BUY", QTY, PRICE, BEFORE, "mine", HOUR + 500, 5_000, HOUR + 5_500)
OPEN = OrderState("mine", 1, "NEW", "BUY", Decimal(0), Decimal(0), HOUR + 500, "BTCUSDT", "MARKET", QTY)
FILLED = replace(OPEN, status="FILLED", executed_qty=QTY, quote_qty=QTY * PRICE)


class Lists(FakeExchange):
    """A venue whose query does not find the order, and whose lists say what they are told."""

    opened: tuple[OrderState, ...] = ()
    listed: tuple[OrderState, ...] = ()
    traded: tuple[OwnTrade, ...] = ()

    def open_orders(self, symbol: str) -> list[OrderState]:
        """As told."""
        return list(self.opened)

    def orders(self, symbol: str, since_ms: int | None) -> list[OrderState]:
        """As told."""
        return list(self.listed)

    def trades(self, symbol: str, since_ms: int) -> list[OwnTrade]:
        """As told."""
        return list(self.traded)


@pytest.fixture
def venue() -> Lists:
    """One that knows of nothing, a minute after the hour."""
    return Lists(FakeClock(HOUR + 60_000))


def absent(venue: Lists) -> bool:
    """What the look finds."""
    return require_absent(Journal(MemoryStore(), "BTCUSDT"), venue, venue.clock, ATTEMPT, DEADLINE)


def test_nothing_anywhere_is_absent(venue: Lists) -> None:
    """Neither a list nor the balances speak of it; orders and trades under other ids do not count."""
    other = replace(OPEN, client_order_id="web_1")
    venue.opened, venue.listed = (other,), (other,)
    venue.traded = (OwnTrade("web_1", "BUY", QTY, QTY * PRICE),)
    assert absent(venue) is False


def test_any_list_that_names_the_order_leaves_it_in_doubt(venue: Lists) -> None:
    """Open, listed, or with a trade, each alone: no other attempt may follow."""
    venue.opened = (OPEN,)
    with pytest.raises(OrderInDoubt, match="mine is open although"):
        absent(venue)
    venue.opened, venue.listed = (), (FILLED,)
    with pytest.raises(OrderInDoubt, match="mine is listed although"):
        absent(venue)
    venue.listed, venue.traded = (), (OwnTrade("mine", "BUY", QTY, QTY * PRICE),)
    with pytest.raises(OrderInDoubt, match="a trade of order mine is listed"):
        absent(venue)


def test_an_order_that_appears_at_the_second_look_is_in_doubt(venue: Lists) -> None:
    """The venue was a moment behind: the order is looked for again, and not sent again."""
    venue.known["mine"] = FILLED, [], venue.clock.now_ms() + round(RECHECK_DELAY_S * 1_000)
    assert venue.find("BTCUSDT", "mine") is None
    with pytest.raises(OrderInDoubt, match="has just appeared"):
        absent(venue)


def test_balances_that_moved_as_the_order_would_have_moved_them(venue: Lists) -> None:
    """They park the hour while another attempt could follow, and ask a person afterwards."""
    venue.free = {"BTC": BEFORE.base + QTY, "USDT": BEFORE.quote - QTY * PRICE}
    with pytest.raises(OrderInDoubt, match="looking again next time"):
        absent(venue)
    venue.clock.time_ms = DEADLINE + 1
    with pytest.raises(Halt, match="trader resume closes it as never executed"):
        absent(venue)


def test_an_attempt_that_never_left_has_no_effect() -> None:
    """A void one kept no balances to compare with."""
    assert not shows_effect(replace(ATTEMPT, void=True, balances=None), BEFORE, [])
