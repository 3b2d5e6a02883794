"""Nothing is promoted that failed: what the store holds, what a retrain does, what a person is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.bars_made import bars_made
from tests.support.certified import HOURS, a_bot, certificate_of, params_for, trained
from tests.support.fakes import MemoryStore
from trader.app.bot import Bot
from trader.app.certificates import (
    Certifier,
    certified,
    keep,
    newest_certificate,
    require_passed,
)
from trader.app.codec_events import BREACH, REFUSAL
from trader.app.journal import Journal
from trader.app.models import card_to_check, roll_back
from trader.app.retrain import champions, deployment, load_card
from trader.app.retrain_rules import retrain_if_due
from trader.app.story import happened
from trader.core.certificate import PARTS, Certificate
from trader.core.errors import ConfigError, Uncertified
from trader.core.events import BreachEvent, Event, RefusalEvent
from trader.core.lifecycle import BreachRule
from trader.core.model import ModelCard
from trader.core.types import DAY_MS, HOUR_MS
from trader.observers.messages import messages

BARS = bars_made(HOURS, 5)
PARAMS = params_for("naive")
START = BARS.first + 1_600 * HOUR_MS
RULE = BreachRule(168, -0.05, None, 168)


class Examiner:
    """A certifier whose verdict is set by the test; it counts how often it is asked. made_at_ms: UTC ms."""

    def __init__(self, *, passes: bool, made_at_ms: int = START) -> None:
        self.passes, self.made_at_ms, self.asked = passes, made_at_ms, 0

    def __call__(self, journal: Journal, card: ModelCard) -> Certificate:
        """A certificate of all parts, the second of which may have failed."""
        self.asked += 1
        return certificate_of(card, passes=self.passes, made_at_ms=self.made_at_ms)


@pytest.fixture
def bot() -> Bot:
    """One that has not begun."""
    return a_bot(BARS)


def served(bot: Bot) -> list[str]:
    """The models that were named champion."""
    return [champion.model_id for champion in champions(bot.journal)]


# --- retraining -------------------------------------------------------------------------------------------------------------


def test_a_first_model_that_fails_begins_no_bot(bot: Bot) -> None:
    """No champion and no deployment; the model and its certificate are kept, and the refusal is in the store."""
    with pytest.raises(
        Uncertified, match=r"certificate 1 failed: newest \(a look: as planted\); the bot has no model"
    ) as told:
        trained(bot, PARAMS, START, certifier=Examiner(passes=False))
    assert told.value.exit_code == 1
    assert served(bot) == []
    assert deployment(bot.journal) is None
    [refusal] = bot.journal.events(REFUSAL)
    assert refusal.content.valid_from_ms == START
    kept = newest_certificate(bot.journal, load_card(bot.journal, refusal.content.model_id))
    assert kept is not None
    assert not kept.certificate.passed


def test_a_model_that_fails_leaves_the_old_champion(bot: Bot) -> None:
    """The newer one is stored, not named."""
    old = trained(bot, PARAMS, START, certifier=Examiner(passes=True))
    with pytest.raises(Uncertified, match=f"{old.model_id} goes on serving"):
        trained(bot, PARAMS, START + 10 * DAY_MS, certifier=Examiner(passes=False))
    assert served(bot) == [old.model_id]


def test_without_a_certifier_nothing_is_examined(bot: Bot) -> None:
    """As in a replay."""
    card = trained(bot, PARAMS, START)
    assert served(bot) == [card.model_id]
    assert not [key for key in bot.journal.store.list("models/") if "certificate" in key]


def test_a_promotion_that_was_killed_goes_on_with_its_certificate(bot: Bot) -> None:
    """Passed and not yet named: the next training makes no second one."""
    examiner = Examiner(passes=True)
    store = bot.journal.store

    class Dying(MemoryStore):
        """Ends the process when a champion is named."""

        def create(self, key: str, data: bytes) -> bool:
            """Once."""
            if "/champion/" in key:
                raise KeyboardInterrupt
            return super().create(key, data)

    dying = Dying()
    dying.objects = store.objects  # type: ignore[attr-defined]  # a MemoryStore
    with pytest.raises(KeyboardInterrupt):
        trained(replace(bot, journal=Journal(dying, "BTCUSDT")), PARAMS, START, certifier=examiner)
    assert (examiner.asked, served(bot)) == (1, [])
    card = trained(bot, PARAMS, START, certifier=examiner)
    assert (examiner.asked, served(bot)) == (1, [card.model_id])


def test_a_failed_certificate_is_made_anew() -> None:
    """What passed is believed; what failed is examined again."""
    bot = a_bot(BARS)
    card = trained(bot, PARAMS, START)
    examiner: Certifier = Examiner(passes=False)
    assert [certified(bot.journal, card, examiner).number for _ in range(2)] == [1, 2]
    examiner = Examiner(passes=True)
    assert [certified(bot.journal, card, examiner).number for _ in range(2)] == [3, 3]


def test_the_schedule_does_not_train_every_hour_what_was_refused(bot: Bot) -> None:
    """Refused once, it is refused again without a fit until a day is over; nor is the store filled with refusals."""
    trained(bot, PARAMS, START)
    due = START + 10 * DAY_MS - HOUR_MS
    examiner = Examiner(passes=False, made_at_ms=due)
    for hours in (0, 1, 23):
        with pytest.raises(Uncertified, match="was not named champion"):
            retrain_if_due(bot, due + hours * HOUR_MS, RULE, certifier=examiner)
    assert examiner.asked == len(bot.journal.events(REFUSAL)) == 1
    examiner.made_at_ms = due + DAY_MS
    with pytest.raises(Uncertified):
        retrain_if_due(bot, due + DAY_MS, RULE, certifier=examiner)
    assert examiner.asked == len(bot.journal.events(REFUSAL)) == 2


def test_a_person_who_mended_the_cause_need_not_wait(bot: Bot) -> None:
    """`trader check` passes now, so the schedule promotes within the day."""
    trained(bot, PARAMS, START)
    due = START + 10 * DAY_MS - HOUR_MS
    with pytest.raises(Uncertified):
        retrain_if_due(bot, due, RULE, certifier=Examiner(passes=False, made_at_ms=due))
    refused = load_card(bot.journal, bot.journal.events(REFUSAL)[-1].content.model_id)
    keep(bot.journal, certificate_of(refused))
    card = retrain_if_due(bot, due + HOUR_MS, RULE, certifier=Examiner(passes=True))
    assert card is not None
    assert card.model_id == refused.model_id == served(bot)[-1]


def test_a_breach_whose_model_was_refused_is_not_searched_for_every_hour(bot: Bot) -> None:
    """The search is the dear part."""
    trained(bot, PARAMS, START)
    hour, searched = START + 2 * DAY_MS, []
    bot.journal.append(BreachEvent("BTCUSDT", hour, "planted"))

    def search(_: Bot, base: Any, serve_from: int) -> Any:
        searched.append(serve_from)
        return base

    for hours in (0, 1):
        at = hour + hours * HOUR_MS
        with pytest.raises(Uncertified):
            retrain_if_due(bot, at, RULE, search, certifier=Examiner(passes=False, made_at_ms=at))
    assert len(searched) == 1
    assert bot.journal.events(REFUSAL)[-1].content.breach_number == bot.journal.events(BREACH)[-1].number


# --- by hand, and told ------------------------------------------------------------------------------------------------------


def test_a_rollback_demands_a_certificate_where_one_is_demanded(bot: Bot) -> None:
    """None, then a failed one, then one that passed."""
    old, _ = trained(bot, PARAMS, START), trained(bot, PARAMS, START + 10 * DAY_MS)
    hour = START + 11 * DAY_MS
    with pytest.raises(Uncertified, match=f"has no certificate.*trader check {old.model_id}"):
        roll_back(bot.journal, old, hour, "a look", certificate=True)
    keep(bot.journal, certificate_of(old, passes=False))
    with pytest.raises(Uncertified, match="certificate 1 failed: newest"):
        roll_back(bot.journal, old, hour, "a look", certificate=True)
    keep(bot.journal, certificate_of(old))
    require_passed(bot.journal, old)
    assert roll_back(bot.journal, old, hour, "a look", certificate=True).model_id == old.model_id


def test_a_model_is_found_by_its_id_and_as_champion(bot: Bot) -> None:
    """Also one that was never named champion; what names none or several is refused with what there is."""
    with pytest.raises(ConfigError, match="no model serves yet"):
        card_to_check(bot.journal, "champion")
    old = trained(bot, PARAMS, START)
    with pytest.raises(Uncertified):
        trained(bot, PARAMS, START + HOUR_MS, certifier=Examiner(passes=False))
    refused = bot.journal.events(REFUSAL)[-1].content.model_id
    assert card_to_check(bot.journal, "champion") == old
    assert card_to_check(bot.journal, refused).model_id == refused
    with pytest.raises(ConfigError, match="names 2 models"):
        card_to_check(bot.journal, "2021")
    with pytest.raises(ConfigError, match="names no model of the store"):
        card_to_check(bot.journal, "nothing")


def test_a_refusal_is_told(bot: Bot) -> None:
    """In the story of the journal, and as a notice that asks for a person."""
    trained(bot, PARAMS, START)
    with pytest.raises(Uncertified):
        trained(bot, PARAMS, START + HOUR_MS, certifier=Examiner(passes=False))
    [told] = [it for it in happened(bot.journal) if it.kind == "refusal"]
    assert "was not named champion: certificate 1 failed: newest" in told.words
    event: Event[RefusalEvent] = bot.journal.events(REFUSAL)[-1]
    news: Any = type("News", (), {"records": [], "events": [event]})
    [message] = messages(news)
    assert (message.level, message.topic) == ("critical", "certificate")
    assert "The old model goes on" in message.body


def test_a_certificate_is_json_for_machines(bot: Bot) -> None:
    """Whether it passed, the parts that failed, every comparison in words."""
    card = trained(bot, PARAMS, START)
    told = json.loads(json.dumps(certificate_of(card, passes=False).as_json()))
    assert (told["passed"], told["failed"], told["model_id"]) == (False, ["newest"], card.model_id)
    assert [part["part"] for part in told["parts"]] == list(PARTS)
