"""What `trader store repair` does with one event, attempt or outcome at a time, and what it leaves to a person."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.support.bars_made import bars_made
from tests.support.fakes import FakeClock, FakeExchange, MemoryMarket, MemoryStore
from tests.support.records_made import decision_made, record_made, totals_made
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT, HALT
from trader.app.collect import Collector
from trader.app.event_log import event_key
from trader.app.halts import announce, resume, standing_halt
from trader.app.journal import Journal
from trader.app.orders import carry_out
from trader.app.repair_events import lost_deployment, lost_events
from trader.app.repair_orders import LATEST_MS, attempt_of, outcome_now
from trader.app.retrain import deployment
from trader.app.store_repair import repair
from trader.core.errors import DataError, OtherSymbol
from trader.core.events import DeploymentEvent, HaltEvent, IgnoreEvent, ResumeEvent
from trader.core.records import Attempt, Totals
from trader.core.risk import halted
from trader.core.types import HOUR_MS
from trader.forecasters.registry import forecaster_of

BARS = bars_made(50, 1)
HOUR = BARS.first + 40 * HOUR_MS
DECISION = decision_made(HOUR, "BUY")


@pytest.fixture
def bot() -> Bot:
    """A bot in memory that has begun at HOUR; its venue's clock stands a second after it."""
    clock = FakeClock(HOUR + 1_000)
    journal, collector = Journal(MemoryStore(), "BTCUSDT"), Collector(MemoryMarket(BARS, clock), "BTCUSDT")
    made = Bot("b", journal, FakeExchange(clock), collector, forecaster_of, clock, "tests")
    journal.append(DeploymentEvent("BTCUSDT", HOUR))
    return made


def venue(bot: Bot) -> FakeExchange:
    """The fake that it trades at."""
    assert isinstance(bot.exchange, FakeExchange)
    return bot.exchange


def later(bot: Bot, ms: int) -> None:
    """So much time passes."""
    venue(bot).clock.time_ms += ms


def closed(bot: Bot, totals: Totals) -> None:
    """The first hour is closed, with these totals after it."""
    bot.journal.close_hour(record_made(HOUR, totals=totals))


def halted_totals(*, frozen: bool) -> Totals:
    """Of a halt for a loss, which is the second event of the bot's halts."""
    totals = totals_made(halt_event=2)
    risk = halted(totals.state.risk, HOUR, "drawdown", frozen)
    return replace(totals, state=replace(totals.state, risk=risk))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_bot_that_was_halted_is_halted_after_a_repair(bot: Bot, frozen: bool) -> None:
    """Every halt is lost and the newest record says halted: the halt stands again, with its reason, and sells or keeps what is
    held as before."""
    closed(bot, halted_totals(frozen=frozen))
    said = list(lost_events(bot, "halt"))
    assert [line.split(":")[0] for line in said] == [event_key("BTCUSDT", "halt", n) for n in (1, 2)]
    halt = standing_halt(bot.journal)
    assert halt is not None
    assert (halt.reason, halt.freeze) == ("drawdown", frozen)
    assert "made again by trader store repair" in halt.message
    assert list(lost_events(bot, "halt")) == []


def test_a_bot_that_was_resumed_trades_on_after_a_repair(bot: Bot) -> None:
    """The resume is lost, the halt before it is not, and the newest record says that trading goes on: so it does."""
    announce(bot.journal, HOUR, "person", freeze=True, by="person", message="a look")
    closed(bot, totals_made(halt_event=2))
    assert len(list(lost_events(bot, "halt"))) == 1
    kinds = [type(event.content) for event in bot.journal.events(HALT)]
    assert kinds == [HaltEvent, ResumeEvent]
    assert standing_halt(bot.journal) is None


def test_lost_events_of_the_account_are_not_taken_in_twice(bot: Bot) -> None:
    """What they came to is in the newest record: in their place stand some that move no money, and the next one gets the next
    number."""
    closed(bot, totals_made(account_event=2))
    assert len(list(lost_events(bot, "account"))) == 2
    events = [event.content for event in bot.journal.events(ACCOUNT)]
    assert all(isinstance(event, IgnoreEvent) for event in events)
    made = bot.journal.append(IgnoreEvent("BTCUSDT", HOUR, "person", "x", "web_1", HOUR))
    assert made.number == 3
    assert list(lost_events(bot, "account")) == []


def test_an_event_that_nothing_else_tells_of_is_left_to_a_person(bot: Bot) -> None:
    """The newest halt is damaged: whether it was a halt or a resume cannot be guessed, so its key and the way out are said."""
    announce(bot.journal, HOUR, "person", freeze=True, by="person", message="a look")
    key = event_key("BTCUSDT", "halt", 1)
    bot.journal.store.put(key, b"{")
    with pytest.raises(DataError, match=f"{key} is damaged, .* restore it from a copy"):
        list(lost_events(bot, "halt"))
    assert bot.journal.store.get(key) == b"{"


def test_an_event_of_another_bot_is_not_overwritten(bot: Bot) -> None:
    """A whole event of another symbol under this bot's key is no damage: nothing of it is touched."""
    other = Journal(MemoryStore(), "ETHUSDT")
    announce(other, HOUR, "person", freeze=True, by="person", message="a look")
    theirs = other.store.get(event_key("ETHUSDT", "halt", 1)) or b""
    announce(bot.journal, HOUR, "person", freeze=True, by="person", message="a look")
    resume(bot.journal, HOUR, "seen")
    key = event_key("BTCUSDT", "halt", 1)
    bot.journal.store.put(key, theirs)
    with pytest.raises(OtherSymbol):
        list(lost_events(bot, "halt"))
    assert bot.journal.store.get(key) == theirs


def test_a_lost_deployment_is_the_oldest_hour(bot: Bot) -> None:
    """When the bot began is read off its hours."""
    bot.journal.decide(DECISION)
    store = bot.journal.store
    assert isinstance(store, MemoryStore)
    del store.objects[event_key("BTCUSDT", "deployment", 1)]
    bot.journal = Journal(store, "BTCUSDT")
    assert "made again from the oldest hour" in next(lost_deployment(bot))
    assert deployment(bot.journal) == DeploymentEvent("BTCUSDT", HOUR)
    assert list(lost_deployment(bot)) == []


def test_a_store_before_its_first_hour_needs_no_repair() -> None:
    """Nothing has begun: nothing is made, and nothing is asked of the venue."""
    clock = FakeClock(HOUR)
    store, deaf = MemoryStore(), FakeExchange(clock, reads_fail=True)
    collector = Collector(MemoryMarket(BARS, clock), "BTCUSDT")
    bot = Bot("b", Journal(store, "BTCUSDT"), deaf, collector, forecaster_of, clock, "tests")
    assert list(repair(bot)) == []
    assert store.objects == {}


def sent(bot: Bot, how: str = "filled") -> Attempt:
    """The attempt of an order that was sent, and executed in such a way."""
    venue(bot).next_send = how
    bot.journal.decide(DECISION)
    carry_out(bot.context, HOUR, DECISION)
    attempt = bot.journal.attempt(HOUR, 1)
    assert attempt is not None
    return attempt


def test_an_attempt_is_what_the_venue_executed(bot: Bot) -> None:
    """Its id follows from the decision, and the venue knows it: side, quantity and id are those of the attempt that is lost."""
    before = sent(bot)
    later(bot, HOUR_MS)
    made = attempt_of(bot, DECISION, 1)
    assert made == replace(before, balances=None)


def test_an_attempt_that_may_still_arrive_is_not_said_to_be_void(bot: Bot) -> None:
    """Until an order that was signed at the deadline cannot come any more, the repair says when to ask again."""
    later(bot, DECISION.deadline_ms + LATEST_MS - bot.exchange.time_ms())
    with pytest.raises(DataError, match=r"may still arrive; ask again after 20\d\d-"):
        attempt_of(bot, DECISION, 1)
    later(bot, 1)
    assert attempt_of(bot, DECISION, 1).void


def test_an_attempt_without_an_order_is_left_to_a_person(bot: Bot) -> None:
    """The decision holds still, and a damaged attempt lies beside it: nothing can say what it was."""
    with pytest.raises(DataError, match="attempt-1: there is no order to carry out"):
        attempt_of(bot, decision_made(HOUR), 1)


def test_an_outcome_is_what_the_venue_says(bot: Bot) -> None:
    """Filled with its fills; expired without; absent where the venue does not know the order; void where it never left."""
    attempt = sent(bot)
    assert outcome_now(bot, attempt, "k") == bot.journal.outcome(HOUR, 1)
    name = attempt.client_order_id
    state, fills, seen = venue(bot).known[name]
    nothing = replace(state, status="EXPIRED", executed_qty=Decimal(0))
    venue(bot).known[name] = nothing, fills, seen
    found = outcome_now(bot, attempt, "k")
    assert (found.kind, found.fills) == ("expired", ())
    venue(bot).known.clear()
    assert outcome_now(bot, attempt, "k").kind == "absent"
    assert outcome_now(bot, replace(attempt, void=True), "k").kind == "void"


def test_an_order_that_is_open_has_no_outcome_yet(bot: Bot) -> None:
    """What it will come to is not guessed: the repair names the object and the order, and is repeated later."""
    attempt = sent(bot)
    state, fills, seen = venue(bot).known[attempt.client_order_id]
    venue(bot).known[attempt.client_order_id] = replace(state, status="PARTIALLY_FILLED"), fills, seen
    with pytest.raises(
        DataError, match=r"outcome-1: damaged, and order \S+ is PARTIALLY_FILLED; ask again later"
    ):
        outcome_now(bot, attempt, "journal/x/outcome-1")
