"""Every configuration ever evaluated on a piece of history, and every look at an out-of-sample span: append-only.

A result is worth less the more was tried before it, whoever tried it and whatever became of it. Entries are JSON Lines,
one file for each data hash; a line is written whole and flushed to the disk. A line cut short by a crash is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trader.core.errors import ConfigError, DataError
from trader.core.params import Params
from trader.core.types import Bars

SCHEMA = "evidence/1"

# How a configuration came to be counted: a trial (complete, pruned, failed), a threshold pair of a sweep, a run, or a look at an
# out-of-sample span. Only complete, swept and run ones have a Sharpe ratio; a look is no further configuration.
Kind = Literal["complete", "pruned", "failed", "swept", "run", "look"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One configuration over one span (UTC ms). `sharpe` is per hour, None where the trial did not finish.

    `at_ms` is when it was evaluated, `by` the study's or command's name, `config` the hash of the parameters.
    """

    kind: Kind
    config: str
    start: int
    stop: int
    sharpe: float | None
    by: str
    at_ms: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in Entry.__dataclass_fields__}


def now_ms() -> int:
    """Of this machine's clock, UTC: when something was evaluated."""
    return round(time.time() * 1000)


def data_hash(bars: Bars) -> str:
    """Of every bar: two files of the same hours share their evidence, whatever they are called."""
    digest = hashlib.sha256(bars.symbol.encode())
    columns = (bars.close_time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.flagged)
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]


def config_hash(params: Params) -> str:
    """Of the parameters, whatever the order of their keys."""
    text = json.dumps(params.identity(), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class EvidenceLedger:
    """The entries about one piece of history, in `<folder>/<data hash>.jsonl`."""

    folder: Path
    data: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.data}.jsonl"

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, all or (after a crash) the first few of them. Raises ConfigError where it cannot be written."""
        text = "".join(json.dumps({"schema": SCHEMA, **entry.as_json()}) + "\n" for entry in entries)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # One write to a file opened for appending: two processes do not mix their lines.
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, (self._mend() + text).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise ConfigError(
                f"evidence {self.path} cannot be written: {error.strerror}. Choose a folder with --evidence"
            ) from None

    def _mend(self) -> str:
        """A line break where a crash left a line without one."""
        with self.path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return ""
            file.seek(-1, os.SEEK_END)
            return "" if file.read(1) == b"\n" else "\n"

    def entries(self) -> list[Entry]:
        """All entries, oldest first. Raises DataError for a whole line that is none."""
        if not self.path.exists():
            return []
        found = []
        lines = self.path.read_text().splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                row: dict[str, Any] = json.loads(line)
            except ValueError:
                continue  # cut short by a crash
            if row.pop("schema", None) != SCHEMA or set(row) != set(Entry.__dataclass_fields__):
                raise DataError(
                    f"{self.path}, line {number}: not an entry of {SCHEMA}; restore the file from a copy"
                )
            found.append(Entry(**row))
        return found


@dataclass(frozen=True, slots=True)
class Count:
    """What was tried on a piece of history: distinct configurations, all evaluations, earlier looks, and how the trials' Sharpe
    ratios (per hour) scatter (their standard deviation)."""

    configurations: int
    evaluations: int
    looks: int
    sharpe_deviation: float


def count_of_all(ledgers: Sequence[Sequence[Entry]], start: int, stop: int) -> Count:
    """What was tried on the bars of several symbols: a configuration that was tried on any of them is one, in however many
    ledgers it stands; of looks and evaluations the most that one symbol had."""
    together = count([entry for entries in ledgers for entry in entries], start, stop)
    each = [count(entries, start, stop) for entries in ledgers]
    return replace(
        together,
        evaluations=max((it.evaluations for it in each), default=0),
        looks=max((it.looks for it in each), default=0),
    )


def count(entries: Sequence[Entry], start: int, stop: int) -> Count:
    """Everything tried on these bars, whichever of their hours it was tried on: results on those hours influenced which
    configuration is looked at here. Looks count where they share an hour with start <= T < stop. The scatter is over distinct
    configurations, the newest evaluation of each; 0.0 for fewer than two."""
    looks = [entry for entry in entries if entry.kind == "look" and entry.start < stop and entry.stop > start]
    tried = [entry for entry in entries if entry.kind != "look"]
    newest = {entry.config: entry.sharpe for entry in tried if entry.sharpe is not None}
    sharpes = list(newest.values())
    return Count(
        configurations=len({entry.config for entry in tried}),
        evaluations=len(tried),
        looks=len(looks),
        sharpe_deviation=float(np.std(sharpes, ddof=1)) if len(sharpes) > 1 else 0.0,
    )
