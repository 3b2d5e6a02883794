"""Reading a local file that may not be one: a pipe in its place would keep a bot waiting for ever."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from trader.core.errors import ConfigError

# Opened so, a pipe answers at once, and a terminal does not become this process's.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
NOT_PLAIN = "is no plain file but a pipe, a socket or a device; put a file in its place"


class NotPlainError(OSError):
    """What lies there is no plain file. `strerror` says so, and what to do."""


# What editors and PowerShell put before a text; UTF-32 is looked for first, since its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class NotTextError(ValueError):
    """Bytes that are no text. The message says line and way out."""


def text_of(data: bytes) -> str:
    """The text of a file that a person wrote: UTF-8, or what its byte order mark says; without that mark. Raises NotTextError."""
    mark, encoding = next((found for found in _MARKS if data.startswith(found[0])), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[len(mark) :][: error.start].count(b"\n") + 1
        bad = error.object[error.start]
        raise NotTextError(
            f"line {line}: byte 0x{bad:02x} is not {encoding.upper()}; save the file as UTF-8"
        ) from None


def read_text(path: Path, what: str) -> str:
    """A small file that a person wrote, without a byte order mark. Raises ConfigError that names it."""
    try:
        return text_of(read_plain(path))
    except NotTextError as error:
        raise ConfigError(f"{what} {path}, {error}") from None
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror or error}") from None


def read_plain(path: Path, *, follow: bool = True) -> bytes:
    """The bytes of a plain file: an open, a look, a read and a close. follow=False refuses a symbolic link.

    Raises OSError as `Path.read_bytes` does, NotPlainError among them.
    """
    handle = os.open(path, _FLAGS | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, "Is a directory", str(path))
        if not stat.S_ISREG(found.st_mode):
            raise NotPlainError(0, NOT_PLAIN, str(path))
        return _all_of(handle, found.st_size)
    finally:
        os.close(handle)


def _all_of(handle: int, size: int) -> bytes:
    """What a file holds. One read suffices for a file that has the size that it said, and does not grow."""
    parts = [os.read(handle, size + 1)]
    if len(parts[0]) == size:
        return parts[0]
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)
