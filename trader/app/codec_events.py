"""How each event of a bot is stored. A field of `trader.core.events` is a key of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trader.app.codec import FILLS
from trader.app.fields import (
    DIGEST,
    FLAG,
    INTEGER,
    MONEY,
    NUMBER,
    TEXT,
    InvalidField,
    Kind,
    list_of,
    maybe,
    shape,
    word_of,
)
from trader.app.stored import EventFormat
from trader.core.events import (
    AccountEvent,
    AdoptEvent,
    Author,
    BreachEvent,
    Cause,
    ChampionEvent,
    ClosedAttemptEvent,
    DeploymentEvent,
    EpochEvent,
    FlattenEvent,
    HaltEvent,
    IgnoreEvent,
    RefusalEvent,
    ReleaseEvent,
    ResumeEvent,
    StudyEvent,
    SymbolsEvent,
    TroubleEvent,
)
from trader.core.lifecycle import BreachRule

RETRAIN_RULE = shape(
    BreachRule,
    {
        "hours": INTEGER,
        "net_return_below": maybe(NUMBER),
        "hit_rate_below": maybe(NUMBER),
        "cooldown_hours": INTEGER,
        "budget": maybe(INTEGER),
    },
)
DEPLOYMENT = EventFormat(
    "deployment",
    shape(
        DeploymentEvent,
        {"symbol": TEXT, "start_ms": INTEGER},
        {"market": (TEXT, ""), "retrain_rule": (maybe(RETRAIN_RULE), None)},
    ),
)
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


def _one_of(kinds: Mapping[str, tuple[type[Any], Kind[Any]]]) -> Kind[Any]:
    """Events of several classes that are numbered in one sequence: the key `kind` tells them apart."""

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise InvalidField(f"must be an object, not {value!r}")
        kind = value.get("kind")
        if type(kind) is not str or kind not in kinds:
            raise InvalidField(f"must be one of {', '.join(kinds)}, not {kind!r}", "kind")
        return kinds[kind][1].read({key: item for key, item in value.items() if key != "kind"})

    def write(event: Any) -> Any:
        name, form = next((name, form) for name, (made, form) in kinds.items() if isinstance(event, made))
        return {**form.write(event), "kind": name}

    return Kind(read, write)


HALT: EventFormat[HaltEvent | ResumeEvent] = EventFormat(
    "halt",
    _one_of(
        {
            "halt": (HaltEvent, shape(HaltEvent, {**PERSON, "reason": TEXT, "freeze": FLAG})),
            "resume": (ResumeEvent, shape(ResumeEvent, PERSON)),
        }
    ),
)
ORDER_SEEN: Mapping[str, Kind[Any]] = {**PERSON, "client_order_id": TEXT, "transact_ms": INTEGER}
ATTEMPTED: Mapping[str, Kind[Any]] = {**PERSON, "hour_ms": INTEGER, "attempt": INTEGER}
SOLD: Mapping[str, Kind[Any]] = {
    **PERSON,
    "hour_ms": INTEGER,
    "qty": MONEY,
    "expected_price": MONEY,
    "deadline_ms": INTEGER,
    "first_attempt": INTEGER,
}
ACCOUNT: EventFormat[AccountEvent] = EventFormat(
    "account",
    _one_of(
        {
            "adopt": (AdoptEvent, shape(AdoptEvent, {**ORDER_SEEN, "fills": FILLS})),
            "ignore": (IgnoreEvent, shape(IgnoreEvent, ORDER_SEEN)),
            "close-attempt": (ClosedAttemptEvent, shape(ClosedAttemptEvent, ATTEMPTED)),
            "flatten": (FlattenEvent, shape(FlattenEvent, SOLD)),
            "epoch": (EpochEvent, shape(EpochEvent, {**PERSON, "allocation_usdt": MONEY, "position": MONEY})),
        }
    ),
)
TROUBLE = EventFormat(
    "trouble",
    shape(
        TroubleEvent,
        {"symbol": TEXT, "at_ms": INTEGER, "over": FLAG, "exit_code": INTEGER, "message": TEXT},
    ),
)

REFUSAL = EventFormat(
    "refusal",
    shape(
        RefusalEvent,
        {
            "symbol": TEXT,
            "at_ms": INTEGER,
            "model_id": TEXT,
            "valid_from_ms": INTEGER,
            "certificate": INTEGER,
            "message": TEXT,
            "breach_number": INTEGER,
        },
    ),
)

RELEASE = EventFormat(
    "release",
    shape(
        ReleaseEvent,
        {"symbol": TEXT, "at_ms": INTEGER, "of": TEXT, "by": word_of(Author), "message": TEXT},
    ),
)

SYMBOLS = EventFormat(
    "symbols",
    shape(
        SymbolsEvent,
        {
            "symbol": TEXT,
            "at_ms": INTEGER,
            "symbols": list_of(TEXT),
            "start_ms": INTEGER,
            "written_off_usdt": MONEY,
            "by": word_of(Author),
            "message": TEXT,
        },
    ),
)

FORMATS: Mapping[str, EventFormat[Any]] = {
    found.name: found
    for found in (DEPLOYMENT, CHAMPION, HALT, BREACH, STUDY, ACCOUNT, TROUBLE, REFUSAL, RELEASE, SYMBOLS)
}
