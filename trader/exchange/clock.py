"""The exchange's own time: it stands still, or runs at a multiple of the wall, and never goes back."""

from __future__ import annotations

import time


class VirtualClock:
    """UTC milliseconds that start at `at_ms`; `speed` 0 stands still, X runs X times as fast as the wall."""

    def __init__(self, at_ms: int, speed: float) -> None:
        self._base_ms = at_ms
        self.speed = speed
        self._wall = time.monotonic()

    def now(self) -> int:
        """The current virtual time, UTC milliseconds."""
        if not self.speed:
            return self._base_ms
        return self._base_ms + int((time.monotonic() - self._wall) * 1000 * self.speed)

    def move_to(self, time_ms: int) -> bool:
        """Jump ahead; False (and nothing done) where that would be a step back."""
        if time_ms < self.now():
            return False
        self._base_ms, self._wall = time_ms, time.monotonic()
        return True
