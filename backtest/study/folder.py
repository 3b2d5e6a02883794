"""A study on disk: what it is of, every trial as soon as it has ended, and what can be read from both.

    study.json      what must be the same when it goes on; written once
    journal.jsonl   a line a trial, appended and flushed when the trial has ended, in the order of their ends
    returns/        a complete trial's net hourly returns, (hours,) float64, by its number
    folds/          the cache, unless another folder was named
    trials.jsonl    a line a trial in the order of their numbers; P.json the best. Both follow from the journal

A line that a crash cut short is a trial that has not ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backtest.study.results_folder import ResultsFolder
from trader.core.errors import ConfigError, DataError
from trader.core.types import Floats

SCHEMA = "study/1"


class StudyFolder(ResultsFolder):
    """One study's folder. Only its holder writes."""

    named, option, work, unit, key = "study ", "--study", "run", "trial", "number"

    def begin(self, identity: dict[str, Any]) -> None:
        """Write the study's identity, or on resuming compare it with the stored one. Raises ConfigError where they differ."""
        file = self.path / "study.json"
        if not file.exists():
            self.write(file.name, json.dumps({"schema": SCHEMA, **identity}, indent=1) + "\n")
            return
        begun = self.identity()
        if begun.get("data") != identity["data"]:
            raise ConfigError(
                f"study {self.path} was begun on bars with the hash {begun.get('data')}; the given bars have {identity['data']}. "
                f"Give the same bars, or choose another --study folder"
            )
        changed = [key for key, value in json.loads(json.dumps(identity)).items() if begun.get(key) != value]
        if changed:
            said = "; ".join(
                f"{key} {_short(begun.get(key))}, now {_short(identity[key])}" for key in changed
            )
            raise ConfigError(
                f"study {self.path} was begun with {said}. Use the same values, or choose another --study folder"
            )

    def identity(self) -> dict[str, Any]:
        """What study.json says. Raises DataError where it is none."""
        file = self.path / "study.json"
        try:
            begun = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{file} cannot be read ({error}); choose another --study folder") from None
        if not isinstance(begun, dict):
            raise DataError(f"{file} holds no JSON object; choose another --study folder")
        if begun.get("schema") != SCHEMA:
            raise DataError(f"{file}: schema {begun.get('schema')!r}, this program reads {SCHEMA!r}")
        return begun

    def rows(self) -> dict[int, dict[str, Any]]:
        """The trials that have ended, by their number; an incomplete last line is cut off the file. Raises DataError for a
        damaged line within it."""
        return {int(row["number"]): row for row in self.ended()}

    def append(self, row: dict[str, Any], returns: Floats | None) -> None:
        """Append an ended trial to the journal. Its returns are on the disk before, so every trial of the journal
        has its file."""
        if returns is not None:
            self._write_returns(int(row["number"]), returns)
        self.append_lines([row])

    def returns(self, number: int) -> Floats:
        """A complete trial's net hourly returns, (hours,) float64. Raises DataError without them."""
        file = self._returns(number)
        try:
            found: Floats = np.load(file)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file} cannot be read ({error}); run the study again in another folder"
            ) from None
        return found

    def publish(self, rows: Sequence[dict[str, Any]], best: dict[str, Any] | None) -> None:
        """trials.jsonl, and P.json where there is a best one."""
        self.write("trials.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        if best is not None:
            self.write("P.json", json.dumps(best, indent=1) + "\n")

    def _returns(self, number: int) -> Path:
        return self.path / "returns" / f"{number:05d}.npy"

    def _write_returns(self, number: int, returns: Floats) -> None:
        file = self._returns(number)
        with self.errors():
            file.parent.mkdir(exist_ok=True)
            unfinished = file.with_suffix(".tmp")
            with unfinished.open("wb") as out:
                np.save(out, returns)
                out.flush()
                os.fsync(out.fileno())
            unfinished.replace(file)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
