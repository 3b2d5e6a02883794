"""A certificate: what a model was proved to do before it may trade, as numbered JSON beside its card.

    production   the live path and the walk-forward predict the same hours, to the bit
    newest       on its newest hours the model's parameters are no worse than on all
    extremes     inputs far outside of what was learnt move the output as the family says
    format       columns, types, order, scale and symbol are those that the model was fitted for
    exports      every exported form of the model says what the model says

What is not JSON, of another schema, or of another model is refused: a certificate is never believed for lying there.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, get_args

from pydantic import TypeAdapter

from trader.core.errors import DataError
from trader.core.model import ModelCard, digest_of
from trader.core.types import Json, iso

SCHEMA = "certificate/1"
PartName = Literal["production", "newest", "extremes", "format", "exports"]
PARTS: tuple[PartName, ...] = get_args(PartName)


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """One comparison. words: what was compared; where it failed, how it shows."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class CertificatePart:
    """The comparisons of one part. figures: what was measured, by name with its unit; finite numbers."""

    part: PartName
    checks: tuple[CertificateCheck, ...]
    figures: dict[str, float]

    @property
    def passed(self) -> bool:
        """True where every comparison passed."""
        return all(check.passed for check in self.checks)

    @property
    def failure(self) -> str:
        """The first comparison that failed, in words; "" where all passed."""
        return next((f"{check.name}: {check.words}" for check in self.checks if not check.passed), "")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found of one model. card_sha256: of its card, as a champion event says it. made_at_ms: UTC ms. known_until: the
    newest bar that was looked at, UTC ms."""

    schema: str
    model_id: str
    card_sha256: str
    symbol: str
    family: str
    made_at_ms: int
    known_until: int
    code_version: str
    parts: tuple[CertificatePart, ...]

    @property
    def failed(self) -> tuple[PartName, ...]:
        """The parts that failed, in their order; a part that is missing failed."""
        passed = {part.part for part in self.parts if part.passed}
        return tuple(name for name in PARTS if name not in passed)

    @property
    def passed(self) -> bool:
        """True where every part is there and passed."""
        return not self.failed

    @property
    def verdict(self) -> str:
        """`passed`, or `failed` with its parts and the first thing that each shows."""
        if self.passed:
            return "passed"
        shown = {part.part: part.failure for part in self.parts}
        said = "; ".join(f"{name} ({shown.get(name) or 'not examined'})" for name in self.failed)
        return f"failed: {said}"

    def to_bytes(self) -> bytes:
        """Readable JSON with sorted keys: equal content is equal bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False).encode()

    def as_json(self) -> Json:
        """For machines: the content, whether it passed and which parts failed."""
        found: Json = json.loads(self.to_bytes())
        return {**found, "passed": self.passed, "failed": list(self.failed), "made_at": iso(self.made_at_ms)}


@cache
def _kinds() -> TypeAdapter[Certificate]:
    """What the fields of a certificate must be."""
    return TypeAdapter(Certificate)


def read_certificate(text: bytes, card: ModelCard, source: str) -> Certificate:
    """The certificate of these bytes. Raises DataError, naming `source`, for bytes that are none and for another model's."""
    try:
        found = _kinds().validate_json(text, strict=True)
    except (ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:160]
        raise DataError(
            f"{source}: not a certificate ({told}). Make another: trader check {card.model_id}"
        ) from None
    if found.schema != SCHEMA:
        raise DataError(f"{source}: schema {found.schema!r}, this program reads {SCHEMA!r}")
    if (found.model_id, found.card_sha256) != (card.model_id, digest_of(card)):
        raise DataError(
            f"{source} is the certificate of {found.model_id}, not of the card of {card.model_id}; it was moved or one of both "
            f"was changed. Make another: trader check {card.model_id}"
        )
    if found.symbol not in card.symbols:
        raise DataError(f"{source} is about {found.symbol}; {card.model_id} serves {', '.join(card.symbols)}")
    names = [part.part for part in found.parts]
    if len(names) != len(set(names)):
        raise DataError(f"{source} names a part twice. Make another: trader check {card.model_id}")
    return found


def check_of(name: str, passed: bool, words: str) -> CertificateCheck:
    """A comparison; its words are kept to a bounded length."""
    return CertificateCheck(name, bool(passed), words[:400])


def figures_of(**values: float | None) -> dict[str, float]:
    """The figures that are there: what is None or not finite was not measured."""
    return {
        name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)
    }
