"""The port of experiment trackers: what keeps runs with settings, series and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from trader.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a series. step: hours since the deployment's first hour, or a trial's number."""

    name: str
    value: float
    step: int
    time_ms: int


def require_within(path: str) -> None:
    """Raises DataError for a path that leads out of the folder of a run: parts of it come from a store."""
    parts = path.split("/")
    if not all(
        part and part not in (".", "..") and part.isprintable() and "\\" not in part for part in parts
    ):
        raise DataError(f"{path!r} is no path within a run; what it is named after was changed in the store")


@dataclass(frozen=True, slots=True)
class Title:
    """Which run. key tells it from every other one; runs of one group stand together. One that is `finished` gets no
    further hours; began: UTC ms."""

    group: str
    key: str
    name: str
    began: int
    finished: bool = False


def group_of(symbol: str, edition: int) -> str:
    """What runs of a symbol stand together under; edition: 1, and one more for each rebuilding after it was told."""
    return f"{symbol} {edition}" if edition > 1 else symbol


class TrackerRun(Protocol):
    """An open run."""

    def settings(self, values: Mapping[str, str]) -> None:
        """Facts that do not change."""

    def series(self, points: Sequence[Point]) -> None:
        """Values by step; one that is there already stays one."""

    def file(self, path: str, data: bytes) -> None:
        """A file; one of the same path is replaced."""


class TrackerBackend(Protocol):
    """A tracker: something that keeps runs."""

    name: str

    def run(self, title: Title) -> AbstractContextManager[TrackerRun]:
        """The run of this title, made if there is none. What was noted is kept when the context ends."""
