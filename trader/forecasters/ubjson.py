"""Is this one whole UBJSON object? Asked before XGBoost reads bytes from a store.

XGBoost trusts the lengths that it reads: an empty buffer ends the process, and a model cut short can make it ask for
all the memory there is. Nothing is decoded here; every length is followed and must stay within the bytes.
Source of the format: ubjson.org, draft 12.
"""

from __future__ import annotations

_FIXED = {
    b"Z": 0,
    b"N": 0,
    b"T": 0,
    b"F": 0,
    b"i": 1,
    b"U": 1,
    b"C": 1,
    b"I": 2,
    b"l": 4,
    b"d": 4,
    b"L": 8,
    b"D": 8,
}
_INTEGERS = b"iUIlL"
_DEEPEST = 64


def is_whole_object(data: bytes) -> bool:
    """True if `data` is exactly one UBJSON object, complete and with nothing behind it."""
    try:
        return data[:1] == b"{" and _Walk(data).value(0, 0) == len(data)
    except _BrokenError:
        return False


class _BrokenError(Exception):
    pass


class _Walk:
    """Positions go in and come out: each method returns where what it read ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def value(self, at: int, depth: int) -> int:
        """A marker and what belongs to it."""
        return self._content(self._take(at, 1), at + 1, depth)

    def _content(self, marker: bytes, at: int, depth: int) -> int:
        if marker in _FIXED:
            return self._skip(at, _FIXED[marker])
        if marker in (b"S", b"H"):
            return self._text(at)
        if marker in (b"{", b"["):
            return self._container(marker == b"{", at, depth)
        raise _BrokenError

    def _container(self, keyed: bool, at: int, depth: int) -> int:
        if depth > _DEEPEST:
            raise _BrokenError
        kind = count = None
        if self._peek(at) == b"$":
            kind, at = self._take(at + 1, 1), at + 2
        if self._peek(at) == b"#":
            count, at = self._integer(at + 1)
        if kind is not None and count is None:
            raise _BrokenError
        if count is not None and kind in _FIXED and not keyed:
            return self._skip(at, _FIXED[kind] * count)
        end = b"}" if keyed else b"]"
        read = 0
        while read != count:
            if count is None and self._peek(at) == end:
                return at + 1
            at = self._text(at) if keyed else at
            at = self.value(at, depth + 1) if kind is None else self._content(kind, at, depth + 1)
            read += 1
        return at

    def _text(self, at: int) -> int:
        length, at = self._integer(at)
        return self._skip(at, length)

    def _integer(self, at: int) -> tuple[int, int]:
        marker = self._take(at, 1)
        if marker not in _INTEGERS:
            raise _BrokenError
        size = _FIXED[marker]
        number = int.from_bytes(self._take(at + 1, size), "big", signed=marker != b"U")
        if number < 0:
            raise _BrokenError
        return number, at + 1 + size

    def _skip(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise _BrokenError
        return at + size

    def _take(self, at: int, size: int) -> bytes:
        return self._data[at : self._skip(at, size)]

    def _peek(self, at: int) -> bytes:
        return self._take(at, 1)
