"""The executors by their name. To add one: a module with `open_executor(setup)`, and its line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backtest.executors.futures import Resubmitting
from backtest.executors.protocol import Executor
from trader.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the command line that one executor reads: `ray_address` is --ray-address. kind: str, int or bool."""

    name: str
    help: str
    kind: type = str


@dataclass(frozen=True, slots=True)
class Registered:
    """Where an executor stands; its module is imported when it is chosen."""

    module: str
    summary: str
    options: tuple[Option, ...] = ()


EXECUTORS: dict[str, Registered] = {
    "local": Registered("backtest.executors.local", "threads and processes of this machine"),
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What an executor is opened with. folder: the study's, where a coordinator that was killed finds again what it had
    given out; None where nothing outlives the command. options: by name, None or False where they were not given."""

    workers: int
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def open_executor(
    name: str, setup: Setup, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Executor]:
    """An executor by its name, closed at the end; lost tasks are given again, and `tell` hears of it. Raises
    ConfigError for a name that is not registered."""
    chosen = EXECUTORS.get(name)
    if chosen is None:
        known = "; ".join(f"{it} ({what.summary})" for it, what in EXECUTORS.items())
        raise ConfigError(f"--executor {name} is not known. Choose one of: {known}")
    inner: Executor = importlib.import_module(chosen.module).open_executor(setup)
    executor = Resubmitting(inner, tell)
    try:
        yield executor
    finally:
        executor.close()
