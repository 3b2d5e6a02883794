"""The exactly-once protocol at its precise moments."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.fakes import FakeClock, FakeExchange, MemoryStore
from tests.support.records_made import decision_made
from trader.app.absence import shows_effect
from trader.app.halts import announce, resume
from trader.app.journal import Journal
from trader.app.order_ids import client_order_id
from trader.app.orders import ExecutionContext, carry_out
from trader.core.errors import Halt, OrderInDoubt, Retry
from trader.core.ports import OwnTrade
from trader.core.records import Attempt, Balances, Decision
from trader.core.types import Fill, Filters, Side, parse_hour

HOUR = parse_hour("2022-01-01T10:00")


@pytest.fixture
def context() -> ExecutionContext:
    """A bot at a fake venue whose clock stands one second after the hour."""
    clock = FakeClock(HOUR + 1_000)
    fake = FakeExchange(clock)

    def renew_filters(hour: int) -> Filters:
        return fake.filters("BTCUSDT")

    return ExecutionContext(Journal(MemoryStore(), "BTCUSDT"), fake, clock, "hourly", renew_filters)


def decided(context: ExecutionContext, qty: str = "0.1") -> Decision:
    """A stored decision to buy."""
    return context.journal.decide(decision_made(HOUR, "BUY", qty))[0]


def outcomes(context: ExecutionContext, *numbers: int) -> list[str]:
    """What became of these attempts, which are closed."""
    return [outcome.kind for n in numbers if (outcome := context.journal.outcome(HOUR, n))]


def venue(context: ExecutionContext) -> FakeExchange:
    """The fake behind the context."""
    assert isinstance(context.exchange, FakeExchange)
    return context.exchange


def attempt_made(side: Side, qty: str, balances: Balances | None = None, name: str = "mine") -> Attempt:
    """An attempt of half a second after the hour."""
    window_ms = 5_000
    price, signed_ms = Decimal(50_000), HOUR + 500
    return Attempt(
        "BTCUSDT",
        False,
        side,
        Decimal(qty),
        price,
        balances,
        name,
        signed_ms,
        window_ms,
        signed_ms + window_ms,
    )


def bought(fills: list[Fill]) -> Decimal:
    """Executed quantity."""
    return sum((fill.qty for fill in fills), Decimal(0))


def test_an_order_is_sent_once_and_its_fills_are_kept(context: ExecutionContext) -> None:
    """The plain case: one attempt, one order; repeating it reads the outcome and sends nothing."""
    decision = decided(context)
    first, again = carry_out(context, HOUR, decision), carry_out(context, HOUR, decision)
    assert first == again
    assert bought(first) == Decimal("0.1")
    assert len(venue(context).sent) == 1


@pytest.mark.parametrize("how", ["lost_after", "late"])
def test_a_lost_reply_is_looked_up(context: ExecutionContext, how: str) -> None:
    """The order was executed and its reply lost, or it appears seconds later: it is found, and never sent again."""
    venue(context).next_send = how
    assert bought(carry_out(context, HOUR, decided(context))) == Decimal("0.1")
    assert len(venue(context).sent) == 1


def test_an_order_that_was_not_taken_waits_for_the_next_tick(context: ExecutionContext) -> None:
    """Too many orders, a ban, a closed port: one try a tick, and the hour is traded when one goes through."""
    decision = decided(context)
    for tries in (1, 2):
        venue(context).next_send = "busy"
        with pytest.raises(Retry, match="the next tick tries again"):
            carry_out(context, HOUR, decision)
        assert len(venue(context).sent) == tries
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.1")
    assert outcomes(context, 1, 2, 3) == ["absent", "absent", "filled"]


def test_an_order_that_was_not_taken_is_let_go_after_the_deadline(context: ExecutionContext) -> None:
    """A venue that comes back too late trades nothing: the hour is closed without a fill."""
    decision = decided(context)
    venue(context).next_send = "busy"
    with pytest.raises(Retry):
        carry_out(context, HOUR, decision)
    venue(context).clock.sleep(11 * 60)
    assert carry_out(context, HOUR, decision) == []
    assert len(venue(context).sent) == 1


def test_an_order_that_never_arrived_is_tried_again_only_after_it_expired(context: ExecutionContext) -> None:
    """Swallowed before execution: absent is proved after it expired, then a second attempt with a new id trades."""
    venue(context).next_send = "lost_before"
    fills = carry_out(context, HOUR, decided(context))
    first, second = venue(context).sent
    assert bought(fills) == Decimal("0.1")
    assert first.client_order_id != second.client_order_id
    assert second.timestamp_ms > first.expires_at_ms + 10_000


@pytest.mark.parametrize(("how", "share"), [("partial", "0.05"), ("expired", "0")])
def test_what_the_book_did_not_give_is_not_topped_up_within_the_hour(
    context: ExecutionContext, how: str, share: str
) -> None:
    """A thin book: the executed part is booked, and nothing more is sent."""
    venue(context).next_send = how
    assert bought(carry_out(context, HOUR, decided(context))) == Decimal(share)
    assert len(venue(context).sent) == 1


def test_a_refused_order_closes_the_hour(context: ExecutionContext) -> None:
    """The venue says no: no fill, no second try."""
    venue(context).next_send = "refused"
    assert carry_out(context, HOUR, decided(context)) == []
    assert len(venue(context).sent) == 1


def accept(context: ExecutionContext, step: str, **changes: Any) -> None:
    """The venue accepts multiples of this step from now on."""
    fake = venue(context)
    fake.accepts = replace(fake.accepts, step_size=Decimal(step), **changes)


def test_filters_that_changed_are_asked_again_and_the_order_sent_anew(context: ExecutionContext) -> None:
    """A step of 0.03 refuses 0.1: the next attempt of the hour carries 0.09 and says by which filters; a second process
    reads the same outcomes and sends nothing."""
    decision = decided(context)
    accept(context, "0.03")
    fills = carry_out(context, HOUR, decision)
    assert bought(fills) == Decimal("0.09")
    assert carry_out(context, HOUR, decision) == fills
    assert [order.qty for order in venue(context).sent] == [Decimal("0.1"), Decimal("0.09")]
    assert outcomes(context, 1, 2) == ["refused", "filled"]
    attempt = context.journal.attempt(HOUR, 2)
    assert attempt is not None
    assert attempt.filters == venue(context).accepts


@pytest.mark.parametrize(
    ("step", "limits"),
    [("0.2", {}), ("0.03", {"min_notional": Decimal(5_000)}), ("0.03", {"min_qty": Decimal("0.095")})],
)
def test_filters_that_accept_nothing_less_close_the_hour(
    context: ExecutionContext, step: str, limits: dict[str, Decimal]
) -> None:
    """A step above the quantity, a minimum that its part does not reach: a void attempt closes the hour for everybody."""
    decision = decided(context)
    accept(context, step, **limits)
    assert carry_out(context, HOUR, decision) == []
    assert carry_out(context, HOUR, decision) == []
    assert len(venue(context).sent) == 1
    assert outcomes(context, 1, 2, 3) == ["refused", "void"]
    outcome = context.journal.outcome(HOUR, 2)
    assert outcome is not None
    assert outcome.message == "the venue's filters accept no smaller part of it"


def test_filters_that_refuse_what_they_accept_are_asked_once(context: ExecutionContext) -> None:
    """Refused by a filter that nobody can read: the same quantity is not sent again, nor is a second smaller one."""
    fake, decision = venue(context), decided(context)
    accept(context, "0.03")
    honest = fake.accepts
    refused = fake.send

    def refuse_all(order: Any) -> Any:
        fake.accepts = replace(honest, step_size=Decimal("0.07"))  # refuses 0.1 and 0.09 alike
        reply = refused(order)
        fake.accepts = honest
        return reply

    fake.send = refuse_all  # type: ignore[method-assign]  # the venue says one thing and does another
    assert carry_out(context, HOUR, decision) == []
    assert [order.qty for order in fake.sent] == [Decimal("0.1"), Decimal("0.09")]
    assert outcomes(context, 1, 2, 3) == ["refused", "refused"]


def test_after_the_deadline_filters_are_not_asked(context: ExecutionContext) -> None:
    """The process died between the refusal and the next attempt; past the deadline whoever comes closes the hour."""
    fake, decision = venue(context), decided(context)
    accept(context, "0.03")
    honest = fake.filters

    def no_answer(symbol: str) -> Any:
        raise Retry("the fake venue does not answer")

    fake.filters = no_answer  # type: ignore[method-assign]  # only this question fails
    with pytest.raises(Retry):
        carry_out(context, HOUR, decision)
    assert outcomes(context, 1, 2) == ["refused"]
    context.clock.sleep(11 * 60)
    assert carry_out(context, HOUR, decision) == []
    assert outcomes(context, 1, 2) == ["refused", "void"]
    fake.filters = honest  # type: ignore[method-assign]  # it answers again, too late
    assert len(fake.sent) == 1


def test_what_fits_is_carried_on_when_it_was_not_taken(context: ExecutionContext) -> None:
    """The smaller quantity meets a busy venue: the third attempt carries it too, with the filters that it fits."""
    fake, decision = venue(context), decided(context)
    accept(context, "0.03")
    original = fake.send

    def send_when_busy(order: Any) -> Any:
        fake.next_send = "busy" if len(fake.sent) == 1 else "filled"
        return original(order)

    fake.send = send_when_busy  # type: ignore[method-assign]  # busy for the second order alone
    with pytest.raises(Retry):
        carry_out(context, HOUR, decision)
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.09")
    assert outcomes(context, 1, 2, 3) == ["refused", "absent", "filled"]
    third = context.journal.attempt(HOUR, 3)
    assert third is not None
    assert third.filters == fake.accepts


def test_another_writer_looks_and_never_sends(context: ExecutionContext) -> None:
    """An attempt of another process that has not been sent: we look for it, prove it absent, and try anew after it."""
    decision = decided(context)
    name = client_order_id("hourly", context.journal.store_id(), "BTCUSDT", HOUR, "d", 1)
    context.journal.try_once(
        HOUR, 1, attempt_made("BUY", "0.1", Balances(Decimal(100), Decimal(1_000_000)), name)
    )
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.1")
    [sent] = venue(context).sent
    assert sent.client_order_id != name


def test_a_sleeper_is_fenced_by_a_void_attempt(context: ExecutionContext) -> None:
    """Past the deadline attempt 1 is created void: whoever slept between decision and attempt cannot create it."""
    decision = decided(context)
    context.clock.sleep(11 * 60)
    assert carry_out(context, HOUR, decision) == []
    attempt, ours = context.journal.try_once(HOUR, 1, attempt_made("BUY", "0.1"))
    assert (attempt.void, ours) == (True, False)
    assert venue(context).sent == []


def test_a_venue_that_cannot_be_asked_parks_the_hour(context: ExecutionContext) -> None:
    """Reply lost and queries fail: parked, nothing else is sent, and the next look closes it."""
    fake, decision = venue(context), decided(context)
    fake.next_send = "lost_after"
    original = fake.send

    def send_then_go_dark(order: Any) -> Any:
        reply = original(order)
        fake.reads_fail = True
        return reply

    fake.send = send_then_go_dark  # type: ignore[method-assign]  # the fake changes its own mood at this moment
    with pytest.raises(OrderInDoubt, match="unknown and the venue cannot be asked"):
        carry_out(context, HOUR, decision)
    fake.reads_fail = False
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.1")
    assert len(fake.sent) == 1


def executed(context: ExecutionContext, how: str, **changes: Any) -> Decision:
    """A decision whose order will be executed, its answer `how`, and what the venue then says of it changed: fields of the
    order, or `price` of its only execution."""
    fake, decision = venue(context), decided(context)
    fake.next_send, original = how, fake.send

    def send_and_spoil(order: Any) -> Any:
        reply = original(order)
        state, [fill], seen_from = fake.known[order.client_order_id]
        price = changes.pop("price", fill.price)
        spoiled = replace(state, **changes), [replace(fill, price=price)], seen_from
        fake.known[order.client_order_id] = spoiled
        return reply

    fake.send = send_and_spoil  # type: ignore[method-assign]  # the venue's answers change at this moment
    return decision


CONTRADICTIONS = [
    ({"price": Decimal(5_000)}, "its executions come to 500, not to 5000"),
    ({"executed_qty": Decimal("0.05")}, "it is FILLED with 0.05 of 0.1 executed"),
    ({"status": "EXPIRED"}, "it is EXPIRED with 0.1 of 0.1 executed"),
    ({"side": "SELL"}, "it is an order of BTCUSDT MARKET SELL 0.1"),
    ({"type": "LIMIT"}, "it is an order of BTCUSDT LIMIT BUY 0.1"),
]


@pytest.mark.parametrize(("changes", "said"), CONTRADICTIONS)
def test_answers_that_contradict_each_other_book_nothing(
    context: ExecutionContext, changes: dict[str, Any], said: str
) -> None:
    """Parked until the deadline, then a halt that names the order and what does not fit; nothing is sent again. Once the
    answers agree, the next look books the order."""
    decision = executed(context, "lost_after", **changes)
    with pytest.raises(OrderInDoubt, match=re.escape(said)):
        carry_out(context, HOUR, decision)
    context.clock.sleep(11 * 60)
    with pytest.raises(Halt, match=re.escape(said)) as halt:
        carry_out(context, HOUR, decision)
    [order] = venue(context).sent
    assert halt.value.reason == "reconcile"
    assert order.client_order_id in str(halt.value)
    assert outcomes(context, 1) == []
    fake = venue(context)
    fake.known[order.client_order_id] = (*fake._execute(order, Decimal(1)), 0)
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.1")
    assert len(fake.sent) == 1


def test_a_high_commission_is_believed_where_the_venue_says_so(context: ExecutionContext) -> None:
    """Six percent of what is received at an account that pays 0.1 % is a contradiction; at one that pays six it is booked."""
    fake, decision = venue(context), decided(context)
    fake.next_send, original = "lost_after", fake.send

    def charge_six_percent(order: Any) -> Any:
        reply = original(order)
        state, [fill], seen_from = fake.known[order.client_order_id]
        fills = [replace(fill, commission=Decimal("0.006"))]
        fake.known[order.client_order_id] = state, fills, seen_from
        return reply

    fake.send = charge_six_percent  # type: ignore[method-assign]  # what this venue charges
    with pytest.raises(OrderInDoubt, match=r"execution 1 is charged 0\.006 in base"):
        carry_out(context, HOUR, decision)
    fake.fee_rate = Decimal("0.06")
    [fill] = carry_out(context, HOUR, decision)
    assert fill.commission == Decimal("0.006")


def test_an_absurd_price_is_looked_up_and_then_believed(context: ExecutionContext) -> None:
    """A fill at a tenth of the expected price is no fill to book by its reply alone. The order and its trades say the same,
    so it is executed money and booked."""
    fake, decision = venue(context), decided(context)
    fake.price = Decimal(5_000)
    asked = fake.find
    looked: list[str] = []

    def find(symbol: str, client_order_id: str) -> Any:
        looked.append(client_order_id)
        return asked(symbol, client_order_id)

    fake.find = find  # type: ignore[method-assign]  # to see that it was asked
    [fill] = carry_out(context, HOUR, decision)
    assert fill.price == 5_000
    assert len(looked) == 2, "once before the order, once after it"


@pytest.mark.parametrize(
    ("base", "quote"),
    [("0.3", "0"), ("-1", "0"), ("0", "-5000"), ("0", "250"), ("0.1", "5000"), ("-1", "-5000")],
)
def test_a_movement_of_one_leg_is_somebody_elses(context: ExecutionContext, base: str, quote: str) -> None:
    """A deposit, a withdrawal, or both while an order is unknown: no order moves the account so, and the hour trades."""
    fake, decision = venue(context), decided(context)
    fake.next_send = "lost_before"
    original = fake.send

    def send_while_money_moves(order: Any) -> Any:
        reply = original(order)
        if len(fake.sent) == 1:
            fake.free["BTC"] += Decimal(base)
            fake.free["USDT"] += Decimal(quote)
        return reply

    fake.send = send_while_money_moves  # type: ignore[method-assign]  # money moves at this moment
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.1")
    assert len(fake.sent) == 2


def test_balances_that_show_the_order_forbid_a_second_attempt(context: ExecutionContext) -> None:
    """Executed, and the venue's lists are blind to it: parked, no second order; it is booked once it is listed."""
    fake, decision = venue(context), decided(context)
    fake.next_send, fake.blind = "lost_after", True
    for _ in range(2):
        with pytest.raises(OrderInDoubt, match=r"balances moved as order .* would have moved them"):
            carry_out(context, HOUR, decision)
    fake.blind = False
    assert bought(carry_out(context, HOUR, decision)) == Decimal("0.1")
    assert len(fake.sent) == 1


def test_balances_alone_ask_a_person_past_the_deadline(context: ExecutionContext) -> None:
    """Still listed nowhere when no second attempt may follow: halted, not parked for ever; a resume closes it."""
    fake, decision = venue(context), decided(context)
    fake.next_send, fake.blind = "lost_after", True
    with pytest.raises(OrderInDoubt):
        carry_out(context, HOUR, decision)
    context.clock.sleep(11 * 60)
    for _ in range(2):
        with pytest.raises(Halt, match="trader resume closes it as never executed") as caught:
            carry_out(context, HOUR, decision)
        announce(context.journal, context.clock.now_ms(), "reconcile", freeze=True, message=str(caught.value))
    resume(context.journal, context.clock.now_ms(), "looked: it is not on the venue's page")
    assert carry_out(context, HOUR, decision) == []
    assert outcomes(context, 1, 2) == ["absent", "void"]
    assert len(fake.sent) == 1


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("share", ["0.01", "0.4", "1"])
def test_the_effect_of_an_order_is_seen_in_both_legs(side: Side, share: str) -> None:
    """Any part of an order from a hundredth on shows, whoever else trades beside it; listed trades explain theirs."""
    sign = 1 if side == "BUY" else -1
    other: Side = "SELL" if side == "BUY" else "BUY"
    qty, price = Decimal("0.2") * Decimal(share), Decimal(50_000)
    attempt = attempt_made(side, "0.2", Balances(Decimal(3), Decimal(70_000)))
    after = Balances(3 + sign * qty, 70_000 - sign * qty * price)
    assert shows_effect(attempt, after, [])
    assert not shows_effect(attempt, after, [OwnTrade("web_1", side, qty, qty * price)])
    beside = Balances(after.base - sign, after.quote + sign * price)
    assert shows_effect(attempt, beside, [OwnTrade("web_2", other, Decimal(1), price)])


def without_attempts(context: ExecutionContext) -> None:
    """The store loses what it knows of attempts."""
    store = context.journal.store
    assert isinstance(store, MemoryStore)
    store.objects = {k: v for k, v in store.objects.items() if "attempt" not in k and "outcome" not in k}


def test_an_attempt_that_the_journal_lost_is_taken_from_the_venue(context: ExecutionContext) -> None:
    """The venue knows the id and the journal does not: the order is booked as it was executed, and nothing is sent."""
    decision = decided(context)
    fills = carry_out(context, HOUR, decision)
    without_attempts(context)
    assert carry_out(context, HOUR, decision) == fills
    assert len(venue(context).sent) == 1


def test_an_order_that_cannot_be_the_decided_one_halts(context: ExecutionContext) -> None:
    """Another life of this bot has bought more under the hour's id than this journal decided: nothing is sent, and the halt
    says what to type."""
    carry_out(context, HOUR, decided(context))
    without_attempts(context)
    with pytest.raises(Halt, match=r"trader adopt hourly-.*-d1") as caught:
        carry_out(context, HOUR, decision_made(HOUR, "BUY", "0.07"))
    assert caught.value.reason == "foreign_order"
    assert len(venue(context).sent) == 1


def test_client_order_ids_fit_the_exchange() -> None:
    """At most 36 characters of the alphabet that is signed and sent alike."""
    name = client_order_id("abcdef", "0f3a", "1000SATSUSDTX", HOUR, "d", 9)
    assert name == "abcdef-0f3a-1000SATSUSDT-22010110-d9"
    assert len(name) <= 36
