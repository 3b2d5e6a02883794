"""The port of experiment trackers: what keeps runs with settings, series and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a series. step: hours since the deployment's first hour, or a trial's number."""

    name: str
    value: float
    step: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Title:
    """Which run. key tells it from every other one; runs of one group stand together. One that is `finished` gets no
    further hours; began: UTC ms."""

    group: str
    key: str
    name: str
    began: int
    finished: bool = False


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
