"""A number beside its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Sense = Literal["at most", "at least", "exactly"]


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is None where it could not be measured here; `note` then says why, and how to measure it."""

    name: str
    value: float | None
    sense: Sense | None = None
    target: float | None = None
    unit: str = ""
    note: str = ""

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

    def row(self) -> tuple[str, str, str, str]:
        """Name, value, target, verdict, as text."""
        value = "-" if self.value is None else f"{_text(self.value)} {self.unit}".strip()
        target = "" if self.target is None else f"{self.sense} {_text(self.target)} {self.unit}".strip()
        return self.name, value, target, self.verdict


def _text(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"
