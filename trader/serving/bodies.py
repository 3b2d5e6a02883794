"""Bodies of requests, read strictly: what does not fit its schema is 422, with each fault in a plain sentence."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trader.serving.bounds import INLINE_BODY
from trader.serving.lane import Lane
from trader.serving.refusal import Refused

M = TypeVar("M", bound=BaseModel)
_MOST_FAULTS = 5
# Pydantic puts every fault into words before it gives one away: more are counted only, for they would take seconds.
_MOST_TOLD = 1_000


def body_of(kind: type[M], body: bytes) -> M:
    """The body as `kind`. Raises Refused 422 that names where and what."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise Refused(422, faults_of(error)) from None


async def read_body(kind: type[M], body: bytes, lane: Lane, deadline: float) -> M:
    """The body as `kind`: thousands of bars in a thread, since to read them takes longer than many answers."""
    if len(body) <= INLINE_BODY:
        return body_of(kind, body)
    return await lane.run(lambda: body_of(kind, body), deadline)


def faults_of(error: ValidationError) -> str:
    """The first faults, with their places, in a line."""
    if error.error_count() > _MOST_TOLD:
        return f"the body has {error.error_count():,} faults; its form is described at /openapi.json"
    faults = _nearest(error.errors(include_url=False, include_context=False, include_input=False))
    said = [f"{_place(fault['loc'])}: {fault['msg']}{_way_out(fault)}" for fault in faults[:_MOST_FAULTS]]
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    return "; ".join(said) + more


def _way_out(fault: ErrorDetails) -> str:
    return "; send JSON in UTF-8, as /openapi.json describes it" if fault["type"] == "json_invalid" else ""


def _nearest(faults: list[ErrorDetails]) -> list[ErrorDetails]:
    """Of a value that may have several forms, the faults of the form that it comes nearest to."""
    forms: dict[tuple[int | str, ...], dict[str, list[ErrorDetails]]] = {}
    for fault in faults:
        where = fault["loc"]
        at = next((i for i, part in enumerate(where) if _is_form(part)), None)
        prefix, form = (where, "") if at is None else (where[:at], str(where[at]))
        forms.setdefault(prefix, {}).setdefault(form, []).append(fault)
    return [fault for each in forms.values() for fault in min(each.values(), key=_distance)]


def _distance(faults: list[ErrorDetails]) -> tuple[int, int]:
    """Few faults, and those deep within the value, are near."""
    return len(faults), -max(len(fault["loc"]) for fault in faults)


def _is_form(part: int | str) -> bool:
    return isinstance(part, str) and "[" in part


def _place(where: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in where if not _is_form(part)) or "body"
