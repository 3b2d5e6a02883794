"""What a selection is evaluated on: files of bars, what they hold, and the windows that end together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backtest.evidence.ledger import data_hash
from backtest.select.candidates import STEPS, Freq, Score
from backtest.select.folder import SCHEMA, SelectionFolder
from trader.core.errors import ConfigError
from trader.core.types import DAY_MS, HOUR_MS, Bars, iso


@dataclass(frozen=True, slots=True, eq=False)
class BarsFile:
    """Hourly bars of one symbol. path: their file, or what messages call another place. sha256: of its bytes, or of its bars.
    load: reads it; it is read when it is needed. address: opens it again, "" for a file."""

    path: Path | str
    symbol: str
    sha256: str
    load: Callable[[], Bars]
    address: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file holds: first and newest close (UTC ms), rows, and the hash of the bars that evidence is counted by."""

    symbol: str
    first: int
    last: int
    rows: int
    data: str


@dataclass(frozen=True, slots=True)
class SelectionSpec:
    """What every candidate is evaluated on: `windows` windows that end at `stop` (UTC ms), STEPS days each at 1d, `step_days` of
    the parameters at 1h."""

    freq: Freq
    score: Score
    windows: int
    step_days: int
    stop: int

    @property
    def origins(self) -> list[int]:
        """The days (UTC ms) that daily forecasts start from, oldest first."""
        return [self.stop - k * STEPS * DAY_MS for k in range(self.windows, 0, -1)]

    @property
    def span(self) -> tuple[int, int]:
        """The hours start <= T < stop (UTC ms) that hourly candidates are walked over."""
        return self.stop - self.windows * self.step_days * DAY_MS, self.stop

    def as_json(self) -> dict[str, Any]:
        """Plain values, part of every key."""
        return {**asdict(self), "schema": SCHEMA, "steps": STEPS}


def facts_of(folder: SelectionFolder, files: Sequence[BarsFile]) -> dict[str, FileFacts]:
    """What the files hold, by symbol; a file whose bytes were met before is not parsed again."""
    kept = folder.read("files.json")
    found = {}
    for file in files:
        if file.sha256 not in kept or kept[file.sha256].get("symbol") != file.symbol:
            bars = file.load()
            kept[file.sha256] = asdict(
                FileFacts(file.symbol, bars.first, bars.last, len(bars), data_hash(bars))
            )
        found[file.symbol] = FileFacts(**kept[file.sha256])
    folder.write("files.json", json.dumps(kept, indent=1) + "\n")
    return found


def common_stop(facts: dict[str, FileFacts], freq: Freq, until: int | None) -> int:
    """The end (UTC ms) of what is evaluated: the last whole day up to `until`, else up to the newest close of any series. At 1h
    the bar that opens there is needed, too."""
    newest = max(it.last for it in facts.values())
    end = newest if until is None else until
    if end > newest:
        raise ConfigError(f"--to {iso(end)} is later than the newest close of the bars, {iso(newest)}")
    return (end - (HOUR_MS if freq == "1h" and until is None else 0)) // DAY_MS * DAY_MS
