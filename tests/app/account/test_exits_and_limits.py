"""A stop that sells, words that keep their promise, and limits at the last door."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.attacks import LOST, at, changed, moved
from tests.support.crew import Scene
from tests.support.fakes import FakeClock
from trader.app.account_care import epoch, flatten
from trader.app.adoption import epoch_between
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT, CHAMPION, DEPLOYMENT, TROUBLE
from trader.app.cover import OrderLimits
from trader.app.halts import announce, resume, standing_halt
from trader.app.order_care import adopt, close_attempt
from trader.app.order_ids import client_order_id
from trader.app.proposal import propose
from trader.app.store_check import check
from trader.app.tick import Ticked, catch_up, tick
from trader.app.trouble import failed
from trader.core.errors import ConfigError, DataError, Halt, OrderInDoubt, TraderError
from trader.core.events import IgnoreEvent
from trader.core.records import HourRecord
from trader.core.types import HOUR_MS


def newest(bot: Bot, fresh: Scene, hours: int) -> HourRecord:
    """The record of an hour."""
    record = bot.journal.record(fresh.start + hours * HOUR_MS)
    assert record is not None
    return record


def test_an_exit_sells_what_there_is_and_halts(fresh: Scene) -> None:
    """0.001 BTC are gone when a halt sells: everything else is sold, the halt names what is missing, the hours after it are
    closed without an order, and a new epoch ends it."""
    with fresh.bot() as bot:
        tick(bot)
        held = newest(bot, fresh, 0).ledger.position
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="news")
        moved(fresh, "BTC", "-0.001")
        at(fresh, 1)
        sold = tick(bot)
        assert (sold.halted, sold.lines[0].order_side, sold.lines[0].reason) == (True, "SELL", "halt")
        assert held - Decimal("0.0011") < (sold.lines[0].order_qty or 0) <= held - Decimal("0.001")
        halt = standing_halt(bot.journal)
        assert halt is not None
        assert "0.001" in halt.message
        assert "BTC are missing" in halt.message
        at(fresh, 2)
        assert tick(bot).lines[0].reason == "not_in_account"
        assert epoch(bot, "withdrawn for good", Decimal(9_000)).lifted
        at(fresh, 3)
        after = tick(bot)
        assert not after.halted
        assert epoch_between(bot.journal, newest(bot, fresh, 2), newest(bot, fresh, 3))
        assert not epoch_between(bot.journal, newest(bot, fresh, 1), newest(bot, fresh, 2))
        ledger = newest(bot, fresh, 3).ledger
        assert (ledger.cash + ledger.position * newest(bot, fresh, 3).close) > 8_900
        assert check(bot.journal).problems == []
    assert len([order for order in fresh.executed() if order["side"] == "SELL"]) == 1


def test_an_ordinary_exit_that_is_not_covered_sells_and_halts_in_its_hour(fresh: Scene) -> None:
    """No halt stood before: the hour that would have left sells what there is and is the hour of the halt."""
    with fresh.bot() as bot:
        for hour in range(30):
            at(fresh, hour)
            record = bot.journal.record(fresh.start + (hour - 1) * HOUR_MS)
            if (
                hour
                and propose(bot, fresh.start + hour * HOUR_MS, fresh.start + hour * HOUR_MS, record).order
            ):
                break
            tick(bot)
        moved(fresh, "BTC", "-0.05")
        done = tick(bot)
        assert (done.halted, done.lines[0].order_side, done.lines[0].reason) == (True, "SELL", "halt")
        assert standing_halt(bot.journal) is not None
        assert check(bot.journal).problems == []
    fresh.check_books()


def test_a_person_is_taken_at_the_last_word(fresh: Scene) -> None:
    """Halted and kept, then halted and sold: it is sold. The other way round it is kept. A doubt of the bot changes neither."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=True, by="person", message="maintenance")
        at(fresh, 1)
        assert tick(bot).lines[0].order_side is None
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="sell it now")
        announce(bot.journal, fresh.start, "two_stores", freeze=True, message="a doubt")
        at(fresh, 2)
        assert tick(bot).lines[0].order_side == "SELL"
        resume(bot.journal, fresh.start, "over")
        for hour in range(3, 60):
            at(fresh, hour)
            if tick(bot).lines[0].order_side == "BUY":
                break
        announce(bot.journal, fresh.start, "person", freeze=False, by="person")
        announce(bot.journal, fresh.start, "person", freeze=True, by="person", message="no, keep it")
        at(fresh, hour + 1)
        assert tick(bot).lines[0].order_side is None
        assert check(bot.journal).problems == []
    fresh.check_books()


def test_a_tick_that_is_done_knows_of_halts_and_resumes(fresh: Scene) -> None:
    """After `trader halt` and after `trader resume` a repeated tick says what status and doctor say."""
    with fresh.bot() as bot:
        assert not tick(bot).halted
        announce(bot.journal, fresh.start, "person", freeze=True, by="person")
        assert tick(bot).halted
        at(fresh, 1)
        assert tick(bot).halted
        resume(bot.journal, fresh.start, "over")
        assert not tick(bot).halted


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (OrderLimits(largest_order_usdt=Decimal(5_000)), "largest_order_usdt is 5000"),
        (OrderLimits(largest_exposure=Decimal("0.5")), "largest_exposure allows 5000"),
        (OrderLimits(orders_a_day=0), "orders_a_day is 0"),
    ],
)
def test_an_order_beyond_a_limit_is_not_sent(fresh: Scene, limits: OrderLimits, said: str) -> None:
    """The decision stands, its attempt is void, trading halts, and the words name the setting."""
    with fresh.bot() as bot:
        tick(replace(bot, limits=limits))
        halt = standing_halt(bot.journal)
        assert halt is not None
        assert halt.reason == "limit"
        assert said in halt.message
        attempt, outcome = bot.journal.attempt(fresh.start, 1), bot.journal.outcome(fresh.start, 1)
        assert attempt is not None
        assert outcome is not None
        assert (attempt.void, said in outcome.message) == (True, True)
        assert check(bot.journal).problems == []
    assert fresh.executed() == []


@pytest.mark.parametrize("what", ["twice the allocation", "twice the cash", "a deadline in 2099", "NaN cash"])
def test_a_decision_that_somebody_else_wrote_sends_nothing(fresh: Scene, what: str) -> None:
    """It asks for more than its own state allows, or does not follow from the hour before."""
    with fresh.bot() as bot:
        bot.journal.decide(propose(bot, fresh.start, fresh.start, None))
    file = next(fresh.store.rglob("decision"))
    decision = json.loads(file.read_text())
    changed(decision, what)
    file.write_text(json.dumps(decision))
    with fresh.bot() as bot:
        if what == "twice the allocation":
            tick(bot)
            halt = standing_halt(bot.journal)
            assert halt is not None
            assert halt.reason == "limit"
        else:
            with pytest.raises(DataError, match=r"decision"):
                tick(bot)
    assert fresh.executed() == []


def test_a_sale_at_once_is_booked_once_whatever_is_killed(
    fresh: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`trader flatten` between two hours sells now; killed after the order it is booked by the next tick, and not twice."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        append = type(bot.journal).append

        def dies(journal: Any, event: Any, after: int | None = None) -> Any:
            if type(event).__name__ == "AdoptEvent":
                raise KeyboardInterrupt
            return append(journal, event, after)

        with monkeypatch.context() as patched:
            patched.setattr(type(bot.journal), "append", dies)  # the process dies at this very write
            with pytest.raises(KeyboardInterrupt):
                flatten(bot, "news")
        assert [order["side"] for order in fresh.executed()] == ["BUY", "SELL"]
        again = flatten(bot, "news")
        assert " 0 held" in again.words or "held" in again.words
        at(fresh, 1)
        after = tick(bot)
        assert (after.halted, after.lines[0].order_side) == (True, None)
        record = newest(bot, fresh, 1)
        assert record.adopted == 1
        assert record.ledger.position < Decimal("0.001")
        assert check(bot.journal).problems == []
    assert [order["side"] for order in fresh.executed()] == ["BUY", "SELL"]
    fresh.check_balances()


def test_a_sale_at_once_before_the_hour_is_decided_is_the_hours_own(fresh: Scene) -> None:
    """Nothing of the hour is done yet: flatten lets the hour itself sell."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 1)
        flatten(bot, "news")
        assert newest(bot, fresh, 1).line.order_side == "SELL"
        assert check(bot.journal).problems == []
    fresh.check_books()
    fresh.check_balances()


NEVER_FINAL = {
    "method": "GET",
    "path": "/api/v3/order",
    "action": "reply",
    "status": 200,
    "since": "lost",
}


def test_an_order_that_never_ends_can_be_closed(fresh: Scene) -> None:
    """The reply is lost and the venue says NEW for ever: parked hour by hour, closed by a person with what was executed, and
    what turns out to have been executed later halts instead of being lost from sight."""
    with fresh.bot() as bot:
        state: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "clientOrderId": "",
            "orderId": 1,
            "side": "BUY",
            "type": "MARKET",
            "origQty": "1.0",
            "status": "NEW",
            "executedQty": "0.00000000",
            "cummulativeQuoteQty": "0.00000000",
            "time": fresh.start,
        }
        decision = propose(bot, fresh.start, fresh.start, None)
        assert decision.order is not None
        name = client_order_id(bot.name, bot.journal.store_id(), bot.symbol, fresh.start, "d", 1)
        state |= {"clientOrderId": name, "origQty": str(decision.order.qty)}
        fresh.sim("/sim/faults", [LOST, {**NEVER_FINAL, "body": state}])
        with pytest.raises(OrderInDoubt):
            tick(bot)
        with pytest.raises(ConfigError, match="may still bring"):
            close_attempt(bot, fresh.start, 1, "support says so")
        bot.clock.sleep(700)
        assert "closed as expired, 0 executed" in close_attempt(bot, fresh.start, 1, "support says so").words
        assert "closed already" in close_attempt(bot, fresh.start, 1, "again").words
        assert tick(bot).lines[0].fill_price is None
        fresh.sim("/sim/faults", [])
        at(fresh, 1)
        with pytest.raises(Halt, match=f"trader adopt {name}"):
            tick(bot)
        assert adopt(bot, name, "it filled after all").lifted
        assert not tick(bot).halted
        assert check(bot.journal).problems == []
    fresh.check_balances()


def test_ticks_that_fail_are_told_once_and_once_when_it_is_over(fresh: Scene) -> None:
    """A revoked key for two hours: no hour is closed, one event when it begins and one when it is over."""
    with fresh.bot() as bot:
        tick(bot)
        fresh.sim("/sim/faults", [{"path": "/api/*", "action": "revoke_key"}])
        for hour in (1, 1.01, 2):
            at(fresh, hour)
            with pytest.raises(TraderError) as caught:
                tick(bot)
            assert caught.value.exit_code == 2
            failed(bot.journal, bot.exchange, bot.clock, caught.value)
        assert bot.journal.record(fresh.start + HOUR_MS) is None
        fresh.sim("/sim/faults", [])
        at(fresh, 3)
        assert len(tick(bot).lines) == 3
        said = [event.content for event in bot.journal.events(TROUBLE)]
        assert [(event.over, event.exit_code) for event in said] == [(False, 2), (True, 0)]
        assert "TRADER_API_KEY" in said[0].message
        assert check(bot.journal).problems == []


@pytest.mark.parametrize("apart_hours", [-26, -0.6, 26])
def test_a_venue_of_another_time_writes_no_hour(fresh: Scene, apart_hours: float) -> None:
    """A venue that is skewed, and its bars with it, would write hours that have not come: this machine's clock is asked."""
    here = FakeClock(fresh.start + round(apart_hours * HOUR_MS))
    with fresh.bot() as bot:
        with pytest.raises(ConfigError, match="nothing is written"):
            tick(replace(bot, wall=here))
        here.time_ms = fresh.start + 60_000
        assert tick(replace(bot, wall=here)).outcome == "traded"


def test_the_price_of_the_comparison(fresh: Scene) -> None:
    """A warm hour without an order asks two things more than before: orders and trades, once each."""
    with fresh.bot() as bot:
        for hour in range(10):
            at(fresh, hour)
            before = len(fresh.sim("/sim/requests"))
            line = tick(bot).lines[0]
            asked = [row["path"] for row in fresh.sim("/sim/requests")[before:]]
            if hour and line.order_side is None:
                break
    assert line.order_side is None
    assert asked.count("/api/v3/allOrders") == asked.count("/api/v3/myTrades") == 1
    assert len(asked) <= 6, asked


def test_events_of_another_process_are_not_lost_ones(fresh: Scene) -> None:
    """Between this process's look at the events and its reading of the newest record another one halts and closes the hour, and
    a third decides the next by an adopted order: nothing is missing, it was only looked at early."""
    with fresh.bot() as early, fresh.bot() as other:
        tick(other)
        at(fresh, 1)
        early.journal.events(DEPLOYMENT)
        with early.journal.glance(DEPLOYMENT, CHAMPION, ACCOUNT, TROUBLE):
            announce(other.journal, fresh.start, "person", freeze=True, by="person")
            other.journal.append(IgnoreEvent(other.symbol, fresh.start, "person", "x", "web_1", fresh.start))
            tick(other)
            done = catch_up(early)
        assert isinstance(done, Ticked)
        assert (done.outcome, done.halted) == ("done", True)
        record = newest(other, fresh, 1)
        assert (record.totals.halt_event, record.totals.account_event) == (1, 1)
