"""Objects in a store: JSON whose schema is `<name>/<version>`, beside its content the random token of its writer.

Keys are sorted, so equal content is equal bytes. Objects of version 1 are read as if they were of version 2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from trader.app.fields import InvalidField, Kind
from trader.app.version1 import modern
from trader.core.errors import DataError, OtherSymbol
from trader.core.events import AnyEvent
from trader.core.tags import require_untagged
from trader.core.types import Json

T = TypeVar("T")
E = TypeVar("E", bound=AnyEvent)
RESTORE = (
    "It is damaged or of another version: trader store repair makes it again where it follows from other objects; else restore "
    "it from a copy"
)


def encode(value: Json) -> bytes:
    """Readable JSON, keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def read(key: str, kind: Kind[T], content: Json) -> T:
    """The typed object of JSON content. Raises DataError that names key and field."""
    try:
        return kind.read(content)
    except InvalidField as error:
        raise DataError(f"{key}: {error.where or 'the object'} {error}. {RESTORE}") from None


@dataclass(frozen=True, slots=True)
class Format(Generic[T]):
    """How the objects of one name are stored. `symbol` of a method is the one that the object's key names."""

    name: str
    kind: Kind[T]

    @property
    def schema(self) -> str:
        """The schema of what is written."""
        return f"{self.name}/2"

    def content(self, value: T) -> Json:
        """The fields of an object as JSON values."""
        content: Json = self.kind.write(value)
        return content

    def encode(self, value: T, token: str) -> bytes:
        """The bytes of an object."""
        return encode({**self.content(value), "schema": self.schema, "token": token})

    def decode(self, key: str, data: bytes, symbol: str) -> T:
        """The object of these bytes. Raises DataError that names key and field, and for another symbol's object."""
        return read(key, self.kind, self.opened(key, data, symbol))

    def opened(self, key: str, data: bytes, symbol: str) -> Json:
        """The content of these bytes by the names of version 2, without schema and token."""
        content = current(key, data, self.name, symbol)
        said = content.get("symbol")
        if type(said) is str and said != symbol:  # anything else is refused as a field
            raise OtherSymbol(
                f"{key} holds an object of {said}, its key is one of {symbol}: it was copied from "
                f"another bot's store, and nothing is done with it. Restore the object of {symbol} from a copy"
            )
        if type(content.pop("token", None)) is not str:
            raise DataError(f"{key}: token is missing. {RESTORE}")
        del content["schema"]
        return content


@dataclass(frozen=True, slots=True)
class EventFormat(Format[E]):
    """How the events of one name are stored: a short one carries those before it, so that one read tells all."""

    def encode_after(self, value: E, token: str, earlier: Sequence[E]) -> bytes:
        """The bytes of an event that carries those before it."""
        before = [self.content(event) for event in earlier]
        content = {**self.content(value), "schema": self.schema, "token": token, "earlier": before}
        return encode(content)

    def decode_all(self, key: str, data: bytes, symbol: str) -> tuple[E, tuple[E, ...] | None]:
        """The event of these bytes, and those before it where it carries them. Raises DataError as `decode` does."""
        content = self.opened(key, data, symbol)
        earlier = content.pop("earlier", None)
        event = read(key, self.kind, content)
        if earlier is None:
            return event, None
        if type(earlier) is not list:
            raise DataError(f"{key}: earlier must be a list. {RESTORE}")
        return event, tuple([read(f"{key}, earlier", self.kind, content) for content in earlier])

    def upgraded(self, key: str, data: bytes, symbol: str) -> bytes:
        """The bytes of version 2 for an event of version 1: the same whoever makes them. Raises DataError as `decode` does."""
        made = encode(current(key, data, self.name, symbol))
        self.decode_all(key, made, symbol)
        return made


@dataclass(frozen=True, slots=True)
class Note(Generic[T]):
    """How a note is stored: it decides nothing, is overwritten, and can be made again."""

    name: str
    kind: Kind[T]

    def encode(self, value: T) -> bytes:
        """The bytes of a note."""
        return encode({**self.kind.write(value), "schema": f"{self.name}/2"})

    def decode(self, data: bytes | None) -> T | None:
        """The note of these bytes; None where there is none, or it cannot be read."""
        if data is None:
            return None
        try:
            content = current(self.name, data, self.name, "")
            del content["schema"]
            return self.kind.read(content)
        except (DataError, InvalidField):
            return None


def current(key: str, data: bytes, name: str, symbol: str) -> Json:
    """The object of these bytes in version 2, whether it was written as version 1 or 2."""
    value: Any
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        require_untagged(key, data)
        value = None
    if not isinstance(value, dict) or value.get("schema") not in (f"{name}/1", f"{name}/2"):
        raise DataError(f"{key} does not hold '{name}/2'. {RESTORE}")
    return value if value["schema"] == f"{name}/2" else modern(name, value, symbol)
