"""Ways in which money was lost from sight, an order sent twice, or a state left without a way out: each was found by an attack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.account.test_exits_and_limits import at, moved
from tests.crash.crew import PARAMS, VALUES, Scene, a_bot, begin
from tests.rig import Venue
from trader.app import account_care
from trader.app import status as status_module
from trader.app.account_care import adopt, believed, close_attempt, epoch, flatten, ignore
from trader.app.bot import Bot
from trader.app.codec_events import ACCOUNT
from trader.app.halts import announce, resume, standing_halt
from trader.app.proposal import propose
from trader.app.retrain import next_serve_hour, retrain
from trader.app.store_repair import repair
from trader.app.tick import tick
from trader.core.errors import ConfigError, DataError, Halt, TraderError
from trader.core.lifecycle import BreachRule
from trader.core.types import HOUR_MS

RULE = BreachRule(hours=168, net_return_below=-0.05, hit_rate_below=None, cooldown_hours=168)
LOST = {
    "name": "lost",
    "method": "POST",
    "path": "/api/v3/order",
    "nth": 1,
    "phase": "after",
    "action": "reset",
}
GET = {"method": "GET", "since": "lost", "action": "reply"}
DEAF = {**GET, "path": "/api/v3/order", "status": 503, "body": {"code": -1001, "msg": "no"}}
UNSEEN = [
    {**GET, "path": "/api/v3/order", "status": 400, "body": {"code": -2013, "msg": "Order does not exist."}},
    *(
        {**GET, "path": f"/api/v3/{name}", "status": 200, "body": []}
        for name in ("allOrders", "myTrades", "openOrders")
    ),
]
SKEWED = {
    "method": "POST",
    "path": "/api/v3/order",
    "nth": 1,
    "action": "reply",
    "status": 400,
    "body": {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."},
}


def rich(fresh: Scene, asset: str = "USDT", amount: str = "20000") -> None:
    """The account has more than the bot was given, as most accounts have."""
    moved(fresh, asset, amount)
    with fresh.bot() as bot:
        bot.exchange.balances()
    fresh.sim("/sim/faults", [])


def restore(copy: Path, store: Path) -> None:
    shutil.rmtree(store)
    shutil.copytree(copy, store)


class Watched:
    """A store that calls somebody after an object was created."""

    def __init__(self, inner: Any, after: Callable[[str], None]) -> None:
        self.inner, self.after = inner, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def create(self, key: str, data: bytes) -> bool:
        done = self.inner.create(key, data)
        self.after(key)
        return bool(done)


def watched(bot: Bot, after: Callable[[str], None]) -> None:
    bot.journal._store = Watched(bot.journal._store, after)


def copied_when(fresh: Scene, bot: Bot, end: str, to: Path) -> None:
    watched(bot, lambda key: shutil.copytree(fresh.store, to) if key.endswith(end) else None)  # type: ignore[func-returns-value]


def held(fresh: Scene, more: str = "0") -> Decimal:
    return Decimal(fresh.sim("/sim/balances").get("BTC", {"free": "0"})["free"]) - Decimal(more)


def hours(fresh: Scene, bot: Bot, *which: float) -> None:
    for hour in which:
        at(fresh, hour)
        with suppress(TraderError):
            tick(bot)


def in_sight(fresh: Scene, bot: Bot, more: str = "0") -> None:
    """The bot knows what the account holds, or has stopped and says so."""
    assert believed(bot).position == held(fresh, more) or standing_halt(bot.journal) is not None


def test_01_a_copy_from_between_decision_and_order(fresh: Scene, tmp_path: Path) -> None:
    """Restored an hour later the purchase is in the books; it is not bought twice in silence."""
    rich(fresh)
    with fresh.bot() as bot:
        copied_when(fresh, bot, "/decision", tmp_path / "copy")
        tick(bot)
    restore(tmp_path / "copy", fresh.store)
    with fresh.bot() as bot:
        hours(fresh, bot, 1.02, 2, 3, 4, 5)
        in_sight(fresh, bot)


def test_02_a_second_attempt_is_not_sent_twice(fresh: Scene, tmp_path: Path) -> None:
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


def test_03_an_epoch_while_an_hour_is_open(fresh: Scene) -> None:
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


def test_04_an_epoch_while_a_sale_at_once_is_in_doubt(fresh: Scene) -> None:
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
def test_05_two_sales_of_one_position(fresh: Scene, rival: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two `trader flatten` at once, or a flatten as the hour turns: one sale, and a halted bot buys nothing afterwards."""
    rich(fresh, "BTC", "1")
    with fresh.bot() as bot, fresh.bot() as other:
        tick(bot)
        at(fresh, 0.9995)
        real, fired = account_care.at_once.next_attempt, []

        def slow(journal: Any, hour: int) -> int:
            if not fired:
                fired.append(1)
                if rival == "flatten":
                    flatten(other, "B")
                else:
                    at(fresh, 1.0005)
                    tick(other)
            return real(journal, hour)

        monkeypatch.setattr(account_care.at_once, "next_attempt", slow)  # the process is slow here
        flatten(bot, "A")
        hours(fresh, bot, 2)
        assert believed(bot).position >= 0
    assert [order["side"] for order in fresh.executed()] == ["BUY", "SELL"]


def test_06_a_halt_is_obeyed_where_earlier_halts_were_lost(fresh: Scene) -> None:
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


def test_07_a_lost_deployment_does_not_forget_the_position(fresh: Scene) -> None:
    """Nothing begins anew beside records; a repair makes the deployment again, and they go on to count."""
    rich(fresh)
    with fresh.bot() as bot:
        tick(bot)
    shutil.rmtree(fresh.store / "state/BTCUSDT/deployment")
    at(fresh, 0.5)
    with fresh.bot() as bot:
        with suppress(TraderError):
            retrain(
                bot.journal,
                bot.collector,
                bot.forecaster_of,
                PARAMS,
                next_serve_hour(bot.exchange.time_ms(), PARAMS.gap_hours),
                "t",
            )
        assert "made again from the oldest hour" in next(repair(bot))
        hours(fresh, bot, 1, 2, 3, 4, 5)
        in_sight(fresh, bot)


def left(bot: Bot, fresh: Scene, name: str) -> None:
    """One of the commands that the halt names ends it."""
    for act in (
        lambda: adopt(bot, name, "x"),
        lambda: ignore(bot, name, "x"),
        lambda: resume(bot.journal, fresh.start, "x"),
    ):
        with suppress(TraderError):
            act()
    assert standing_halt(bot.journal) is None


def test_08_what_an_attempt_executed_after_it_was_closed_can_be_adopted(fresh: Scene) -> None:
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


def test_09_the_same_two_hours_later_is_seen(fresh: Scene) -> None:
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


def test_10_two_copies_in_one_second_can_be_mended(fresh: Scene, tmp_path: Path) -> None:
    """Both sent the hour's order under one id; the halt that follows has a way out."""
    rich(fresh)
    shutil.copytree(fresh.store, tmp_path / "b")
    with fresh.bot() as one, a_bot(fresh.url, tmp_path / "b") as two:
        real, fired = one.exchange._api.client.create_order, []  # type: ignore[attr-defined]

        def slow(**order: Any) -> Any:
            if not fired:
                fired.append(1)
                tick(two)
            return real(**order)

        one.exchange._api.client.create_order = slow  # type: ignore[attr-defined]
        tick(one)
        at(fresh, 1)
        with pytest.raises(Halt):
            tick(one)
        left(one, fresh, fresh.executed()[0]["clientOrderId"])


def test_11_an_ignored_order_is_not_this_bots_own_attempt(fresh: Scene) -> None:
    """`ignore` refuses an order that an attempt of this journal holds, listed by the venue or not."""
    fresh.sim("/sim/faults", [LOST, *UNSEEN])
    with fresh.bot() as bot:
        hours(fresh, bot, 0.01, 0.3)
        with pytest.raises(ConfigError):
            ignore(bot, fresh.executed()[0]["clientOrderId"], "not on the page")


def test_12_a_copy_from_within_a_sale_at_once(fresh: Scene, tmp_path: Path) -> None:
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


def test_13_a_lost_card_has_a_way_out(fresh: Scene, tmp_path: Path) -> None:
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


def test_14_lost_champions_have_a_way_out(fresh: Scene) -> None:
    """Status is no traceback, and after `trader retrain` the hours in between are missed, as after a lost model."""
    with fresh.bot() as bot:
        tick(bot)
    shutil.rmtree(fresh.store / "state/BTCUSDT/champion")
    at(fresh, 2.3)
    with fresh.bot() as bot:
        status_module.status(bot.journal, RULE)
        retrain(
            bot.journal,
            bot.collector,
            bot.forecaster_of,
            PARAMS,
            next_serve_hour(bot.exchange.time_ms(), PARAMS.gap_hours),
            "t",
        )
        at(fresh, 3)
        tick(bot)


def test_15_repair_asks_for_a_lost_outcome(fresh: Scene) -> None:
    """Its own words: "damaged and lost ones are asked for at the venue"; a record is not made again without its fills."""
    with fresh.bot() as bot:
        tick(bot)
    next(fresh.store.rglob("outcome-1")).unlink()
    next(fresh.store.rglob("record")).write_bytes(b"{")
    with fresh.bot() as bot:
        with suppress(DataError):
            list(repair(bot))
        hours(fresh, bot, 1)
        record = bot.journal.record(fresh.start)
        assert record is not None
        assert record.ledger.position == held(fresh)


def test_16_every_order_of_the_other_store_is_named(fresh: Scene) -> None:
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


def test_17_hours_are_closed_while_two_stores_stand(fresh: Scene, tmp_path: Path) -> None:
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


def test_18_a_flatten_that_the_venue_does_not_answer_has_halted(fresh: Scene) -> None:
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


def test_19_a_failed_epoch_wrote_nothing(fresh: Scene, tmp_path: Path) -> None:
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


def test_20_only_a_whole_id_lifts_a_halt(fresh: Scene) -> None:
    """`trader ignore` of some text that stands in a person's words lifts nothing."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=False, by="person", message="exchange hacked")
        ignore(bot, "hack", "typo")
        assert standing_halt(bot.journal) is not None


def test_21_a_closed_sale_at_once_sends_no_other(fresh: Scene) -> None:
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


def test_22_an_adopted_order_is_booked_though_its_id_is_an_attempts(fresh: Scene) -> None:
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


def test_23_a_copy_from_before_a_persons_halt(fresh: Scene, tmp_path: Path) -> None:
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
def test_24_a_torn_object_of_the_open_hour(fresh: Scene, what: str) -> None:
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
        list(repair(bot))
        tick(bot)


def test_25_a_torn_outcome_of_a_sale_at_once(fresh: Scene) -> None:
    """The same of `flatten_outcome-1` while the sale is not booked."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        flatten(bot, "news")
    (fresh.store / "state/BTCUSDT/account/000002").unlink()
    next(fresh.store.rglob("flatten_outcome-1")).write_bytes(b"{")
    at(fresh, 1)
    with fresh.bot() as bot:
        list(repair(bot))
        tick(bot)


def test_26_status_knows_of_a_sale_at_once(fresh: Scene) -> None:
    """After `trader flatten` at 00:30 status does not say that everything is held still."""
    with fresh.bot() as bot:
        tick(bot)
        at(fresh, 0.5)
        flatten(bot, "news")
        assert Decimal(status_module.status(bot.journal, RULE)["holding"]["position"]) == held(fresh)


def test_27_locked_coins_are_held(fresh: Scene) -> None:
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
        bot.exchange._api.client.create_order(
            **order, newClientOrderId="web_1", timestamp=bot.exchange.time_ms()
        )  # type: ignore[attr-defined]
        with pytest.raises(ConfigError):
            epoch(bot, "gone", Decimal(10))


def test_28_adopt_refuses_what_a_record_holds(fresh: Scene) -> None:
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


def test_29_a_tenth_sale_of_an_hour_says_so(fresh: Scene) -> None:
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
