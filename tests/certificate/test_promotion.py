"""Nothing is promoted that failed: what the store holds, what a retrain does, what a person is told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.bars_made import bars_made
from tests.support.certified import HOURS, a_bot, params_for, trained
from tests.support.fakes import MemoryStore
from trader.adapters.store_signed import SignedStore
from trader.app.bot import Bot
from trader.app.certificates import (
    Certifier,
    certificate_key,
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
from trader.core.certificate import PARTS, SCHEMA, Certificate, CertificatePart, check_of, read_certificate
from trader.core.errors import ConfigError, DataError, Uncertified
from trader.core.events import BreachEvent, Event, RefusalEvent
from trader.core.lifecycle import BreachRule
from trader.core.model import ModelCard, digest_of
from trader.core.tags import Signer, split
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


def certificate_of(card: ModelCard, *, passes: bool = True, made_at_ms: int = START) -> Certificate:
    """Of all parts."""
    parts = tuple(
        CertificatePart(part, (check_of("a look", passes or part != "newest", "as planted"),), {"hours": 2.0})
        for part in PARTS
    )
    return Certificate(
        SCHEMA,
        card.model_id,
        digest_of(card),
        card.symbols[0],
        card.family,
        made_at_ms,
        START,
        "tests",
        parts,
    )


@pytest.fixture
def bot() -> Bot:
    """One that has not begun."""
    return a_bot(BARS)


def served(bot: Bot) -> list[str]:
    """The models that were named champion."""
    return [champion.model_id for champion in champions(bot.journal)]


# --- a certificate as an object ---------------------------------------------------------------------------------------------


def test_certificates_are_numbered_and_the_newest_counts(bot: Bot) -> None:
    """None is overwritten, and each reads back as it was."""
    card = trained(bot, PARAMS, START)
    assert newest_certificate(bot.journal, card) is None
    first, second = certificate_of(card), certificate_of(card, passes=False, made_at_ms=START + 1)
    assert [keep(bot.journal, it).number for it in (first, second)] == [1, 2]
    known = newest_certificate(bot.journal, card)
    assert known is not None
    assert (known.number, known.certificate) == (2, second)
    key = certificate_key(card.model_id, 1)
    assert read_certificate(bot.journal.store.get(key) or b"", card, key) == first


def test_a_writer_that_was_faster_keeps_its_number(bot: Bot) -> None:
    """Two processes that examine one model at once write two certificates."""
    card = trained(bot, PARAMS, START)

    class Late(MemoryStore):
        """Its listing does not show what another process has written meanwhile."""

        def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
            """Once too short."""
            found = super().list(prefix, after, limit)
            if "/certificate/" in prefix and not self.objects.get("seen"):
                self.objects["seen"] = b"1"
                return []
            return found

    store = Late()
    store.objects = dict(bot.journal.store.objects)  # type: ignore[attr-defined]  # a MemoryStore
    first, second = certificate_of(card), certificate_of(card, made_at_ms=START + 1)
    store.objects[certificate_key(card.model_id, 1)] = first.to_bytes()
    assert keep(Journal(store, "BTCUSDT"), second).number == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: b"{}", "not a certificate"),
        (lambda text: b"\x80", "not a certificate"),
        (lambda text: text[: len(text) // 2], "not a certificate"),
        (lambda text: text.replace(b'"passed": true', b'"passed": 1'), "not a certificate"),
        (
            lambda text: text.replace(b"certificate/1", b"certificate/9"),
            "schema 'certificate/9', this program reads",
        ),
        (lambda text: text.replace(b'"hours": 2.0', b'"hours": "2"'), "not a certificate"),
    ],
    ids=["empty", "bytes", "cut", "type", "schema", "text for a number"],
)
def test_what_is_no_certificate_is_refused(change: Any, said: str) -> None:
    """By name, with the way out; never believed."""
    card = trained(a_bot(BARS), PARAMS, START)
    with pytest.raises(DataError, match=said):
        read_certificate(change(certificate_of(card).to_bytes()), card, "models/x/certificate/000001")


def test_a_certificate_of_another_model_is_refused(bot: Bot) -> None:
    """It was moved beside this card."""
    one, other = trained(bot, PARAMS, START), trained(bot, PARAMS, START + HOUR_MS)
    bot.journal.store.create(certificate_key(one.model_id, 1), certificate_of(other).to_bytes())
    with pytest.raises(
        DataError, match=f"is the certificate of {other.model_id}, not of the card of {one.model_id}"
    ):
        newest_certificate(bot.journal, one)


def test_an_edited_certificate_is_refused_in_a_store_with_a_key(bot: Bot) -> None:
    """A failed one whose bytes were changed to passed, with its own tag, with another's, and without any."""
    plain, card = MemoryStore(), trained(bot, PARAMS, START)
    signed = Journal(SignedStore(plain, Signer(b"k" * 32)), "BTCUSDT")
    for key, data in bot.journal.store.objects.items():  # type: ignore[attr-defined]  # a MemoryStore
        signed.store.create(key, data)
    key = certificate_key(card.model_id, keep(signed, certificate_of(card, passes=False)).number)
    failed = plain.objects[key]
    edited = failed.replace(b'"passed": false', b'"passed": true')
    assert edited != failed
    passed = plain.objects[certificate_key(card.model_id, keep(signed, certificate_of(card)).number)]
    del plain.objects[certificate_key(card.model_id, 2)]
    for data in (edited, split(edited)[0], split(edited)[0] + split(passed)[1]):
        plain.objects[key] = data
        with pytest.raises(DataError, match=key):
            newest_certificate(Journal(signed.store, "BTCUSDT"), card)
    plain.objects[key] = failed
    with pytest.raises(Uncertified, match="certificate 1 failed"):
        require_passed(Journal(signed.store, "BTCUSDT"), card)


def test_a_model_of_several_symbols_is_certified_for_each(bot: Bot) -> None:
    """What passed for another symbol counts nothing for this one; a symbol that the model does not serve is refused."""
    card = replace(trained(bot, PARAMS, START), symbols=["BTCUSDT", "ETHUSDT"])
    keep(bot.journal, certificate_of(card, passes=False))
    keep(bot.journal, replace(certificate_of(card), symbol="ETHUSDT"))
    known = newest_certificate(bot.journal, card)
    assert known is not None
    assert (known.number, known.certificate.passed) == (1, False)
    with pytest.raises(Uncertified, match="certificate 1 failed"):
        require_passed(bot.journal, card)
    keep(bot.journal, replace(certificate_of(card), symbol="ADAUSDT"))
    with pytest.raises(DataError, match="is about ADAUSDT"):
        newest_certificate(bot.journal, card)


def test_a_part_that_is_missing_failed() -> None:
    """A certificate that was cut down to the parts that passed is no pass; a part twice is refused."""
    card = trained(a_bot(BARS), PARAMS, START)
    whole = certificate_of(card, passes=False)
    less = replace(whole, parts=tuple(part for part in whole.parts if part.passed))
    assert (less.passed, less.failed) == (False, ("newest",))
    twice = replace(
        whole, parts=(*whole.parts, CertificatePart("newest", (check_of("a look", True, ""),), {}))
    )
    with pytest.raises(DataError, match="names a part twice"):
        read_certificate(twice.to_bytes(), card, "it")


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
