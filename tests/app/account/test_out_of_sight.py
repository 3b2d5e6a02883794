"""Attacks that once hid money: whatever the account holds and executed, the books hold it, or a halt names it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.attacks import (
    DEAF,
    LOST,
    SKEWED,
    UNSEEN,
    at,
    copied_when,
    held,
    hours,
    in_sight,
    restore,
    retrained,
    rich,
    watched,
)
from tests.support.crew import Scene
from trader.app import flatten as at_once
from trader.app.account_care import believed, epoch, flatten
from trader.app.halts import announce, resume, standing_halt
from trader.app.order_care import adopt, ignore
from trader.app.proposal import propose
from trader.app.store_repair import repair
from trader.app.tick import tick
from trader.core.errors import ConfigError, DataError, Halt, TraderError


def test_a_copy_from_between_decision_and_order(fresh: Scene, tmp_path: Path) -> None:
    """Restored an hour later the purchase is in the books; it is not bought twice in silence."""
    rich(fresh)
    with fresh.bot() as bot:
        copied_when(fresh, bot, "/decision", tmp_path / "copy")
        tick(bot)
    restore(tmp_path / "copy", fresh.store)
    with fresh.bot() as bot:
        hours(fresh, bot, 1.02, 2, 3, 4, 5)
        in_sight(fresh, bot)


def test_a_second_attempt_is_not_sent_twice(fresh: Scene, tmp_path: Path) -> None:
    """A copy that knows attempt 1, restored within the ten minutes: attempt 2 is found at the venue, as attempt 1 is."""
    rich(fresh)
    fresh.sim("/sim/faults", [SKEWED])
    with fresh.bot() as bot:
        copied_when(fresh, bot, "/attempt-1", tmp_path / "copy")
        tick(bot)
    restore(tmp_path / "copy", fresh.store)
    at(fresh, 0.03)
    with fresh.bot() as bot, suppress(TraderError):
        tick(bot)
    assert len(fresh.executed()) == 1


def test_an_epoch_while_an_hour_is_open(fresh: Scene) -> None:
    """Begun between a decision and its record it does not forget what the order bought."""
    rich(fresh)
    with fresh.bot() as bot, fresh.bot() as person:
        said: list[str] = []

        def say(key: str) -> None:
            if key.endswith("/decision") and not said:
                said.append(key)
                with suppress(TraderError):
                    epoch(person, "begin anew")

        watched(bot, say)
        tick(bot)
        hours(fresh, bot, 1, 2, 3, 4)
        in_sight(fresh, bot)


def test_an_epoch_while_a_sale_at_once_is_in_doubt(fresh: Scene) -> None:
    """The ledger never holds less than nothing."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        fresh.sim("/sim/faults", [LOST, DEAF])
        with pytest.raises(TraderError):
            flatten(bot, "news")
        fresh.sim("/sim/faults", [])
        with suppress(TraderError):
            epoch(bot, "begin anew", Decimal(5_000))
        hours(fresh, bot, 1)
        assert believed(bot).position >= 0


@pytest.mark.parametrize("rival", ["flatten", "tick of the next hour"])
def test_two_sales_of_one_position(fresh: Scene, rival: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two `trader flatten` at once, or a flatten as the hour turns: one sale, and a halted bot buys nothing afterwards."""
    rich(fresh, "BTC", "1")
    with fresh.bot() as bot, fresh.bot() as other:
        tick(bot)
        at(fresh, 0.9995)
        real = at_once.next_attempt
        fired: list[int] = []

        def slow(journal: Any, hour: int) -> int:
            if not fired:
                fired.append(1)
                if rival == "flatten":
                    flatten(other, "B")
                else:
                    at(fresh, 1.0005)
                    tick(other)
            return real(journal, hour)

        monkeypatch.setattr(at_once, "next_attempt", slow)  # the process is slow here
        flatten(bot, "A")
        hours(fresh, bot, 2)
        assert believed(bot).position >= 0
    assert [order["side"] for order in fresh.executed()] == ["BUY", "SELL"]


def test_a_halt_is_obeyed_where_earlier_halts_were_lost(fresh: Scene) -> None:
    """Status says halted: so does the tick, and it buys nothing."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=True, by="person", message="a")
        resume(bot.journal, fresh.start, "b")
        hours(fresh, bot, 1)
    shutil.rmtree(fresh.store / "state/BTCUSDT/halt")
    with fresh.bot() as bot:
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="STOP NOW")
        before = len(fresh.executed())
        hours(fresh, bot, 2, 3, 4, 5)
        assert [order["side"] for order in fresh.executed()[before:]] == []


def test_a_lost_deployment_does_not_forget_the_position(fresh: Scene) -> None:
    """Nothing begins anew beside records; a repair makes the deployment again, and they go on to count."""
    rich(fresh)
    with fresh.bot() as bot:
        tick(bot)
    shutil.rmtree(fresh.store / "state/BTCUSDT/deployment")
    at(fresh, 0.5)
    with fresh.bot() as bot:
        with suppress(TraderError):
            retrained(bot)
        assert "made again from the oldest hour" in next(repair(bot))
        hours(fresh, bot, 1, 2, 3, 4, 5)
        in_sight(fresh, bot)


def test_the_same_two_hours_later_is_seen(fresh: Scene) -> None:
    """The venue shows it only when two more hours are closed."""
    rich(fresh)
    fresh.sim("/sim/faults", [LOST, *UNSEEN])
    with fresh.bot() as bot:
        hours(fresh, bot, 0.01, 0.3)
        resume(bot.journal, fresh.start, "it is not there")
        announce(bot.journal, fresh.start, "person", freeze=True, by="person", message="a look")
        hours(fresh, bot, 0.31, 1, 2)
        resume(bot.journal, fresh.start, "looked")
        fresh.sim("/sim/faults", [])
        hours(fresh, bot, 3, 4)
        in_sight(fresh, bot)


def test_an_ignored_order_is_not_this_bots_own_attempt(fresh: Scene) -> None:
    """`ignore` refuses an order that an attempt of this journal holds, listed by the venue or not."""
    fresh.sim("/sim/faults", [LOST, *UNSEEN])
    with fresh.bot() as bot:
        hours(fresh, bot, 0.01, 0.3)
        with pytest.raises(ConfigError):
            ignore(bot, fresh.executed()[0]["clientOrderId"], "not on the page")


def test_a_copy_from_within_a_sale_at_once(fresh: Scene, tmp_path: Path) -> None:
    """The copy has the intention and not the attempt; restored later, what was sold is in the books or can be adopted."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        copied_when(fresh, bot, "/account/000001", tmp_path / "copy")
        flatten(bot, "news")
    restore(tmp_path / "copy", fresh.store)
    with fresh.bot() as bot:
        hours(fresh, bot, 1, 2)
        with suppress(TraderError):
            adopt(bot, fresh.executed()[-1]["clientOrderId"], "sold at once")
        assert believed(bot).position == held(fresh)


def test_repair_asks_for_a_lost_outcome(fresh: Scene) -> None:
    """Its own words: "damaged and lost ones are asked for at the venue"; a record is not made again without its fills."""
    with fresh.bot() as bot:
        tick(bot)
    next(fresh.store.rglob("outcome-1")).unlink()
    next(fresh.store.rglob("record")).write_bytes(b"{")
    with fresh.bot() as bot:
        with suppress(DataError):
            list(repair(bot))
        hours(fresh, bot, 1)
        in_sight(fresh, bot)


def test_every_order_of_the_other_store_is_named(fresh: Scene) -> None:
    """It bought in two orders; adopting the one that the halt names does not settle the other in silence."""
    rich(fresh)
    with fresh.bot() as bot:
        for stamp, qty in (("21030423", "0.1"), ("21030500", "0.05")):
            name = f"hourly-abcd-BTCUSDT-{stamp}-d1"
            bot.exchange.send(
                bot.exchange.sign(bot.symbol, "BUY", Decimal(qty), name, bot.exchange.time_ms())
            )
        with pytest.raises(Halt):
            tick(bot)
        said = adopt(bot, name, "the old one is gone").words
        with suppress(Halt):
            tick(bot)
        assert "21030423" in said or believed(bot).position == held(fresh) or standing_halt(bot.journal)


def test_an_adopted_order_is_booked_though_its_id_is_an_attempts(fresh: Scene) -> None:
    """Adopted as the halt said; the void attempt of the same id that closes the hour does not take it out of the books."""
    rich(fresh)
    with fresh.bot() as bot:
        decision, _ = bot.journal.decide(propose(bot, fresh.start, fresh.start, None))
        assert decision.order is not None
        name = f"{bot.name}-{bot.journal.store_id()}-BTCUSDT-21030500-d1"
        qty = decision.order.qty + Decimal("0.01")
        bot.exchange.send(bot.exchange.sign(bot.symbol, "BUY", qty, name, bot.exchange.time_ms()))
        with pytest.raises(Halt, match="trader adopt"):
            tick(bot)
        adopt(bot, name, "the copy is stopped")
        hours(fresh, bot, 0.5, 1, 2)
        in_sight(fresh, bot)


def test_adopt_refuses_what_a_record_holds(fresh: Scene) -> None:
    """The hour's attempt and outcome are lost, its record has the fills: they are not booked twice."""
    rich(fresh)
    with fresh.bot() as bot:
        tick(bot)
    for name in ("attempt-1", "outcome-1"):
        next(fresh.store.rglob(name)).unlink()
    with fresh.bot() as bot:
        with suppress(ConfigError):
            adopt(bot, fresh.executed()[0]["clientOrderId"], "x")
        assert believed(bot).position == held(fresh)
