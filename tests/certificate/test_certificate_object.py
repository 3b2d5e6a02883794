"""A certificate as an object of the store: numbered, never overwritten, and believed only where it is this very model's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.bars_made import bars_made
from tests.support.certified import HOURS, a_bot, certificate_of, params_for, trained
from tests.support.fakes import MemoryStore
from trader.adapters.store_signed import SignedStore
from trader.app.bot import Bot
from trader.app.certificates import certificate_key, keep, newest_certificate, require_passed
from trader.app.journal import Journal
from trader.core.certificate import CertificatePart, check_of, read_certificate
from trader.core.errors import DataError, Uncertified
from trader.core.tags import Signer, split
from trader.core.types import HOUR_MS

BARS = bars_made(HOURS, 5)
PARAMS = params_for("naive")
START = BARS.first + 1_600 * HOUR_MS


@pytest.fixture
def bot() -> Bot:
    """One that has not begun."""
    return a_bot(BARS)


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
