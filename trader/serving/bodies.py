"""Bodies of requests, read strictly: what does not fit its schema is 422, with each fault in a plain sentence."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from trader.serving.refusal import Refused

M = TypeVar("M", bound=BaseModel)
_MOST_FAULTS = 5


def body_of(kind: type[M], body: bytes) -> M:
    """The body as `kind`. Raises Refused 422 that names where and what."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = [f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults[:_MOST_FAULTS]]
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise Refused(422, "; ".join(said) + more) from None


def _place(where: tuple[int | str, ...]) -> str:
    return ".".join(map(str, where)) or "body"
