"""What every built-in stage is given and gives: files by name as bytes, and settings of plain JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backtest.executors.packing import packed, unpacked
from backtest.executors.protocol import Array, Arrays, Executor, TaskSettings
from backtest.pipeline.output_names import BARS
from backtest.pipeline.tables import bars_of
from trader.core.params import Params, params_of
from trader.core.types import Bars, parse_hour

# In what a stage says beside its files: why these refuse what it examined.
REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Made:
    """What a stage gives: files by name, and what is said of it beside them, such as what the evidence ledger counts."""

    files: Mapping[str, bytes]
    said: Mapping[str, Any] = field(default_factory=dict)

    def packed(self) -> bytes:
        """As a task's result."""
        return packed(self.said, {name: np.frombuffer(it, np.uint8) for name, it in self.files.items()})

    @staticmethod
    def of(result: bytes) -> Made:
        """The way back."""
        said, arrays = unpacked(result)
        return Made({name: it.tobytes() for name, it in arrays.items()}, said)


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage that gives out fits works with. folder: its own, kept when it is interrupted, removed when it is done.
    evidence: the folder of evidence ledgers."""

    executor: Executor
    folder: Path
    evidence: Path


class Given:
    """The inputs and settings of a stage."""

    def __init__(self, arrays: Arrays, settings: TaskSettings) -> None:
        self._arrays, self.settings = arrays, settings

    @staticmethod
    def arrays_of(files: Mapping[str, bytes]) -> dict[str, Array]:
        """Files as a task carries them."""
        return {name: np.frombuffer(it, np.uint8) for name, it in files.items()}

    def file(self, name: str) -> bytes:
        """An input's bytes."""
        return self._arrays[name].tobytes()

    def has(self, name: str) -> bool:
        """Whether there is such an input."""
        return name in self._arrays

    def json(self, name: str) -> dict[str, Any]:
        """An input of JSON."""
        told: dict[str, Any] = json.loads(self.file(name))
        return told

    @property
    def symbol(self) -> str:
        """The traded one."""
        return str(self.settings["symbol"])

    @property
    def source(self) -> str:
        """Of the bars, for messages."""
        return str(self.settings.get("source", self.symbol))

    def bars(self) -> Bars:
        """Of the traded symbol."""
        return bars_of(self.file(BARS), self.symbol, self.source)

    def others(self) -> tuple[Bars, ...]:
        """Of the further symbols that a fit sees, by name."""
        return tuple(
            bars_of(self.file(f"others/{it}.parquet"), it, it) for it in self.settings.get("others", ())
        )

    def params(self, name: str) -> Params:
        """An input's parameters."""
        return params_of(self.json(name), name)

    def hour(self, name: str) -> int:
        """A setting that is an hour, UTC ms."""
        return parse_hour(str(self.settings[name]))


def json_bytes(value: Any) -> bytes:
    """Readable JSON, a line at the end."""
    return (json.dumps(value, indent=1) + "\n").encode()
