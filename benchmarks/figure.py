"""A number beside its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sense = Literal["at most", "at least", "exactly"]


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is None where it could not be measured here; `note` then says why, and how to measure it.

    is_result: about what was computed, not how fast. A small run on a busy machine judges these alone.
    """

    name: str
    value: float | None
    sense: Sense | None = None
    target: float | None = None
    unit: str = ""
    note: str = ""
    is_result: bool = False

    @property
    def verdict(self) -> str:
        """ok, missed, - (nothing to reach), or not measured."""
        if self.value is None:
            return "not measured"
        if self.sense is None or self.target is None:
            return "-"
        reached = {
            "at most": self.value <= self.target,
            "at least": self.value >= self.target,
            "exactly": self.value == self.target,
        }
        return "ok" if reached[self.sense] else "MISSED"

    def row(self, timed: bool = True) -> tuple[str, str, str, str]:
        """Name, value, target, verdict, as text. Without `timed` nothing is said of what depends on speed."""
        value = "-" if self.value is None else f"{_text(self.value)} {self.unit}".strip()
        target = "" if self.target is None else f"{self.sense} {_text(self.target)} {self.unit}".strip()
        judged = timed or self.is_result or self.value is None
        return self.name, value, target, self.verdict if judged else "-"


def _text(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"
