"""What a selection gives out: tasks and the rows that follow from each, and what became of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from backtest.executors.packing import unpacked
from backtest.executors.protocol import Task, WorkerLost
from backtest.select.candidates import Candidate
from backtest.select.spec import BarsFile, SelectionSpec
from backtest.select.tasks import daily_closes, daily_task, hourly_task, parts_of, require_walk
from trader.core.errors import ConfigError, DataError
from trader.core.series import Series
from trader.core.types import Bars

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class CandidateRows:
    """A candidate that is fitted on the series of these files together, for the rows that are not kept yet."""

    candidate: Candidate
    files: Sequence[BarsFile]
    rows: list[Row]


@dataclass(frozen=True, slots=True, eq=False)
class SelectionTask:
    """A task, and the rows that follow from its result; pooled: from its parts."""

    task: Task
    rows: list[Row]
    pooled: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRow:
    """A row with its state, and the result that it follows from; one that is not kept is asked for again by the next run."""

    row: Row
    result: bytes = b""
    keep: bool = True

    @staticmethod
    def of(row: Row, reason: str, result: bytes = b"", *, keep: bool = True) -> FinishedRow:
        """Failed for a reason, or complete without one."""
        head = unpacked(result)[0] if result else {}
        state = "failed" if reason else "complete"
        return FinishedRow({**row, "state": state, "reason": reason, **head}, result, keep)


def tasks_of(todo: Sequence[CandidateRows], spec: SelectionSpec) -> Iterator[SelectionTask | tuple[Row, str]]:
    """A task and its rows, or a row that nothing can be computed for and why. Bars are read once a series, when its first task
    is wanted; of a global family those of all series."""
    read: _Read | None = None
    for pending in todo:
        try:
            if len(pending.files) > 1:
                yield from _pooled(pending, spec)
                continue
            (file,) = pending.files
            if read is None or read.file is not file:
                read = _Read(file, file.load())
            yield SelectionTask(_task(read, pending, spec), pending.rows)
        except (DataError, ConfigError) as error:
            for row in pending.rows:
                yield row, str(error)


@dataclass(slots=True, eq=False)
class _Read:
    """A file's bars, and its days once they are wanted."""

    file: BarsFile
    bars: Bars
    days: Series | None = None


def _task(read: _Read, pending: CandidateRows, spec: SelectionSpec) -> Task:
    candidate, key = pending.candidate, pending.rows[0]["key"]
    if spec.freq == "1h":
        return hourly_task(read.bars, candidate, spec.span, spec.score, key, str(read.file.path))
    if read.days is None:
        read.days = daily_closes(read.bars, spec.stop)
    return daily_task(read.days, candidate, spec.origins, key)


def finished_of(submitted: SelectionTask, future: Future[bytes]) -> list[FinishedRow]:
    """What became of a task, once it has ended. Raises what interrupts a program."""
    error = future.exception()
    if error is None:
        result = future.result()
        parts = parts_of(result) if submitted.pooled else {}
        told = [(row, *parts.get(row["symbol"], (result, ""))) for row in submitted.rows]
        return [FinishedRow.of(row, reason, result) for row, result, reason in told]
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    # Whatever a library raised: a model that fails ends itself, and no other.
    named = error if isinstance(error, (DataError, ConfigError)) else f"{type(error).__name__}: {error}"
    reason, keep = _last_line(str(named)), not isinstance(error, WorkerLost)
    return [FinishedRow.of(row, reason, keep=keep) for row in submitted.rows]


def _pooled(pending: CandidateRows, spec: SelectionSpec) -> Iterator[SelectionTask | tuple[Row, str]]:
    """One fit on every series that holds the span and the look-back before it; the others are left out, each with why."""
    rows = {row["symbol"]: row for row in pending.rows}
    found: list[Bars] = []
    for file in pending.files:
        try:
            bars = file.load()
            require_walk(bars, pending.candidate.params, spec.span, str(file.path))
            found.append(bars)
        except (DataError, ConfigError) as error:
            if file.symbol in rows:
                yield rows.pop(file.symbol), str(error)
    if not rows:
        return
    found.sort(key=lambda it: (it.first, it.symbol))  # the grid is the oldest's
    names = [it.symbol for it in found]
    candidate = pending.candidate.fitted_on(names)
    one, *others = found
    key = hashlib.sha256(" ".join(sorted(row["key"] for row in rows.values())).encode()).hexdigest()
    task = hourly_task(one, candidate, spec.span, spec.score, key, "--bars", others)
    yield SelectionTask(task, list(rows.values()), pooled=len(found) > 1)


def _last_line(text: str) -> str:
    """Of a traceback the line that says what happened; 300 characters at most."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else "no message"
    return said if len(said) <= 300 else said[:297] + "..."
