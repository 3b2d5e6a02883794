"""The keys of parameters as a person is told of them: default, range and meaning, read off the fields that validate them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a file of parameters. default: None where it must be given, or where nothing is the default. The bounds are None
    where there are none: least <= value, above < value, value <= most, value < below. choices: the words that it may be,
    where it is one of a few."""

    name: str
    default: Any
    least: float | None
    above: float | None
    most: float | None
    below: float | None
    meaning: str
    choices: tuple[str, ...] = ()


def keys_in(kind: type[BaseModel]) -> Iterator[Key]:
    """The keys of a class of parameters, in the order in which it names them."""
    for name, field in kind.model_fields.items():
        least, above, most, below = (
            next((_number(getattr(it, bound)) for it in field.metadata if hasattr(it, bound)), None)
            for bound in ("ge", "gt", "le", "lt")
        )
        default = None if field.is_required() else plain_default(field)
        yield Key(
            name, default, least, above, most, below, field.description or "", _choices(field.annotation)
        )


def plain_default(field: FieldInfo) -> Any:
    """A field's default as a JSON value; a whole number is written as one."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return value.model_dump()
    return _number(value) if isinstance(value, Decimal) else value


def range_of(key: Key) -> str:
    """The range of a key in words; "" for one without bounds."""
    if key.choices:
        return " or ".join(key.choices)
    low = f"above {shown(key.above)}" if key.above is not None else shown(key.least)
    high = f"below {shown(key.below)}" if key.below is not None else shown(key.most)
    if low:
        return f"{low} to {high}" if high else f"{low} or more"
    return high if key.most is None else f"up to {high}"


def shown(value: Any) -> str:
    """A number with separators and no more digits than it has; other values as they are, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> Any:
    """A Decimal as the number that JSON has for it: an int where it is whole."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _choices(annotation: Any) -> tuple[str, ...]:
    """The words of a Literal, also of one that may be None."""
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    inside = [one for one in get_args(annotation) if one is not NoneType]
    return _choices(inside[0]) if len(inside) == 1 and get_origin(inside[0]) is Literal else ()
