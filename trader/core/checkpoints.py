"""Where a long training keeps how far it came, so that one that was killed goes on: known by registration, nowhere until then.

A checkpoint is named by the hash of everything that the training follows from, so another training never finds it; and one that
is lost or damaged costs time and changes nothing.
"""

from __future__ import annotations

from typing import Protocol


class Checkpoints(Protocol):
    """Bytes by key, the newest alone."""

    def load(self, key: str) -> bytes | None:
        """What was kept, None where nothing was."""

    def save(self, key: str, data: bytes) -> None:
        """Keep these bytes in place of what was there, whole or not at all."""

    def drop(self, key: str) -> None:
        """Forget them."""


class Nowhere:
    """Keeps nothing: a training that is killed begins anew."""

    def load(self, key: str) -> bytes | None:
        """Never anything."""
        return None

    def save(self, key: str, data: bytes) -> None:
        """Forgotten at once."""

    def drop(self, key: str) -> None:
        """There is nothing to forget."""


_kept: list[Checkpoints] = [Nowhere()]


def keep_in(checkpoints: Checkpoints) -> None:
    """Keep the checkpoints of this process there from now on."""
    _kept[0] = checkpoints


def checkpoints() -> Checkpoints:
    """Where they are kept."""
    return _kept[0]
