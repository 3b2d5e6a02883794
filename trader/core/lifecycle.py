"""Which model serves an hour and whether a retrain is due: one rule for the backtest and for the live bot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trader.core.types import DAY_MS, HOUR_MS


@dataclass(frozen=True, slots=True)
class Champion:
    """A published model: it may serve hours T >= valid_from (UTC ms)."""

    model_id: str
    valid_from: int


def calendar_refit(start: int, step_days: int, hour: int) -> int | None:
    """S_k, the newest refit hour at or before `hour`; None before the deployment's `start` (UTC ms)."""
    if hour < start:
        return None
    return hour - (hour - start) % (step_days * DAY_MS)


def due_refit(start: int, step_days: int, gap: int, now: int, champions: Sequence[Champion]) -> int | None:
    """The S_k that should be trained for at time `now`, or None.

    A refit is due from `gap` hours before it serves until a champion of that hour or a later one exists. After a
    long pause only the newest is due: older ones would never serve.
    """
    serve_from = calendar_refit(start, step_days, now + gap * HOUR_MS)
    if serve_from is None or any(champion.valid_from >= serve_from for champion in champions):
        return None
    return serve_from


def serving(champions: Sequence[Champion], hour: int) -> Champion | None:
    """The champion that serves `hour`: the newest event among those with the latest valid_from <= hour.

    `champions` is in the order of their events, so that a later event for the same hour (a rollback, a repeated
    training) wins. None before the first.
    """
    serves = [champion for champion in champions if champion.valid_from <= hour]
    return max(reversed(serves), key=lambda champion: champion.valid_from) if serves else None


def is_late(start: int, step_days: int, champion: Champion, hour: int) -> bool:
    """True where the calendar has a newer refit for `hour` than the champion that serves it."""
    wanted = calendar_refit(start, step_days, hour)
    return wanted is not None and champion.valid_from < wanted
