"""How long a selection still takes, learnt from what each kind of candidate has cost so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
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

    def seconds(self, names: Sequence[str], workers: int) -> float | None:
        """What these will take on so many workers; a kind that nobody has seen yet costs the mean of the others. None before
        anything is known."""
        known = sum(self._count.values())
        if not known:
            return None
        mean = sum(self._total.values()) / known
        each = {
            name: self._total[name] / self._count[name] if self._count[name] else mean for name in set(names)
        }
        return sum(each[name] for name in names) / workers

    def words(self, names: Sequence[str], workers: int) -> str:
        """For a progress bar."""
        left = self.seconds(names, workers)
        if left is None or not names:
            return ""
        return f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left"
