"""Every state that can be reached has a command that leaves it: torn records, lost outcomes, decisions of others, lost models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.attacks import at, changed
from tests.support.crew import PARAMS, Scene
from trader.app.bot import Bot
from trader.app.codec_events import HALT
from trader.app.event_log import event_key
from trader.app.halts import announce, resume
from trader.app.models import listed, roll_back
from trader.app.proposal import propose
from trader.app.retrain import load_card, newest_readable_params, next_serve_hour, retrain
from trader.app.status import status
from trader.app.store_check import check
from trader.app.store_repair import repair
from trader.app.tick import tick
from trader.core.errors import DataError
from trader.core.lifecycle import BreachRule
from trader.core.types import HOUR_MS

RULE = BreachRule(hours=168, net_return_below=-0.05, hit_rate_below=None, cooldown_hours=168)


def traded(fresh: Scene, hours: int = 3) -> None:
    """So many hours are closed."""
    with fresh.bot() as bot:
        for hour in range(hours):
            at(fresh, hour)
            tick(bot)


def files(fresh: Scene, name: str) -> list[Path]:
    """The hours' objects of a name, oldest first."""
    return sorted(path for path in (fresh.store / "journal").rglob(name))


def mended(bot: Bot) -> list[str]:
    """What a repair did; a second one finds nothing to do."""
    done = list(repair(bot))
    assert list(repair(bot)) == []
    return done


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_torn_record_is_made_again(fresh: Scene, which: int) -> None:
    """The first, a middle one, the newest: equal but for its writer's token, and the torn one is kept."""
    traded(fresh)
    torn = files(fresh, "record")[which]
    whole = json.loads(torn.read_text())
    torn.write_bytes(torn.read_bytes()[:100])
    at(fresh, 3)
    with fresh.bot() as bot:
        [said] = mended(bot)
        assert "record: made again" in said
        assert {**json.loads(torn.read_text()), "token": ""} == {**whole, "token": ""}
        assert len([*(fresh.store / "damaged").rglob("record")]) == 1
        tick(bot)
        assert check(bot.journal).problems == []
    fresh.check_books()


def test_a_torn_outcome_is_asked_for_at_the_venue(fresh: Scene) -> None:
    """What became of an attempt is the venue's to say."""
    traded(fresh)
    files(fresh, "outcome-1")[0].write_bytes(b"{")
    with fresh.bot() as bot:
        assert "outcome-1: made again from the venue's answer (filled)" in mended(bot)[0]
        assert check(bot.journal).problems == []


def test_a_torn_event_is_what_the_next_one_says_of_it(fresh: Scene) -> None:
    """A halt is damaged, the resume after it carries it."""
    with fresh.bot() as bot:
        tick(bot)
        announce(bot.journal, fresh.start, "person", freeze=True, by="person", message="a look")
        resume(bot.journal, fresh.start, "looked")
        told = bot.journal.events(HALT)
    (fresh.store / event_key("BTCUSDT", "halt", 1)).write_bytes(b"")
    with fresh.bot() as bot:
        assert "made again from a later event" in mended(bot)[0]
        assert bot.journal.events(HALT) == told


@pytest.mark.parametrize("what", ["twice the cash", "a deadline in 2099", "NaN cash", "torn"])
def test_a_decision_of_somebody_else_is_decided_anew(fresh: Scene, what: str) -> None:
    """Nothing was sent for it: the hour is decided by this bot's own eyes, and traded once."""
    with fresh.bot() as bot:
        bot.journal.decide(propose(bot, fresh.start, fresh.start, None))
    [file] = files(fresh, "decision")
    decision = json.loads(file.read_text())
    changed(decision, what)
    file.write_text("{" if what == "torn" else json.dumps(decision))
    with fresh.bot() as bot:
        with pytest.raises(DataError, match="trader store repair"):
            tick(bot)
        assert "decided anew (enter)" in mended(bot)[0]
        assert tick(bot).lines[0].order_side == "BUY"
        assert check(bot.journal).problems == []
    fresh.check_books()
    fresh.check_balances()


def test_a_torn_decision_beside_an_attempt_is_what_the_venue_executed(fresh: Scene) -> None:
    """The decision is torn after its order was sent: the order is booked, and not sent again."""
    traded(fresh, 1)
    for name in ("record", "outcome-1"):
        files(fresh, name)[0].unlink()
    files(fresh, "decision")[0].write_bytes(b"{}")
    with fresh.bot() as bot:
        assert "decided anew (adopted)" in mended(bot)[0]
        assert tick(bot).lines[0].reason == "adopted"
        assert check(bot.journal).problems == []
    assert len(fresh.executed()) == 1
    fresh.check_books()


def models(fresh: Scene) -> list[Path]:
    """The models of the store."""
    return sorted((fresh.store / "models").rglob("model"))


@pytest.mark.parametrize("lost", ["model gone", "model damaged", "card gone", "card damaged"])
def test_a_bot_whose_model_is_gone_trains_past_it(fresh: Scene, lost: str) -> None:
    """Ticks say what to type; the hours that pass are missed and hold up nothing; a repair trains another model with the
    parameters that are left, and the bot trades on."""
    traded(fresh)
    [model] = models(fresh)
    file = model.with_name("card") if "card" in lost else model
    if "gone" in lost:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    at(fresh, 3)
    with fresh.bot() as bot:
        with pytest.raises(DataError, match="trader retrain"):
            tick(bot)
        at(fresh, 4)
        with pytest.raises(DataError, match="trader retrain"):
            tick(bot)
        if "card" in lost:
            with pytest.raises(DataError, match=r"trader retrain --params P\.json"):
                list(repair(bot))
            hour = next_serve_hour(bot.exchange.time_ms(), PARAMS.gap_hours)
            retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, hour, bot.version)
        else:
            assert status(bot.journal, RULE)["state"] == "trading"
            assert listed(bot.journal, fresh.start)[0]["family"] == "xgboost"
            assert "was trained and serves" in mended(bot)[0]
        at(fresh, 5)
        lines = tick(bot).lines
        assert [line.reason for line in lines[:-1]] == ["missed"] * (len(lines) - 1)
        assert lines[-1].p_up is not None
        assert status(bot.journal, RULE)["hour"]
        assert newest_readable_params(bot.journal) == PARAMS
    fresh.check_books()


def test_after_a_rollback_to_a_model_that_is_lost_later_hours_go_on(fresh: Scene) -> None:
    """A rollback refuses a model that is not whole; one that is lost afterwards costs the hours until another serves."""
    traded(fresh, 1)
    with fresh.bot() as bot:
        retrain(bot.journal, bot.collector, bot.forecaster_of, PARAMS, fresh.start + HOUR_MS, bot.version)
        first = load_card(bot.journal, listed(bot.journal, fresh.start)[0]["model_id"])
        roll_back(bot.journal, first, fresh.start + HOUR_MS, "a look")
        (fresh.store / "models" / first.model_id / "model").unlink()
    at(fresh, 2)
    with fresh.bot() as bot:
        with pytest.raises(DataError, match="incomplete"):
            roll_back(bot.journal, first, fresh.start + 3 * HOUR_MS, "again")
        with pytest.raises(DataError, match="trader retrain"):
            tick(bot)
        assert "was trained and serves" in mended(bot)[0]
        at(fresh, 3)
        assert [line.reason == "missed" for line in tick(bot).lines] == [True, False]
