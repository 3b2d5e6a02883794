"""Attacks that once left a state without a way out, or a promise that the program did not keep."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.attacks import (
    LOST,
    RULE,
    UNSEEN,
    at,
    held,
    hours,
    in_sight,
    left,
    restore,
    retrained,
    rich,
    watched,
)
from tests.support.crew import VALUES, Scene, a_bot, begin
from tests.support.rig import Venue
from trader.adapters.binance_spot import BinanceSpot
from trader.app import status as status_module
from trader.app.account_care import believed, epoch, flatten
from trader.app.codec_events import ACCOUNT
from trader.app.halts import announce, resume, standing_halt
from trader.app.order_care import close_attempt, ignore
from trader.app.store_repair import repair
from trader.app.tick import tick
from trader.core.errors import ConfigError, Halt, TraderError
from trader.core.types import HOUR_MS


def test_what_an_attempt_executed_after_it_was_closed_can_be_adopted(fresh: Scene) -> None:
    """resume "closes it as never executed", as the halt said; an hour later the venue shows it: adopted, it is in the books."""
    fresh.sim("/sim/faults", [LOST, *UNSEEN])
    with fresh.bot() as bot:
        hours(fresh, bot, 0.01, 0.3)
        resume(bot.journal, fresh.start, "it is not there")
        hours(fresh, bot, 0.31)
        fresh.sim("/sim/faults", [])
        at(fresh, 1)
        with pytest.raises(Halt):
            tick(bot)
        left(bot, fresh, fresh.executed()[0]["clientOrderId"])
        hours(fresh, bot, 1.1)
        in_sight(fresh, bot)


def test_two_copies_in_one_second_can_be_mended(fresh: Scene, tmp_path: Path) -> None:
    """Both sent the hour's order under one id; the halt that follows has a way out."""
    rich(fresh)
    shutil.copytree(fresh.store, tmp_path / "b")
    with fresh.bot() as one, a_bot(fresh.url, tmp_path / "b") as two:
        assert isinstance(one.exchange, BinanceSpot)
        real = one.exchange._api.client.create_order
        fired: list[int] = []

        def slow(**order: Any) -> Any:
            if not fired:
                fired.append(1)
                tick(two)
            return real(**order)

        one.exchange._api.client.create_order = slow
        tick(one)
        at(fresh, 1)
        with pytest.raises(Halt):
            tick(one)
        left(one, fresh, fresh.executed()[0]["clientOrderId"])


def test_a_lost_card_has_a_way_out(fresh: Scene, tmp_path: Path) -> None:
    """The only model's card is gone: flatten sells all the same, and the retrain that every message names ends it."""
    (tmp_path / "P.json").write_text(json.dumps(VALUES))
    venue = Venue(fresh.url, tmp_path, {"TRADER_STORE": str(fresh.store)})
    with fresh.bot() as bot:
        tick(bot)
    shutil.rmtree(fresh.store / "models")
    at(fresh, 1.3)
    sold = venue.trader("flatten", "--reason", "news", check=False)
    trained = venue.trader("retrain", "--params", "P.json", check=False)
    at(fresh, 2.01)
    ticked = venue.trader("tick", check=False)
    assert [sold.returncode, trained.returncode, ticked.returncode] == [0, 0, 4], (
        sold.stderr,
        trained.stderr,
        ticked.stderr,
    )


def test_lost_champions_have_a_way_out(fresh: Scene) -> None:
    """Status is no traceback, and after `trader retrain` the hours in between are missed, as after a lost model."""
    with fresh.bot() as bot:
        tick(bot)
    shutil.rmtree(fresh.store / "state/BTCUSDT/champion")
    at(fresh, 2.3)
    with fresh.bot() as bot:
        assert "champion events are lost" in status_module.status(bot.journal, RULE)["why"]
        retrained(bot)
        at(fresh, 3)
        assert [line.reason == "missed" for line in tick(bot).lines] == [True, True, False]
        in_sight(fresh, bot)


def test_hours_are_closed_while_two_stores_stand(fresh: Scene, tmp_path: Path) -> None:
    """The other bot trades on: this one says so once for each order, and its hours are recorded."""
    with a_bot(fresh.url, tmp_path / "new") as new, fresh.bot() as old:
        begin(new)
        for hour in range(8):
            at(fresh, hour)
            tick(old)
            for _ in range(2):
                at(fresh, hour + 0.1 + _ / 100)
                with suppress(Halt):
                    tick(new)
        assert new.journal.record(fresh.start + 7 * HOUR_MS) is not None


def test_a_flatten_that_the_venue_does_not_answer_has_halted(fresh: Scene) -> None:
    """503 at the first request: the halt stands all the same, and nothing is bought when the venue is back."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        fresh.sim(
            "/sim/faults",
            [{"path": "/api/*", "action": "reply", "status": 503, "body": {"code": -1001, "msg": "no"}}],
        )
        with pytest.raises(TraderError):
            flatten(bot, "STOP")
        assert standing_halt(bot.journal) is not None


def test_a_failed_epoch_wrote_nothing(fresh: Scene, tmp_path: Path) -> None:
    """Exit 2 is "nothing was done"."""
    with fresh.bot() as bot:
        tick(bot)
    with a_bot(fresh.url, tmp_path / "new") as bot:
        begin(bot)
        at(fresh, 1)
        with pytest.raises(Halt):
            tick(bot)
        with suppress(ConfigError):
            epoch(bot, "begin anew", Decimal(10))
            return
        assert bot.journal.events(ACCOUNT) == []


def test_only_a_whole_id_lifts_a_halt(fresh: Scene) -> None:
    """`trader ignore` of some text that stands in a person's words lifts nothing."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="exchange hacked")
        ignore(bot, "hack", "typo")
        assert standing_halt(bot.journal) is not None


def test_a_closed_sale_at_once_sends_no_other(fresh: Scene) -> None:
    """close-attempt of a flatten waits for the sale's own deadline, until which another attempt would follow."""
    rich(fresh, "BTC", "1")
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        fresh.sim("/sim/faults", [LOST, *UNSEEN])
        with pytest.raises(TraderError):
            flatten(bot, "news")
        with suppress(ConfigError):
            close_attempt(bot, fresh.start, 1, "support", "flatten_")
        with suppress(TraderError):
            tick(bot)
    assert len([order for order in fresh.executed() if order["side"] == "SELL"]) == 1


def test_a_copy_from_before_a_persons_halt(fresh: Scene, tmp_path: Path) -> None:
    """The venue shows the sale of a halt (kind h) that the restored store knows nothing of: it asks before it buys again."""
    with fresh.bot() as bot:
        tick(bot)
    shutil.copytree(fresh.store, tmp_path / "copy")
    with fresh.bot() as bot:
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="stop for good")
        hours(fresh, bot, 1)
    restore(tmp_path / "copy", fresh.store)
    with fresh.bot() as bot:
        hours(fresh, bot, 1.1, 2, 3, 4, 5)
    assert [order["side"] for order in fresh.executed()] == ["BUY", "SELL"]


@pytest.mark.parametrize("what", ["decision", "attempt-1"])
def test_a_torn_object_of_the_open_hour(fresh: Scene, what: str) -> None:
    """`trader store repair`, which the tick names, ends it: the venue says what became of the attempt, or that there is none."""

    class Dies(BaseException):
        pass

    def die(key: str) -> None:
        if key.endswith("/attempt-1"):
            raise Dies

    with fresh.bot() as bot:
        watched(bot, die)
        with suppress(Dies):
            tick(bot)
    next(fresh.store.rglob(what)).write_bytes(b"{")
    at(fresh, 1.5)
    with fresh.bot() as bot:
        assert len(list(repair(bot))) == 1
        first = tick(bot).lines[0]
        assert (first.order_side, first.fill_price) in (("BUY", None), (None, None))
        in_sight(fresh, bot)
    assert fresh.executed() == []


def test_a_torn_outcome_of_a_sale_at_once(fresh: Scene) -> None:
    """The same of `flatten_outcome-1` while the sale is not booked."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        flatten(bot, "news")
    (fresh.store / "state/BTCUSDT/account/000002").unlink()
    next(fresh.store.rglob("flatten_outcome-1")).write_bytes(b"{")
    at(fresh, 1)
    with fresh.bot() as bot:
        assert "flatten_outcome-1: made again from the venue's answer (filled)" in next(repair(bot))
        tick(bot)
        assert believed(bot).position == held(fresh)
    assert [order["side"] for order in fresh.executed()] == ["BUY", "SELL"]


def test_status_knows_of_a_sale_at_once(fresh: Scene) -> None:
    """After `trader flatten` at 00:30 status does not say that everything is held still."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        flatten(bot, "news")
        assert Decimal(status_module.status(bot.journal, RULE)["holding"]["position"]) == held(fresh)


def test_locked_coins_are_held(fresh: Scene) -> None:
    """A limit order by hand locks the bot's coins: an epoch would lose sight of them, and is refused."""
    with fresh.bot() as bot:
        tick(bot)
        order = {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.2555",
            "price": "42000",
        }
        assert isinstance(bot.exchange, BinanceSpot)
        bot.exchange._api.client.create_order(
            **order, newClientOrderId="web_1", timestamp=bot.exchange.time_ms()
        )
        with pytest.raises(ConfigError):
            epoch(bot, "gone", Decimal(10))


def test_a_tenth_sale_of_an_hour_says_so(fresh: Scene) -> None:
    """A thin book takes 0.01 each time: the tenth flatten says why it sells nothing."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.2)
        fresh.sim(
            "/sim/faults", [{"method": "POST", "path": "/api/v3/order", "action": "book", "base": "0.01"}]
        )
        for _ in range(9):
            flatten(bot, "news")
        with suppress(TraderError):
            assert "nothing was sold" not in flatten(bot, "news").words
