r"""A tag says that who knows the key wrote these very bytes under this very name: HMAC-SHA256 (RFC 2104, FIPS 180-4).

It is a line behind an object's bytes, of the same length for JSON, text and a model's own format. What lay in the store
before there was a key cannot be written again, so its tag is an object of its own, `tags/<key>`, which `trader store sign`
makes.

    \n#hmac-sha256 <8 digits that tell keys apart> <64 digits>\n
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from trader.core.errors import DataError

# Where what decides lies; pages, copies and notes of observers stay as they are, for people and their tools.
SIGNED = ("caches/", "journal/", "models/", "state/")
TAGS = "tags/"
LEAST_CHARACTERS = 32
_LINE = re.compile(rb"\n#hmac-sha256 ([0-9a-f]{8}) ([0-9a-f]{64})\n")
LENGTH = len(b"\n#hmac-sha256 ") + 8 + 1 + 64 + 1


def decides(key: str) -> bool:
    """Whether an object of this name is one that is tagged."""
    return key.startswith(SIGNED)


def split(data: bytes) -> tuple[bytes, bytes]:
    """The bytes of an object and its tag, b"" where it carries none."""
    if _LINE.fullmatch(data[-LENGTH:]):
        return data[:-LENGTH], data[-LENGTH:]
    return data, b""


def require_untagged(key: str, data: bytes) -> None:
    """Raises DataError where bytes that cannot be read are an object with a tag: this process was given no key."""
    if split(data)[1]:
        raise DataError(
            f"{key} carries a tag: this store is written with a key. Set TRADER_STORE_HMAC_KEY in the environment"
        )


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and compares the tags of one key, which it never shows."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Eight digits that tell this key from others and say nothing about it."""
        return self._digest(b"the name of this key")[:8]

    def _digest(self, *parts: bytes) -> str:
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()

    def tag(self, key: str, data: bytes) -> bytes:
        """The tag of an object of this name."""
        return f"\n#hmac-sha256 {self.name} {self._digest(b'object', key.encode(), data)}\n".encode()

    def require(self, key: str, data: bytes, tag: bytes) -> None:
        """Raises DataError unless the tag is the one of these bytes under this name."""
        if hmac.compare_digest(tag, self.tag(key, data)):
            return
        found = _LINE.fullmatch(tag)
        if found is None:
            raise DataError(
                f"{key} carries no tag: it was written without TRADER_STORE_HMAC_KEY, or by somebody else. Look "
                "at it, and at who "
                "may write to the store; restore it from a copy, or, where the store was begun before there was "
                "a key and you trust "
                "all of it: trader store sign"
            )
        if found[1].decode() != self.name:
            raise DataError(
                f"{key} was tagged with another key ({found[1].decode()}, this one is {self.name}): "
                "TRADER_STORE_HMAC_KEY is not the "
                "one that this store is written with. Set the right one"
            )
        raise DataError(
            f"{key} is not what its tag says: its bytes were changed, or it was moved here from another name. "
            "Look at who may write "
            "to the store, and restore the object from a copy"
        )
