"""Certificates in the store: numbered objects beside a model's card, created and never overwritten.

models/<id>/certificate/<number>    what one examination found (`trader.core.certificate`); the newest counts
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trader.app.layout import keys_of
from trader.core.certificate import Certificate, read_certificate
from trader.core.errors import DataError, Retry, Uncertified
from trader.core.model import ModelCard
from trader.core.types import iso

if TYPE_CHECKING:
    from trader.app.journal import Journal

# (the store, a model of it that nothing else names yet) -> what was found of it. It computes and writes nothing.
Certifier = Callable[["Journal", ModelCard], Certificate]
# Which promotions demand a certificate: all, those at venues other than the embedded exchange, none.
Demand = Literal["always", "venues", "never"]
RACES = 20


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate and its number, from 1 on."""

    number: int
    certificate: Certificate

    @property
    def words(self) -> str:
        """What a person is told of it in a line."""
        return f"{self.certificate.verdict} (number {self.number}, {iso(self.certificate.made_at_ms)[:16]}Z)"


def certificate_key(model_id: str, number: int) -> str:
    """Where a certificate lies."""
    return f"models/{model_id}/certificate/{number:06d}"


def newest_certificate(journal: Journal, card: ModelCard) -> StoredCertificate | None:
    """The newest certificate of a model for the journal's symbol, None where it has none: a model that was fitted for several
    symbols is examined for each. Raises DataError for one that is none, or of another model."""
    for number in reversed(_numbers(journal, card.model_id)):
        key = certificate_key(card.model_id, number)
        data = journal.store.get(key)
        if data is None:
            raise Retry(f"{key} is listed in the store and cannot be read yet")
        found = read_certificate(data, card, key)
        if found.symbol == journal.symbol:
            return StoredCertificate(number, found)
    return None


def keep(journal: Journal, certificate: Certificate) -> StoredCertificate:
    """Create the certificate under the next number. Safe against other writers; repeated, it is one more."""
    data = certificate.to_bytes()
    for _ in range(RACES):
        number = max(_numbers(journal, certificate.model_id), default=0) + 1
        if journal.store.create(certificate_key(certificate.model_id, number), data):
            return StoredCertificate(number, certificate)
    raise Retry(f"models/{certificate.model_id}/certificate: {RACES} other writers were faster")


def certified(journal: Journal, card: ModelCard, certifier: Certifier) -> StoredCertificate:
    """The model's newest certificate if it passed, so that a promotion that was killed goes on; else another is made and kept."""
    known = newest_certificate(journal, card)
    if known is not None and known.certificate.passed:
        return known
    return keep(journal, certifier(journal, card))


def require_passed(journal: Journal, card: ModelCard) -> None:
    """Raises Uncertified unless the model's newest certificate passed."""
    known = newest_certificate(journal, card)
    if known is None:
        raise Uncertified(
            f"{card.model_id} has no certificate, and does not serve without one. Make it: trader check {card.model_id}"
        )
    if not known.certificate.passed:
        raise Uncertified(
            f"{card.model_id}: certificate {known.number} {known.certificate.verdict}. It does not serve. After repairing the "
            f"cause make another: trader check {card.model_id}"
        )


def certificate_words(journal: Journal, card: ModelCard) -> str:
    """What a person is told of a model's certificates in a line, also of one that is damaged."""
    try:
        known = newest_certificate(journal, card)
    except DataError as error:
        return str(error)
    return "none" if known is None else known.words


def _numbers(journal: Journal, model_id: str) -> list[int]:
    """Of all certificates of a model, ascending."""
    keys = keys_of(journal.store, f"models/{model_id}/certificate/")
    return sorted(int(name) for key in keys if (name := key.rsplit("/", 1)[1]).isdigit())
