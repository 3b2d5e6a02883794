"""What the account holds is never out of sight: stores older than the account, lost objects, other stores, copies."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.crew import Scene, a_bot, begin
from trader.app.adoption import booked_by_hour
from trader.app.halts import resume, standing_halt
from trader.app.order_care import adopt, ignore
from trader.app.store_check import check
from trader.app.tick import tick
from trader.core.errors import ConfigError, Halt
from trader.core.types import HOUR_MS


def restore(copy: Path, store: Path) -> None:
    """The runbook's last resort: the store as it was when the copy was made."""
    shutil.rmtree(store)
    shutil.copytree(copy, store)


@pytest.mark.parametrize("hours_later", [0, 1, 30])
def test_a_store_from_before_the_last_order_books_it_by_itself(
    fresh: Scene, tmp_path: Path, hours_later: int
) -> None:
    """A copy of before the purchase is restored: the purchase is in the books again, the bot does not buy twice, and the store
    holds together. In the very hour, an hour later, more than a day later."""
    shutil.copytree(fresh.store, tmp_path / "copy")
    with fresh.bot() as bot:
        tick(bot)
    [order] = fresh.executed()
    restore(tmp_path / "copy", fresh.store)
    fresh.sim("/sim/clock", {"to": fresh.start + hours_later * HOUR_MS + 60_000})
    with fresh.bot() as bot:
        first = tick(bot).lines[0]
        assert (first.reason, first.order_side) == ("adopted", "BUY")
        assert str(first.order_qty) in (order["executedQty"], str(Decimal(order["executedQty"]).normalize()))
        assert check(bot.journal).problems == []
    fresh.check_books()
    fresh.check_balances()
    assert fresh.executed()[0]["clientOrderId"] == order["clientOrderId"]
    assert len([o for o in fresh.executed() if o["side"] == "BUY"]) <= 1 + hours_later // 2


@pytest.mark.parametrize("lost", [["decision", "record"], ["decision", "record", "attempt-1", "outcome-1"]])
def test_a_lost_decision_beside_an_executed_order_is_not_missed(fresh: Scene, lost: list[str]) -> None:
    """The hour's objects are lost and the venue executed its order: the hour is closed by what was executed."""
    with fresh.bot() as bot:
        tick(bot)
    for name in lost:
        next(fresh.store.rglob(name)).unlink()
    fresh.sim("/sim/clock", {"to": fresh.start + HOUR_MS})
    with fresh.bot() as bot:
        assert tick(bot).lines[0].reason == "adopted"
        assert check(bot.journal).problems == []
    fresh.check_books()
    fresh.check_balances()


def test_an_order_hidden_from_one_list_is_seen_in_the_other(fresh: Scene, tmp_path: Path) -> None:
    """The venue's list of orders lags behind for hours; its list of trades shows the purchase all the same."""
    shutil.copytree(fresh.store, tmp_path / "copy")
    with fresh.bot() as bot:
        tick(bot)
    restore(tmp_path / "copy", fresh.store)
    fresh.sim("/sim/faults", [{"path": "/api/v3/allOrders", "action": "reply", "status": 200, "body": []}])
    with fresh.bot() as bot:
        assert tick(bot).lines[0].reason == "adopted"
    assert len(fresh.executed()) == 1


def new_store(fresh: Scene, folder: Path) -> Scene:
    """Another store of a bot of the same name, which begins at the same hour."""
    other = Scene(fresh.exchange, folder / "new", fresh.start)
    with a_bot(fresh.url, other.store) as bot:
        begin(bot)
    return other


@pytest.fixture
def late(fresh: Scene, tmp_path: Path) -> tuple[Scene, Scene, str]:
    """A bot that has bought, a new store beside it whose first hour has come, and the order's id."""
    with fresh.bot() as bot:
        tick(bot)
    other = new_store(fresh, tmp_path)
    fresh.sim("/sim/clock", {"to": fresh.start + HOUR_MS})
    return fresh, other, fresh.executed()[0]["clientOrderId"]


def test_a_new_store_does_not_ignore_the_old_ones_position(late: tuple[Scene, Scene, str]) -> None:
    """It halts before it decides anything and names the order; hours go on to be closed; adopted, the position is in its books,
    and it trades on."""
    fresh, other, name = late
    with other.bot() as bot:
        with pytest.raises(Halt, match=f"trader adopt {name}") as caught:
            tick(bot)
        assert caught.value.reason == "two_stores"
        closed = tick(bot)
        assert (closed.halted, closed.lines[0].reason, closed.lines[0].position) == (True, "halt", 0)
        with pytest.raises(ConfigError, match="nobody has said whose it is"):
            resume(bot.journal, fresh.start, "no reason at all")
        fresh.sim("/sim/clock", {"to": fresh.start + 2 * HOUR_MS})
        done = adopt(bot, name, "the old store is gone")
        assert done.lifted
        assert adopt(bot, name, "the old store is gone").words.endswith("already")
        after = tick(bot)
        record = bot.journal.record(fresh.start + 2 * HOUR_MS)
        assert record is not None
        assert not after.halted
        bought = sum((fill.qty for fill in record.fills), Decimal(0))
        assert bought >= Decimal(fresh.executed()[0]["executedQty"])
        assert record.adopted == len(fresh.executed()[0]["fills"])
        assert standing_halt(bot.journal) is None
        assert check(bot.journal).problems == []
    held = Decimal(fresh.sim("/sim/balances")["BTC"]["free"])
    assert record.ledger.position == held


def test_an_ignored_order_is_nobodys_business(late: tuple[Scene, Scene, str]) -> None:
    """What the old bot bought stays out of the books, and is asked about no more."""
    fresh, other, name = late
    with other.bot() as bot:
        with pytest.raises(Halt):
            tick(bot)
        assert ignore(bot, name, "sold by hand").lifted
        assert not tick(bot).halted
        record = bot.journal.record(fresh.start + HOUR_MS)
        assert record is not None
        assert record.adopted == 0
        fresh.sim("/sim/clock", {"to": fresh.start + 2 * HOUR_MS})
        assert not tick(bot).halted
        assert check(bot.journal).problems == []


def test_what_cannot_be_adopted_says_why(late: tuple[Scene, Scene, str]) -> None:
    """An unknown id, an order that the journal has, and a sale of more than is held: exit 2, nothing written."""
    fresh, other, name = late
    with fresh.bot() as bot:
        assert booked_by_hour(bot.journal, name)
        with pytest.raises(ConfigError, match=r"has all of order .* already"):
            adopt(bot, name, "x")
        with pytest.raises(ConfigError, match="knows no order"):
            adopt(bot, "hourly-0000-BTCUSDT-21030500-d1", "x")
        for hour in range(2, 40):
            fresh.sim("/sim/clock", {"to": fresh.start + hour * HOUR_MS})
            if tick(bot).lines[-1].order_side == "SELL":
                break
    sale = next(order for order in fresh.executed() if order["side"] == "SELL")
    with other.bot() as bot, pytest.raises(ConfigError, match="this bot holds 0"):
        adopt(bot, sale["clientOrderId"], "x")


def test_every_order_of_the_other_store_needs_a_word(late: tuple[Scene, Scene, str]) -> None:
    """It sold and bought again before this store began: the halt names all of them, hours go on to be closed, and the bot trades
    again only when somebody has said whose each of them is."""
    fresh, other, first = late
    with fresh.bot() as bot:
        for hour in range(1, 40):
            fresh.sim("/sim/clock", {"to": fresh.start + hour * HOUR_MS})
            tick(bot)
            if len(fresh.executed()) == 3:
                break
    names = [order["clientOrderId"] for order in fresh.executed()]
    with other.bot() as bot:
        with pytest.raises(Halt) as caught:
            tick(bot)
        assert all(name in str(caught.value) for name in names)
        assert tick(bot).halted
        assert not adopt(bot, names[2], "the last purchase").lifted
        with pytest.raises(ConfigError, match="nobody has said whose it is"):
            resume(bot.journal, fresh.start, "too soon")
        assert ignore(bot, names[1], "sold what was bought before").lifted
        assert first == names[0]
        fresh.sim("/sim/clock", {"to": fresh.start + (hour + 1) * HOUR_MS})
        assert not tick(bot).halted
        assert check(bot.journal).problems == []
