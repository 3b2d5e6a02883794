"""Series x candidates as one resumable study: what has ended is kept, what failed is noted, nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backtest.evidence.ledger import data_hash
from backtest.executors.futures import InFlight, InProcess
from backtest.executors.packing import unpacked
from backtest.executors.protocol import Executor, Task, WorkerLost
from backtest.select.candidates import STEPS, Candidate, Freq, Score
from backtest.select.folder import SCHEMA, SelectionFolder
from backtest.select.tasks import daily_task, hourly_task
from backtest.select.timing import TimeLeft
from backtest.study.cache import code_hash
from trader.core.errors import ConfigError, DataError
from trader.core.series import Series
from trader.core.types import DAY_MS, HOUR_MS, Bars, iso

# Closes that a daily candidate is fitted on, at most.
LONGEST_DAYS = 1_000
# Tasks given out at once for each worker: one is computed, the next is there when it ends.
_AHEAD = 2

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class BarsFile:
    """A file of hourly bars of one symbol. sha256: of its bytes. load: reads it; it is read when it is needed."""

    path: Path
    symbol: str
    sha256: str
    load: Callable[[], Bars]


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


@dataclass(slots=True)
class Selection:
    """One run: which rows there are, and which this call computed. on_row is told of each that ended now."""

    folder: SelectionFolder
    spec: SelectionSpec
    candidates: Sequence[Candidate]
    files: Sequence[BarsFile]
    facts: dict[str, FileFacts]
    progress: Callable[..., None] = lambda *_: None
    on_row: Callable[[Row], None] = lambda _: None
    computed: int = 0
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    _left: TimeLeft = field(default_factory=TimeLeft)

    def run(self, executor: Executor | None = None) -> dict[tuple[str, str], Row]:
        """Evaluate what is not kept yet; rows by symbol and candidate, in the order of both.

        Raises DataError where every candidate failed. What a lost worker computed is asked for again by the next run.
        """
        executor, kept = executor or InProcess(), self.folder.rows()
        todo = []
        codes = {it.name: code_hash(it.forecaster) for it in self.candidates}
        for file in self.files:
            for candidate in self.candidates:
                key = self._key(file, candidate, codes[candidate.name])
                if key in kept:
                    self.rows[file.symbol, candidate.name] = kept[key]
                    self._left.learn(candidate.name, kept[key].get("seconds", 0.0))
                else:
                    todo.append((file, candidate, key))
        self._compute(todo, executor)
        self._require_a_result()
        order = [(file.symbol, it.name) for file in self.files for it in self.candidates]
        self.rows = {one: self.rows[one] for one in order}  # whoever ended first
        return self.rows

    def _key(self, file: BarsFile, candidate: Candidate, code: str) -> str:
        told = [self.spec.as_json(), file.sha256, file.symbol, candidate.params.as_json(), code]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def _compute(self, todo: list[tuple[BarsFile, Candidate, str]], executor: Executor) -> None:
        total = len(self.files) * len(self.candidates)
        names = [candidate.name for _, candidate, _ in todo]
        waiting: InFlight[Row] = InFlight()
        tasks = self._tasks(todo)
        self.progress(len(self.rows), total, "")
        try:
            while True:
                while len(waiting) < _AHEAD * executor.capacity and (given := next(tasks, None)) is not None:
                    row, task = given
                    if isinstance(task, Task):
                        waiting.add(executor.submit(task), row)
                    else:
                        self._end(row, reason=task)
                if not waiting:
                    return
                for future, row in waiting.done():
                    self._take(row, future)
                    left = self._left.words(names[len(names) - (total - len(self.rows)) :], executor.capacity)
                    self.progress(len(self.rows), total, left)
        finally:
            self._take_what_was_begun(waiting)

    def _take_what_was_begun(self, waiting: InFlight[Row]) -> None:
        """After an interrupt, or an error: what was not begun is cancelled, what was is waited for and kept."""
        for future, row in waiting.cancel():
            self._take(row, future)

    def _tasks(self, todo: list[tuple[BarsFile, Candidate, str]]) -> Iterator[tuple[Row, Task | str]]:
        """The row of each, and its task, or why it has none. Bars are read once a series, when its first task is wanted."""
        bars, read = None, None
        for file, candidate, key in todo:
            row = {
                "key": key,
                "symbol": file.symbol,
                "candidate": candidate.name,
                "family": candidate.params.model.family,
            }
            try:
                if read is not file:
                    bars, read = file.load(), file
                assert bars is not None  # noqa: S101  # read with the file
                yield row, self._task(bars, candidate, key, str(file.path))
            except (DataError, ConfigError) as error:
                yield row, str(error)

    def _task(self, bars: Bars, candidate: Candidate, key: str, source: str) -> Task:
        if self.spec.freq == "1h":
            return hourly_task(bars, candidate, self.spec.span, self.spec.score, key, source)
        series = daily_closes(bars, self.spec.stop)
        return daily_task(series, candidate, self.spec.origins, key)

    def _take(self, row: Row, future: Future[bytes]) -> None:
        error = future.exception()
        if error is None:
            self._end(row, future.result())
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
        else:  # whatever a library raised: a model that fails ends itself, and no other
            lost = isinstance(error, WorkerLost)
            named = (
                error if isinstance(error, (DataError, ConfigError)) else f"{type(error).__name__}: {error}"
            )
            self._end(row, reason=_last_line(str(named)), keep=not lost)

    def _end(self, row: Row, result: bytes = b"", reason: str = "", *, keep: bool = True) -> None:
        head = unpacked(result)[0] if result else {}
        row = {**row, "state": "failed" if reason else "complete", "reason": reason, **head}
        if keep:
            self.folder.append(row, result)
        self.rows[row["symbol"], row["candidate"]] = row
        self._left.learn(row["candidate"], row.get("seconds", 0.0))
        self.computed += 1
        self.on_row(row)

    def _require_a_result(self) -> None:
        reasons = [row["reason"] for row in self.rows.values() if row["state"] == "failed"]
        if len(reasons) == len(self.rows):
            common = max(sorted(set(reasons)), key=reasons.count)
            raise DataError(
                f"all {len(reasons)} candidates failed, {reasons.count(common)} of them because: {common}. Every reason is in "
                f"{self.folder.path / 'journal.jsonl'}"
            )


def daily_closes(bars: Bars, stop: int) -> Series:
    """The newest LONGEST_DAYS daily closes up to `stop` (UTC ms), without a close on days later than the bars."""
    days = Series.daily(bars.until(stop))
    missing = (stop - days.last) // DAY_MS if len(days) else 0
    closes = np.concatenate([days.log_close, np.full(max(0, missing), np.nan)])
    cut = max(0, len(closes) - LONGEST_DAYS)
    return Series(bars.symbol, days.first + cut * DAY_MS, DAY_MS, closes[cut:])


def _last_line(text: str) -> str:
    """Of a traceback the line that says what happened; 300 characters at most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else "no message"
    return said if len(said) <= 300 else said[:297] + "..."
