"""The protocol of an hour under everything at once, drawn by Hypothesis: two writers, crashes, lost replies, jumps.

One writer works step by step. At a drawn step the world interferes: the writer dies there, the other writer does a whole
tick, or time passes. A step is a write to the store or a request to the venue, before or after it took effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.support.fakes import FakeClock, FakeExchange, MemoryStore
from tests.support.records_made import decision_made
from trader.app.halts import announce, resume
from trader.app.journal import Journal
from trader.app.orders import ExecutionContext, carry_out
from trader.core.errors import Halt, Retry
from trader.core.records import Decision, record_of
from trader.core.types import HOUR_MS, Fill, Filters, Side, parse_hour

START = parse_hour("2022-01-01T10:00")
DEADLINE_MS = 10 * 60_000
STEPS = [Decimal(step) for step in ("0.00001", "0.00001", "0.00001", "0.03", "0.2")]
REPLIES = ["filled", "partial", "expired", "lost_after", "lost_before", "late", "refused"]


class Killed(BaseException):
    """A writer died: nothing after this step of its happens."""


class Steps:
    """Calls of a store or a venue, counted; at the n-th something happens, before or after it takes effect."""

    def __init__(self) -> None:
        self.left, self.after = 0, False
        self.event: Callable[[], None] = lambda: None

    def arm(self, n: int, after: bool, event: Callable[[], None]) -> None:
        """Let `event` happen at the n-th call from now."""
        self.left, self.after, self.event = n, after, event

    def around(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do a call, counted."""
        self.left -= 1
        now = self.left == 0
        if now and not self.after:
            self.event()
        result = call(*args, **kwargs)
        if now and self.after:
            self.event()
        return result


class Stepped:
    """Anything whose methods are steps."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not callable(method):
            return method
        return lambda *args, **kwargs: self._steps.around(method, *args, **kwargs)


class Writer:
    """A process of the bot: its own journal over the one store and the one venue, and its own idea of what
    to buy, since no two processes need see the same price."""

    def __init__(self, store: MemoryStore, venue: FakeExchange, clock: FakeClock, qty: str) -> None:
        self.steps, self.qty = Steps(), qty
        journal = Journal(Stepped(store, self.steps), "BTCUSDT")
        exchange = Stepped(venue, self.steps)
        self.context = ExecutionContext(journal, exchange, clock, "hourly", self.renew_filters)

    def renew_filters(self, hour: int) -> Filters:
        """What the venue accepts now."""
        return self.context.exchange.filters("BTCUSDT")

    def work(self) -> None:
        """What a tick does with the hours: those that passed undecided are missed, the current one is decided; each is
        carried out and recorded, oldest first."""
        journal, now = self.context.journal, self.context.exchange.time_ms()
        for hour in range(START, now - now % HOUR_MS + HOUR_MS, HOUR_MS):
            if journal.record(hour) is not None:
                continue
            decision = journal.decision(hour)
            if decision is None:
                decision, _ = journal.decide(self.decided(hour, now))
            fills = carry_out(self.context, hour, decision)
            journal.close_hour(record_of(decision, fills))

    def decided(self, hour: int, now: int) -> Decision:
        """Buy and sell in turns; nothing in an hour that is over or past its deadline."""
        if now > hour + DEADLINE_MS:
            return decision_made(hour, reason="missed", deadline_ms=hour + DEADLINE_MS)
        side: Side = "BUY" if (hour // HOUR_MS) % 2 == 0 else "SELL"
        return decision_made(hour, side, self.qty, deadline_ms=hour + DEADLINE_MS)


class Protocol(RuleBasedStateMachine):
    """The invariants of an hour that is traded exactly once, checked after every interference."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(START + 1_000)
        self.store, self.venue = MemoryStore(), FakeExchange(self.clock)
        self.first, self.second = (Writer(self.store, self.venue, self.clock, qty) for qty in ("0.1", "0.07"))
        self.journal = Journal(self.store, "BTCUSDT")

    def run(self, writer: Writer) -> None:
        """A tick, which may die or have to come again; a person answers what halts it."""
        try:
            with suppress(Killed, Retry):
                writer.work()
        except Halt as halt:
            self.seen["halted"] += 1
            announce(self.journal, self.clock.now_ms(), halt.reason, freeze=True, message=str(halt))
            resume(self.journal, self.clock.now_ms(), "looked")

    def die(self) -> None:
        """The end of a writer."""
        self.seen["killed"] += 1
        raise Killed

    def rival(self, dies_at: int) -> None:
        """The other writer does its whole tick, or dies in it."""
        self.seen["interleaved"] += 1
        self.second.steps.arm(dies_at, True, self.die)
        self.run(self.second)

    def interfere(self, what: str, amount: int) -> None:
        """What happens at a step."""
        if what == "die":
            self.die()
        elif what == "rival":
            self.rival(amount)
        else:
            self.seen["slept"] += 1
            self.clock.sleep(amount * 60)

    @rule(
        reply=st.sampled_from(REPLIES),
        n=st.integers(0, 14),
        after=st.booleans(),
        what=st.sampled_from(["die", "rival", "sleep"]),
        amount=st.integers(0, 14),
        step=st.sampled_from(STEPS),
    )
    def tick(self, reply: str, n: int, after: bool, what: str, amount: int, step: Decimal) -> None:
        """A writer ticks; its next order meets `reply`, and at its n-th step something happens (0: nothing). The venue's
        filters accept multiples of `step` by now: every decided quantity, a part of it, or none."""
        self.venue.next_send = reply
        self.venue.accepts = replace(self.venue.accepts, step_size=step, min_qty=step)
        self.first.steps.arm(n, after, lambda: self.interfere(what, amount))
        self.run(self.first)
        self.first, self.second = self.second, self.first

    @rule(seconds=st.sampled_from([1, 6, 30, 400, 700, 3_600, 7_300]))
    def time_passes(self, seconds: int) -> None:
        """Nobody works."""
        self.clock.sleep(seconds)

    @rule(asset=st.sampled_from(["BTC", "USDT"]), amount=st.sampled_from(["-0.3", "0.3", "5000", "-5000"]))
    def money_moves(self, asset: str, amount: str) -> None:
        """A person deposits or withdraws."""
        self.venue.free[asset] += Decimal(amount)

    @rule(asset=st.booleans())
    def queries_fail(self, asset: bool) -> None:
        """The venue answers no question, or does again."""
        self.venue.reads_fail = asset

    def hours(self) -> range:
        """All hours so far."""
        return range(START, self.clock.now_ms() + 1, HOUR_MS)

    def executed(self, hour: int) -> list[Fill]:
        """What the venue executed for an hour's attempts."""
        attempts = [a for n in range(1, 10) if (a := self.journal.attempt(hour, n))]
        known = [
            self.venue.known[a.client_order_id] for a in attempts if a.client_order_id in self.venue.known
        ]
        return [fill for _, fills, _ in known for fill in fills]

    @invariant()
    def never_more_than_decided(self) -> None:
        """The executed quantity of an hour's attempts is at most the decided one, and each order was sent once."""
        assert max(Counter(order.client_order_id for order in self.venue.sent).values(), default=1) == 1
        for hour in self.hours():
            decision = self.journal.decision(hour)
            allowed = decision.order.qty if decision and decision.order else Decimal(0)
            assert sum((fill.qty for fill in self.executed(hour)), Decimal(0)) <= allowed

    @invariant()
    def one_attempt_open(self) -> None:
        """At most one attempt of the symbol has no outcome, and it is the newest."""
        open_ones = [
            (hour, n)
            for hour in self.hours()
            for n in range(1, 10)
            if self.journal.attempt(hour, n) and not self.journal.outcome(hour, n)
        ]
        assert len(open_ones) <= 1

    @invariant()
    def every_record_is_true(self) -> None:
        """A closed hour holds exactly what the venue executed for it, and hours are closed in order."""
        closed = [hour for hour in self.hours() if self.journal.record(hour)]
        assert closed == list(self.hours())[: len(closed)]
        for hour in closed:
            record = self.journal.record(hour)
            assert record is not None
            recorded = [fill.trade_id for fill in record.fills]
            assert sorted(recorded) == sorted(fill.trade_id for fill in self.executed(hour))
            outcomes = [o for n in range(1, 10) if (o := self.journal.outcome(hour, n))]
            assert [fill.trade_id for o in outcomes for fill in o.fills] == recorded

    def teardown(self) -> None:
        """Left in peace, the next ticks close every hour, and every fill of the venue is in exactly one record."""
        self.venue.reads_fail = False
        self.venue.next_send = "filled"
        for _ in range(4):
            self.first.steps.arm(0, False, self.die)
            self.run(self.first)
            self.clock.sleep(61)
        records = [record for hour in self.hours() if (record := self.journal.record(hour))]
        recorded = [fill.trade_id for record in records for fill in record.fills]
        executed = [fill.trade_id for _, fills, _ in self.venue.known.values() for fill in fills]
        assert sorted(recorded) == sorted(executed)
        self.seen["orders"] += len(self.venue.sent)
        attempts = [a for hour in self.hours() for n in (2, 3) if (a := self.journal.attempt(hour, n))]
        self.seen["requantised"] += sum(attempt.filters is not None for attempt in attempts)


@pytest.mark.parametrize("histories", [150, pytest.param(400, marks=pytest.mark.long)])
def test_the_invariants_hold_whatever_happens(histories: int) -> None:
    """Hundreds of histories: never more than decided, one attempt open, every fill in exactly one record."""
    Protocol.seen.clear()
    run_state_machine_as_test(
        Protocol,
        settings=settings(
            max_examples=histories, stateful_step_count=15, phases=[Phase.generate, Phase.shrink]
        ),
    )
    assert min(Protocol.seen[what] for what in ("killed", "interleaved", "slept")) >= histories // 10, (
        Protocol.seen
    )
    assert Protocol.seen["orders"] >= histories // 2, Protocol.seen
    assert Protocol.seen["requantised"], Protocol.seen
