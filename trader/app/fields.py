"""How single values become JSON and back: money as decimal text, words of a list, objects with exactly their fields.

A reader takes nothing for something else: true is no number, 1 is no text, NaN is no price. It raises Refused, which says
where within the object and why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args

from trader.core.types import iso, parse_time, plain

T = TypeVar("T")

DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
FULL_HOUR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:00:00Z")
SHA256 = re.compile(r"([0-9a-f]{64})?")


class InvalidField(Exception):
    """A value is not what it must be. `where` is its field, from the outermost object on."""

    def __init__(self, why: str, where: str = "") -> None:
        super().__init__(why)
        self.where = where

    def within(self, field: str) -> InvalidField:
        """The same, seen from the object that holds `field`."""
        inner = f".{self.where}" if self.where and not self.where.startswith("[") else self.where
        return InvalidField(str(self), f"{field}{inner}")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a value of one kind is read from JSON and written to it. `read` raises Refused."""

    read: Callable[[Any], T]
    write: Callable[[T], Any]


def _same(value: T) -> T:
    return value


def _text(value: Any) -> str:
    if type(value) is str:
        # A terminal of another encoding may have left half a character in an event, which is never changed, and no page
        # can be written with it.
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    raise InvalidField(f"must be text, not {value!r}")


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    raise InvalidField(f"must be a whole number, not {value!r}")


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise InvalidField(f"must be true or false, not {value!r}")


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) < 2**63:
        return float(value)
    raise InvalidField(f"must be a finite number, not {value!r}")


def _decimal(value: Any) -> Decimal:
    if type(value) is str and DECIMAL.fullmatch(value):
        return Decimal(value)
    raise InvalidField(f"must be a decimal in plain notation, as text, not {value!r}")


def _full_hour(value: Any) -> int:
    if type(value) is str and FULL_HOUR.fullmatch(value):
        return parse_time(value)
    raise InvalidField(f"must be a full hour such as 2022-01-01T00:00:00Z, not {value!r}")


def _sha256(value: Any) -> str:
    if type(value) is str and SHA256.fullmatch(value):
        return value
    raise InvalidField(f"must be 64 hexadecimal digits, or empty, not {value!r}")


TEXT: Kind[str] = Kind(_text, _same)
INTEGER: Kind[int] = Kind(_integer, _same)
FLAG: Kind[bool] = Kind(_flag, _same)
NUMBER: Kind[float] = Kind(_number, _same)
MONEY: Kind[Decimal] = Kind(_decimal, plain)
HOUR_TEXT: Kind[int] = Kind(_full_hour, iso)
DIGEST: Kind[str] = Kind(_sha256, _same)


def maybe(kind: Kind[T]) -> Kind[T | None]:
    """The kind, or null."""
    read, write = kind.read, kind.write
    return Kind(
        lambda value: None if value is None else read(value),
        lambda value: None if value is None else write(value),
    )


def word_of(words: Any) -> Kind[Any]:
    """One of the words of a Literal."""
    known = get_args(words)

    def read(value: Any) -> Any:
        if type(value) is str and value in known:
            return value
        raise InvalidField(f"must be one of {', '.join(known)}, not {value!r}")

    return Kind(read, _same)


def list_of(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """Values of one kind, in order."""

    def read(value: Any) -> tuple[T, ...]:
        if type(value) is not list:
            raise InvalidField(f"must be a list, not {value!r}")
        return tuple([_within(f"[{i}]", kind, item) for i, item in enumerate(value)])

    return Kind(read, lambda values: [kind.write(value) for value in values])


def by_name(kind: Kind[T]) -> Kind[Mapping[str, T]]:
    """Values of one kind under names of their own."""

    take = kind.read

    def read(value: Any) -> Mapping[str, T]:
        if type(value) is not dict:
            raise InvalidField(f"must be an object, not {value!r}")
        try:
            return {name: take(item) for name, item in value.items()}
        except InvalidField:
            raise _first_refused([(name, take) for name in value], value) from None

    return Kind(read, lambda values: {name: kind.write(value) for name, value in values.items()})


def _within(field: str, kind: Kind[T], value: Any) -> T:
    try:
        return kind.read(value)
    except InvalidField as error:
        raise error.within(field) from None


def shape(
    make: Callable[..., T],
    fields: Mapping[str, Kind[Any]],
    optional: Mapping[str, tuple[Kind[Any], Any]] | None = None,
    **paths: str,
) -> Kind[T]:
    """An object with exactly these keys. `make` is a dataclass of such fields, or takes their values in this order; each is
    read back from the attribute of its name, or from the dotted path that `paths` gives.

    `optional`: keys that came later, each with the value that its absence means. They are written only where the value
    is another one, so that what an earlier version wrote is read as it was meant and written again as the same bytes.
    """
    later = optional or {}
    names, known = fields.keys(), {**fields, **{name: kind for name, (kind, _) in later.items()}}
    # A dataclass says the order in which it takes its fields; by position is quicker than by name.
    order = getattr(make, "__match_args__", None) or tuple(known)
    readers = [(name, known[name].read) for name in order]
    writers = [(name, attrgetter(paths.get(name, name)), kind.write) for name, kind in fields.items()]
    rare = [
        (name, attrgetter(paths.get(name, name)), kind.write, absent)
        for name, (kind, absent) in later.items()
    ]

    def read(value: Any) -> T:
        if type(value) is not dict:
            raise InvalidField(f"must be an object, not {value!r}")
        if value.keys() != names and (
            wrong := _other_keys(value.keys() - known.keys(), names - value.keys())
        ):
            raise wrong
        try:
            return make(*[take(value[name]) if name in value else later[name][1] for name, take in readers])
        except InvalidField:
            raise _first_refused([pair for pair in readers if pair[0] in value], value) from None

    def write(value: T) -> Any:
        content = {name: put(get(value)) for name, get, put in writers}
        for name, get, put, absent in rare:
            if (there := get(value)) != absent:
                content[name] = put(there)
        return content

    return Kind(read, write)


def _first_refused(
    readers: Sequence[tuple[str, Callable[[Any], Any]]], value: Mapping[str, Any]
) -> InvalidField:
    """What the first of the readers that refuses its value says of it, with its name."""
    for name, take in readers:
        try:
            take(value[name])
        except InvalidField as error:
            return error.within(name)
    return InvalidField("cannot be read")


def _other_keys(extra: set[Any], missing: set[str]) -> InvalidField | None:
    if missing:
        return InvalidField("is missing", min(missing))
    return InvalidField("is no field of it", min(extra)) if extra else None
