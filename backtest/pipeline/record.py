"""A finished stage: what it followed from, and what it gave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trader.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Basis:
    """All that a stage's outputs follow from. inputs: SHA-256 by name. code: the hash of the definitions that it reaches.
    libraries: versions by distribution."""

    kind: str
    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    outputs: tuple[str, ...]
    code: str
    libraries: Mapping[str, str]

    @property
    def key(self) -> str:
        """The hash of it: equal keys have equal outputs."""
        told = {name: getattr(self, name) for name in Basis.__dataclass_fields__}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Record:
    """outputs: SHA-256 by name. seconds: how long the stage took. at: when it ended, UTC."""

    job: str
    key: str
    basis: Basis
    outputs: Mapping[str, str]
    seconds: float
    at: str

    def as_json(self) -> dict[str, Any]:
        """A line of the journal."""
        return asdict(self)

    @staticmethod
    def of_json(row: Mapping[str, Any]) -> Record:
        """Raises DataError for a line that is none."""
        try:
            told = row["basis"]
            basis = Basis(
                told["kind"],
                dict(told["inputs"]),
                dict(told["params"]),
                tuple(told["outputs"]),
                told["code"],
                dict(told["libraries"]),
            )
            return Record(
                row["job"], row["key"], basis, dict(row["outputs"]), float(row["seconds"]), row["at"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a line of the pipeline's journal.jsonl is no finished stage ({error!r}); remove it, and the stage runs again"
            ) from None
