"""How each event of a bot is stored. A field of `trader.core.events` is a key of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trader.app.fields import DIGEST, FLAG, INTEGER, TEXT, Kind, Refused, shape, word_of
from trader.app.stored import EventFormat
from trader.core.events import (
    Author,
    BreachEvent,
    Cause,
    ChampionEvent,
    DeploymentEvent,
    HaltEvent,
    ResumeEvent,
    StudyEvent,
)

DEPLOYMENT = EventFormat("deployment", shape(DeploymentEvent, {"symbol": TEXT, "start_ms": INTEGER}))
CHAMPION = EventFormat(
    "champion",
    shape(
        ChampionEvent,
        {
            "symbol": TEXT,
            "model_id": TEXT,
            "valid_from_ms": INTEGER,
            "cause": word_of(Cause),
            "message": TEXT,
            "breach_number": INTEGER,
            "card_sha256": DIGEST,
        },
    ),
)
BREACH = EventFormat("breach", shape(BreachEvent, {"symbol": TEXT, "at_ms": INTEGER, "reason": TEXT}))
STUDY = EventFormat("study", shape(StudyEvent, {"symbol": TEXT, "study_id": TEXT, "serve_from_ms": INTEGER}))

PERSON: Mapping[str, Kind[Any]] = {"symbol": TEXT, "at_ms": INTEGER, "by": word_of(Author), "message": TEXT}
HALTED = shape(HaltEvent, {**PERSON, "reason": TEXT, "freeze": FLAG})
RESUMED = shape(ResumeEvent, PERSON)


def _read_halt(value: Any) -> HaltEvent | ResumeEvent:
    """A halt or a resume: both are numbered in one sequence, `kind` tells them apart."""
    if type(value) is not dict:
        raise Refused(f"must be an object, not {value!r}")
    kind = value.get("kind")
    if kind not in ("halt", "resume"):
        raise Refused(f"must be one of halt, resume, not {kind!r}", "kind")
    content = {key: item for key, item in value.items() if key != "kind"}
    return HALTED.read(content) if kind == "halt" else RESUMED.read(content)


def _write_halt(event: HaltEvent | ResumeEvent) -> Any:
    if isinstance(event, HaltEvent):
        return {**HALTED.write(event), "kind": "halt"}
    return {**RESUMED.write(event), "kind": "resume"}


HALT: EventFormat[HaltEvent | ResumeEvent] = EventFormat("halt", Kind(_read_halt, _write_halt))

FORMATS: Mapping[str, EventFormat[Any]] = {
    found.name: found for found in (DEPLOYMENT, CHAMPION, HALT, BREACH, STUDY)
}
