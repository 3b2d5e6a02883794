"""UBJSON as XGBoost writes it: the bytes of texts, integers, packed arrays and objects.

XGBoost writes each value in one way: lengths as 64-bit integers, a number in the smallest type that holds it, keys in
alphabetical order. So that whoever knows what a model may say knows its bytes, and need not read bytes of a stranger.
Source of the format: ubjson.org, draft 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

_INTEGERS = ((b"i", 1), (b"I", 2), (b"l", 4), (b"L", 8))
SIZES = {b"U": 1, b"l": 4, b"d": 4, b"L": 8}  # bytes of an item of a packed array


@dataclass(frozen=True, slots=True)
class Packed:
    """An array of numbers of one type, big-endian, one after the other."""

    kind: bytes
    data: bytes = b""


Value: TypeAlias = "str | int | Packed | Sequence[Value] | Mapping[str, Value]"


def encode(value: Value) -> bytes:
    """The bytes of a value; an object's keys in the order that they are given in."""
    if isinstance(value, str):
        return b"S" + length(len(value.encode())) + value.encode()
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, Packed):
        return packed_head(value.kind, len(value.data) // SIZES[value.kind]) + value.data
    if isinstance(value, Mapping):
        return b"{" + b"".join(key(name) + encode(item) for name, item in value.items()) + b"}"
    return b"[#" + length(len(value)) + b"".join(map(encode, value))


def integer(value: int) -> bytes:
    """A whole number in the smallest type between whose ends, not at them, it lies."""
    kind, size = next(it for it in _INTEGERS if -(1 << 8 * it[1] - 1) < value < (1 << 8 * it[1] - 1) - 1)
    return kind + value.to_bytes(size, "big", signed=True)


def length(value: int) -> bytes:
    """How many items or bytes follow."""
    return b"L" + value.to_bytes(8, "big")


def key(name: str) -> bytes:
    """A key of an object."""
    return length(len(name)) + name.encode()


def packed_head(kind: bytes, items: int) -> bytes:
    """What stands before the numbers of a packed array."""
    return b"[$" + kind + b"#" + length(items)
