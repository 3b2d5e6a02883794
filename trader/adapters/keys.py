"""What a key of the store looks like, whatever keeps the objects."""

from __future__ import annotations

import re

from trader.core.errors import ConfigError

SEGMENT = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*")


def is_key(key: str) -> bool:
    """True for parts of letters, digits and . _ = - joined by /, none of which begins with a dot."""
    return all(SEGMENT.fullmatch(segment) for segment in key.split("/"))


def require_key(key: str) -> None:
    """Raises ConfigError for what is no key. The same in a folder and in a bucket, so that objects can move."""
    if not is_key(key):
        raise ConfigError(
            f"{key!r} is no key of the store; a key is made of letters, digits and . _ = - in parts joined by /, and no "
            "part begins with a dot"
        )


def require_page(prefix: str, limit: int) -> None:
    """Raises ConfigError for a page without room or a prefix whose folder is no key."""
    if limit < 1:
        raise ConfigError(f"a listing of at most {limit} keys makes no sense; ask for 1 or more")
    if folder := prefix.rpartition("/")[0]:
        require_key(folder)
