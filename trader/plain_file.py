"""Reading a local file that may not be one: a pipe in its place would keep a bot waiting for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# Opened so, a pipe answers at once, and a terminal does not become this process's.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
NOT_PLAIN = "is no plain file but a pipe, a socket or a device; put a file in its place"


class NotPlainError(OSError):
    """What lies there is no plain file. `strerror` says so, and what to do."""


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
