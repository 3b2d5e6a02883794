"""A stage of one symbol and family, or of all of them: what it reads, what it is told, what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a job reads. name: as the job calls it. Either a file of a person's, or an output of another job."""

    name: str
    path: Path | None = None
    job: str = ""
    output: str = ""

    @property
    def said(self) -> str:
        """For messages."""
        return str(self.path) if self.path else f"{self.job}/{self.output}"


@dataclass(frozen=True, slots=True)
class Job:
    """name: such as predict/BTCUSDT/xgboost; its outputs lie below that in `current`. kind: the built-in stage, or the name of a
    person's own. params: plain JSON values that the result depends on. hints: others, such as a path for a message, that no
    result depends on. code: `module:name` of what computes it. run: a person's own file. after: jobs to wait for."""

    name: str
    kind: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, Any] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    run: Path | None = None
    after: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Jobs that must be done before it, each once."""
        return tuple(dict.fromkeys([*(it.job for it in self.inputs if it.job), *self.after]))
