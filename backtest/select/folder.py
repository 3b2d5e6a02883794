"""A selection on disk.

    lock            held by the process that writes
    files.json      what each file of bars holds, by the hash of its bytes
    journal.jsonl   a line a candidate and series, appended and flushed when it has ended; a failed one with its reason
    results/        its forecast, what came, and its model's bytes, by its key
    models/         the winners' models and cards, by symbol; best/ their parameters
    candidates.jsonl, selection.json, page.html   what follows from the journal

A key is the hash of all that a result follows from, so whatever is asked again is found, and a line that a crash cut short is
a candidate that has not ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backtest.executors.packing import unpacked
from backtest.executors.protocol import Array
from backtest.study.results_folder import ResultsFolder
from trader.core.errors import DataError

SCHEMA = "selection/1"


class SelectionFolder(ResultsFolder):
    """One selection's folder. Only its holder writes."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """For one process at a time, with its folders. Raises Retry, naming the other, while somebody else holds it."""
        with super().held():
            with self.errors():
                for name in ("results", "models", "best"):
                    (self.path / name).mkdir(exist_ok=True)
            yield

    def rows(self) -> dict[str, dict[str, Any]]:
        """What has ended, by key. Raises DataError for a damaged line."""
        return {str(row["key"]): row for row in self.ended()}

    def append(self, ended: Sequence[tuple[Mapping[str, Any], bytes]]) -> None:
        """Ended candidates, and the result of each that has one. A result is there before its line, so that every line has its
        file."""
        for row, result in ended:
            if result:
                self.write(f"results/{self._result(row['key']).name}", result)
        self.append_lines([row for row, _ in ended])

    def result(self, key: str) -> dict[str, Array]:
        """The arrays of an ended candidate. Raises DataError without them."""
        try:
            return unpacked(self._result(key).read_bytes())[1]
        except OSError as error:
            raise DataError(
                f"{self._result(key)} cannot be read ({error.strerror}); choose another --out folder"
            ) from None

    def read(self, name: str) -> dict[str, Any]:
        """A file of JSON; {} where there is none, or no object in it."""
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _result(self, key: str) -> Path:
        return self.path / "results" / key[:40]
