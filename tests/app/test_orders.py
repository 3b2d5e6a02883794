"""The exactly-once protocol at its precise moments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.app.fakes import FakeClock, FakeExchange, MemoryStore
from trader.app.journal import Journal
from trader.app.orders import Desk, carry_out, client_order_id
from trader.core.errors import Halt, Parked
from trader.core.types import HOUR_MS, Fill, parse_hour

HOUR = parse_hour("2022-01-01T10:00")


@pytest.fixture
def desk() -> Desk:
    """A desk at a fake venue whose clock stands one second after the hour."""
    clock = FakeClock(HOUR + 1_000)
    return Desk(Journal(MemoryStore(), "BTCUSDT"), FakeExchange(clock), clock, "hourly")


def decided(desk: Desk, qty: str = "0.1") -> dict[str, Any]:
    """A stored decision to buy."""
    content = {"order": {"side": "BUY", "qty": qty}, "reason": "enter", "deadline": HOUR + HOUR_MS // 6}
    return desk.journal.decide(HOUR, content)


def venue(desk: Desk) -> FakeExchange:
    """The fake behind the desk."""
    assert isinstance(desk.exchange, FakeExchange)
    return desk.exchange


def bought(fills: list[Fill]) -> Decimal:
    """Executed quantity."""
    return sum((fill.qty for fill in fills), Decimal(0))


def test_an_order_is_sent_once_and_its_fills_are_kept(desk: Desk) -> None:
    """The plain case: one attempt, one order; repeating it reads the outcome and sends nothing."""
    decision = decided(desk)
    first, again = carry_out(desk, HOUR, decision), carry_out(desk, HOUR, decision)
    assert first == again
    assert bought(first) == Decimal("0.1")
    assert len(venue(desk).sent) == 1


@pytest.mark.parametrize("how", ["lost_after", "late"])
def test_a_lost_reply_is_looked_up(desk: Desk, how: str) -> None:
    """The order was executed and its reply lost, or it appears seconds later: it is found, and never sent again."""
    venue(desk).next_send = how
    assert bought(carry_out(desk, HOUR, decided(desk))) == Decimal("0.1")
    assert len(venue(desk).sent) == 1


def test_an_order_that_never_arrived_is_tried_again_only_past_its_horizon(desk: Desk) -> None:
    """Swallowed before execution: absent is proved past the horizon, then a second attempt with a new id trades."""
    venue(desk).next_send = "lost_before"
    fills = carry_out(desk, HOUR, decided(desk))
    first, second = venue(desk).sent
    assert bought(fills) == Decimal("0.1")
    assert first.client_order_id != second.client_order_id
    assert second.timestamp_ms > first.horizon_ms + 10_000


@pytest.mark.parametrize(("how", "share"), [("partial", "0.05"), ("expired", "0")])
def test_what_the_book_did_not_give_is_not_topped_up_within_the_hour(
    desk: Desk, how: str, share: str
) -> None:
    """A thin book: the executed part is booked, and nothing more is sent."""
    venue(desk).next_send = how
    assert bought(carry_out(desk, HOUR, decided(desk))) == Decimal(share)
    assert len(venue(desk).sent) == 1


def test_a_refused_order_closes_the_hour(desk: Desk) -> None:
    """The venue says no: no fill, no second try."""
    venue(desk).next_send = "refused"
    assert carry_out(desk, HOUR, decided(desk)) == []
    assert len(venue(desk).sent) == 1


def test_another_writer_looks_and_never_sends(desk: Desk) -> None:
    """An attempt of another process that has not been sent: we look for it, prove it absent, and try anew after it."""
    decision = decided(desk)
    name = client_order_id("hourly", desk.journal.store_id(), "BTCUSDT", HOUR, "d", 1)
    stored = {
        "void": False,
        "side": "BUY",
        "qty": "0.1",
        "client_order_id": name,
        "timestamp_ms": HOUR + 500,
        "recv_window_ms": 5_000,
        "horizon_ms": HOUR + 5_500,
    }
    desk.journal.try_once(HOUR, 1, stored)
    assert bought(carry_out(desk, HOUR, decision)) == Decimal("0.1")
    [sent] = venue(desk).sent
    assert sent.client_order_id != name


def test_a_sleeper_is_fenced_by_a_void_attempt(desk: Desk) -> None:
    """Past the deadline attempt 1 is created void: whoever slept between decision and attempt cannot create it."""
    decision = decided(desk)
    desk.clock.sleep(11 * 60)
    assert carry_out(desk, HOUR, decision) == []
    attempt, ours = desk.journal.try_once(HOUR, 1, {"void": False})
    assert (attempt["void"], ours) == (True, False)
    assert venue(desk).sent == []


def test_a_venue_that_cannot_be_asked_parks_the_hour(desk: Desk) -> None:
    """Reply lost and queries fail: parked, nothing else is sent, and the next look closes it."""
    fake, decision = venue(desk), decided(desk)
    fake.next_send = "lost_after"
    original = fake.send

    def send_then_go_dark(order: Any) -> Any:
        reply = original(order)
        fake.reads_fail = True
        return reply

    fake.send = send_then_go_dark  # type: ignore[method-assign]  # the fake changes its own mood at this moment
    with pytest.raises(Parked, match="unknown and the venue cannot be asked"):
        carry_out(desk, HOUR, decision)
    fake.reads_fail = False
    assert bought(carry_out(desk, HOUR, decision)) == Decimal("0.1")
    assert len(fake.sent) == 1


def test_an_order_of_another_life_halts(desk: Desk) -> None:
    """The venue knows the id and the journal does not: the store was lost or is shared. Nothing is sent."""
    decision = decided(desk)
    carry_out(desk, HOUR, decision)
    store = desk.journal.store
    assert isinstance(store, MemoryStore)
    store.objects = {k: v for k, v in store.objects.items() if "attempt" not in k and "outcome" not in k}
    with pytest.raises(Halt, match="another life of this bot"):
        carry_out(desk, HOUR, decision)
    assert len(venue(desk).sent) == 1


def test_client_order_ids_fit_the_exchange() -> None:
    """At most 36 characters of the alphabet that is signed and sent alike."""
    name = client_order_id("abcdef", "0f3a", "1000SATSUSDTX", HOUR, "d", 9)
    assert name == "abcdef-0f3a-1000SATSUSDT-22010110-d9"
    assert len(name) <= 36
