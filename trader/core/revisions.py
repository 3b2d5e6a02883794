"""Bars that a source told otherwise later: both values, and when the later ones were received."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from trader.core.bars import Contradiction
from trader.core.types import Bars, iso

# noted: seen, and nothing was changed; accepted: the newer values are stored; kept: a person decided for the older ones.
Decision = Literal["noted", "accepted", "kept"]


@dataclass(frozen=True, slots=True)
class BarValues:
    """The values of one bar: prices in quote per base, volume in base; None where a source has none."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None = None
    trades: float | None = None
    taker_buy_base: float | None = None
    taker_buy_quote: float | None = None

    @staticmethod
    def of(bars: Bars, close_time: int) -> BarValues:
        """The row that closed at a time (UTC ms), which must be there."""
        row = bars.row(close_time)
        found: dict[str, float | None] = {}
        for it in fields(BarValues):
            column = getattr(bars, it.name)
            value = float("nan") if column is None else float(column[row])
            found[it.name] = None if np.isnan(value) else value
        return BarValues(**found)  # type: ignore[arg-type]  # the required ones are finite in any bar


@dataclass(frozen=True, slots=True)
class Revision:
    """A bar that was stored and is told otherwise. close_time, received: UTC ms."""

    symbol: str
    close_time: int
    received: int
    older: BarValues
    newer: BarValues
    decision: Decision

    def in_words(self) -> str:
        """For a message: the hour, and each column that differs with both values."""
        pairs = [
            (it.name, getattr(self.older, it.name), getattr(self.newer, it.name)) for it in fields(BarValues)
        ]
        differ = [
            f"{name} {before!s} -> {after!s}"
            for name, before, after in pairs
            if None not in (before, after) and before != after
        ]
        return f"{iso(self.close_time)}: {', '.join(differ)}"

    def is_of(self, other: Revision) -> bool:
        """Whether both say the same of the same bar, whenever it was and whatever was decided."""
        return replace(self, received=other.received, decision=other.decision) == other


def revisions_of(older: Bars, newer: Bars, differ: Iterable[Contradiction], received: int) -> list[Revision]:
    """The bars that two series tell otherwise, not yet decided. received: UTC ms."""
    return [
        Revision(
            older.symbol,
            it.close_time,
            received,
            BarValues.of(older, it.close_time),
            BarValues.of(newer, it.close_time),
            "noted",
        )
        for it in differ
    ]


def undecided(found: Sequence[Revision], known: Sequence[Revision]) -> list[Revision]:
    """Those that nobody has decided to leave as they are stored."""
    return [it for it in found if not any(it.is_of(other) and other.decision == "kept" for other in known)]


def known_at(bars: Bars, revisions: Sequence[Revision], time: int) -> Bars:
    """The bars that had closed by `time` (UTC ms), with the values that were stored then: each revision that was received later
    and accepted is undone, the newest first. A bar that was never revised is as it is: when it was received is not kept."""
    found = bars.until(time)
    columns: dict[str, Any] = {
        it.name: None if (column := getattr(found, it.name)) is None else column.copy()
        for it in fields(BarValues)
    }
    later = [
        it
        for it in revisions
        if it.decision == "accepted" and it.received > time and found.has(it.close_time)
    ]
    for it in sorted(later, key=lambda one: one.received, reverse=True):
        row = found.row(it.close_time)
        for name, column in columns.items():
            value = getattr(it.older, name)
            if column is not None:
                column[row] = np.nan if value is None else value
    return replace(found, **columns) if later else found
