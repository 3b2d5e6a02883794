"""A store of which every object that decides carries a tag, around any other store.

Reading and creating cost no request more: the tag is a part of the object. Only what was there before the key is looked up twice.
"""

from __future__ import annotations

from collections.abc import Callable

from trader.core.errors import DataError
from trader.core.ports import Store
from trader.core.tags import TAGS, Signer, decides, split


class SignedStore:
    """Objects as they were written, or a DataError that names them. What `signs` says no to passes through as it is.

    An object that can be made again (`caches/`) and has no valid tag is none.
    """

    def __init__(self, inner: Store, signer: Signer, signs: Callable[[str], bool] = decides) -> None:
        self.inner = inner
        self._signer = signer
        self._signs = signs

    def get(self, key: str) -> bytes | None:
        """The object without its tag, or None where there is none. Raises DataError for a changed, moved or foreign one."""
        data = self.inner.get(key)
        if data is None or not self._signs(key):
            return data
        content, tag = split(data)
        try:
            self._signer.require(key, content, tag or self.inner.get(TAGS + key) or b"")
        except DataError:
            if key.startswith("caches/"):
                return None
            raise
        return content

    def put(self, key: str, data: bytes) -> None:
        """Writes or overwrites."""
        self.inner.put(key, self._written(key, data))

    def create(self, key: str, data: bytes) -> bool:
        """As the port says. Raises DataError where what is there is nobody's who knows the key."""
        return self.inner.create(key, self._written(key, data)) or (
            self._signs(key) and self.get(key) == data
        )

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Keys, tags of their own among them."""
        return self.inner.list(prefix, after, limit)

    def _written(self, key: str, data: bytes) -> bytes:
        return data + self._signer.tag(key, data) if self._signs(key) else data
