"""How long a selection still takes, learnt from what each kind of candidate has cost so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class TimeLeft:
    """Seconds of the processor by candidate, as they are learnt."""

    _total: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _count: Counter[str] = field(default_factory=Counter)

    def learn(self, name: str, seconds: float) -> None:
        """One of this kind took so long."""
        self._total[name] += seconds
        self._count[name] += 1

    def seconds(self, left: Mapping[str, int], workers: int) -> float | None:
        """What so many of each kind will take on so many workers; a kind that nobody has seen yet costs the mean of the others.
        None before anything is known."""
        known = sum(self._count.values())
        if not known:
            return None
        mean = sum(self._total.values()) / known
        each = (
            (self._total[it] / self._count[it] if self._count[it] else mean, many)
            for it, many in left.items()
        )
        return sum(seconds * many for seconds, many in each) / workers

    def words(self, left: Mapping[str, int], workers: int) -> str:
        """For a progress bar."""
        seconds = self.seconds(left, workers)
        if seconds is None or not any(left.values()):
            return ""
        return f"about {seconds:.0f} s left" if seconds < 90 else f"about {seconds / 60:.0f} min left"
